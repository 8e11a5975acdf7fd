"""`python -m bench run` as a person runs it, on the stack of the session."""

from pathlib import Path

import pytest
from support.bench_command import bench, recorded

from bench.records.request_log import History
from system.runtime.stack import Stack

PLAYED = {
    "shop": {"remove_user", "checkout"},
    "steady": {"cancel_payment", "remove_order", "checkout"},
    "checkout": {"add_item", "checkout"},
}
"""What each scenario asks for, beside others."""


@pytest.mark.parametrize(
    ("scenario", "form"), [("shop", ()), ("steady", ()), ("checkout", ("--json",))]
)
def test_a_quick_run_is_sound_and_recorded(
    stack: Stack, tmp_path: Path, scenario: str, form: tuple[str, ...]
) -> None:
    done = bench(
        *("run", "--quick", "--users", "1,8", "--duration", "4", "--generators", "2"),
        *("--scenario", scenario, "--seed", "7", "--target", stack.url, "--out", str(tmp_path)),
        *form,
    )
    run, folder = recorded(tmp_path, done)
    assert folder.name.endswith("-7")
    shown = folder / ("run.json" if form else "summary.md")
    assert shown.read_text().strip() == done.stdout.strip()
    warmup, one, eight = run["phases"]
    assert warmup["window"] is None
    assert (one["generators"], eight["generators"]) == (1, 2)
    assert one["window"]["answered"] > 0
    assert eight["window"]["cpu"]["generator"]["cpu_s"] > 0
    histories = [folder / name for phase in run["phases"] for name in phase["histories"]]
    asked = {row.operation for row in History(histories)}
    assert asked >= PLAYED[scenario]
    assert sum(1 for _ in History(histories)) == run["ledger"]["entries"][1]["total"]


def test_wrong_usage() -> None:
    done = bench("run", "--users", "0")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "error: " in line


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    done = bench("run", "--target", "http://127.0.0.1:9", "--out", str(tmp_path))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: nothing listens at 127.0.0.1 port 9")
