"""Agents, as a person starts them, and a server for what their generators send."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.remote.frames import TOKEN

SECRET = "agents-of-a-test-0123456789"
ENVIRONMENT = {**os.environ, TOKEN: SECRET}
END_TIMEOUT_S = 30.0


@contextmanager
def agent(
    secret: str = SECRET, files_max: int | None = None
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Its address, and its process, which may have so many files open."""

    def limit() -> None:
        if files_max is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))

    command = [sys.executable, "-m", "bench", "agent", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, TOKEN: secret},
        preexec_fn=limit,
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            yield line.removeprefix("agent on ").strip(), process
        finally:
            process.terminate()
            process.communicate(timeout=END_TIMEOUT_S)
