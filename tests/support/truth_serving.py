"""Servers of the calibration, as processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


def server(*arguments: str) -> AbstractContextManager[str]:
    """The URL of that of a known truth; `arguments` are those of `bench.calibrate.truth_server`."""
    return serving("bench.calibrate.truth_server", *arguments)


@contextmanager
def serving(module: str, *arguments: str) -> Iterator[str]:
    """The URL of a module that prints its port."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
