"""The server of a known truth, as a process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def server(*arguments: str) -> Iterator[str]:
    """Its URL; `arguments` are those of `bench.calibrate.truth_server`."""
    command = [sys.executable, "-m", "bench.calibrate.truth_server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
