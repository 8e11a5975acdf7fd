"""The control workload, and the CPU clock of other processes."""

import os
import subprocess
import sys

import pytest

from bench.control import control
from bench.cpu import cpu_s
from bench.gated import CONTROL, controls


def test_its_figures_are_what_voids_a_pair() -> None:
    result = control()
    assert result.name == CONTROL
    assert result.passed
    found = controls({"probes": [result.to_json()]})
    assert found.keys() == {"python_us", "round_trip_us"}


def test_cpu_time_only_grows() -> None:
    before = cpu_s(os.getpid())
    control()
    assert before < cpu_s(os.getpid())


def test_a_process_that_has_ended_has_no_cpu_time() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    with pytest.raises(OSError, match="Invalid argument"):
        cpu_s(done.pid)
