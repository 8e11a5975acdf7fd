"""`.ci/run` with something in place of nox: its exit code, and what it finds left over."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.ended import is_gone

RUN = Path(__file__).parents[2] / ".ci" / "run"
LAST = "=== 3 passed in 0.10s ==="


@pytest.mark.parametrize(
    ("left", "code", "expected"),
    [("1", 0, 0), ("1", 5, 5), ("3600", 0, 1)],
    ids=["ends in time", "failed", "stays"],
)
def test_a_process_that_is_about_to_end_is_not_left_over(
    tmp_path: Path, until: Callable[..., None], left: str, code: int, expected: int
) -> None:
    """grep could not read one process of all, and the first look was the last."""
    nox, pid_file = tmp_path / "nox", tmp_path / "pid"
    nox.write_text(f"""#!/usr/bin/env bash
[ "$1" = --version ] && exit 0
setsid sleep {left} >/dev/null 2>&1 </dev/null &
echo $! > {pid_file}
echo "{LAST}"
exit {code}
""")
    nox.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        [RUN], env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == expected, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == LAST
    pid = int(pid_file.read_text())
    assert (f"left over: {pid} sleep {left}" in done.stdout) == (left == "3600")
    until(lambda: is_gone(pid))
