"""A Python program measures a server of its own, and reads the run again."""

from pathlib import Path

from support.small_server import serving

import bench

WORKLOAD = """
thresholds = { p99_ms = 10000 }
[[request]]
operation = "look"
path = "/"
"""


def test_a_run_is_measured_and_read_again(tmp_path, monkeypatch):
    """From a folder of one's own, with relative paths."""
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(WORKLOAD)
    told: list[str] = []
    with serving(lambda path, connection: (200, b"ok")) as url:
        run = bench.measure(
            "mine.toml", url, rate=20, duration_s=3, quick=True, seed=7, progress=told.append
        )
    assert run.verdict in ("valid", "void"), run.reasons
    ((phase, window),) = run.windows
    assert (phase.name, run.seed, run.settings.p99_ms) == ("open", 7, 10_000)
    assert window.latency_ms is not None
    assert bench.read_run(Path("results", run.run_id)) == run
    assert bench.read_run(f"results/{run.run_id}") == run
    assert told
