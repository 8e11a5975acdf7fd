"""A process whose wall clock is set: it jumps there and back, and the monotonic one runs on."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.faults import clock
from bench.faults.clock import READ_EACH_S, Clock, until_ahead

TELLS = """
import sys, time
for _ in sys.stdin:
    print(time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), flush=True)
"""


def test_the_wall_clock_is_set_and_no_other(tmp_path: Path) -> None:
    own = Clock(tmp_path / "clock")
    assert f"FAKETIME_CACHE_DURATION={READ_EACH_S}" in own.environment()
    # Here it looks at the file each time.
    command = ["env", *own.environment(), "FAKETIME_NO_CACHE=1", sys.executable, "-c", TELLS]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ahead_s() -> float:
            print(file=process.stdin)
            wall_s, monotonic_s, boot_s = map(float, process.stdout.readline().split())
            assert abs(monotonic_s - time.monotonic()) < 60
            assert abs(boot_s - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
            return wall_s - time.time()

        def reaches(wanted_s: int) -> bool:
            until_s = time.monotonic() + 60
            while abs(ahead_s() - wanted_s) > 60:
                if time.monotonic() > until_s:
                    return False
                time.sleep(0.05)
            return True

        assert reaches(0)
        for set_s in (3600, -3600, 0):
            own.set(set_s)
            assert reaches(set_s)
        process.stdin.close()
    assert process.returncode == 0


def test_a_missing_library_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "find_spec", lambda _: None)
    with pytest.raises(BenchError, match=r"^libfaketime is missing: "):
        Clock(tmp_path / "clock").environment()


def test_a_stack_that_does_not_answer_shows_no_clock() -> None:
    assert until_ahead(3600, "http://127.0.0.1:1", "127.0.0.1:1", 0.1) == ""
