"""`python -m bench calibrate`, with short bursts: what it says of this machine is not judged."""

import os
import stat
import subprocess
import sys
from pathlib import Path

from bench.calibrate import rivals
from bench.calibrate.lab import Lab, Load

RUN_TIMEOUT_S = 300.0
WRK = """#!{python}
import sys
from urllib.request import urlopen
urlopen(sys.argv[-1]).read()
print('{{"requests": 1, "length_us": 1000, "broken": 0, "p50": 1, "p90": 1, "p99": 1, '
      '"p99.9": 1, "max": 1}}')
"""


def calibrate(*arguments: str, **changed: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "bench", "calibrate", *arguments],
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        env={**os.environ, **changed},
    )


def test_a_calibration_says_what_it_found(tmp_path: Path) -> None:
    """Without wrk, and with one burst, which has no interval."""
    done = calibrate("recording", "--pairs", "1", "--duration", "4", PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "| recording costs at most 3% of the generator's CPU | ratio " in done.stdout
    assert done.stdout.endswith("| can't tell |\n")


def test_both_kinds_of_servers_and_loads(tmp_path: Path) -> None:
    with Lab(tmp_path, apart=False) as lab:
        for kind in ("aiohttp", "canned"):
            with lab.serving("bench.calibrate.bare_server", kind) as server:
                ran, samples, _ = lab.burst(server, Load(4.0, users=4))
                assert min(ran.per_s, ran.cpu_us, ran.server_cores) > 0
                assert samples.of_kind("ok").all()
                paced, samples, _ = lab.burst(server, Load(4.0, rate_per_s=50.0))
                assert paced.lag_p99_ms > 0
                assert 100 < len(samples) < 300


def test_wrk_and_locust_beside(tmp_path: Path, monkeypatch) -> None:
    """wrk may not be installed: a stand-in prints what it does."""
    wrk = tmp_path / "wrk"
    wrk.write_text(WRK.format(python=sys.executable))
    wrk.chmod(wrk.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert rivals.has_wrk()
    with (
        Lab(tmp_path, apart=False) as lab,
        lab.serving("bench.calibrate.bare_server", "aiohttp") as server,
    ):
        told, ran = rivals.wrk(lab, server, tmp_path, connections=1, duration_s=1.0)
        assert (told.requests, told.per_s) == (1, 1000.0)
        assert ran.cpu_us > 0
        told = rivals.locust(lab, server, tmp_path, users=2, duration_s=6.0)
        assert told.requests > 0
        assert set(told.latency_ms) == {"p50", "p90", "p99", "p99.9", "max"}
