"""Calls of git see the work tree they are made in, and nothing of this process's own caller.

A hook of git has GIT_DIR and GIT_INDEX_FILE in its environment: handed on, a new work tree would be
checked out into the user's own index.
"""

import os
import subprocess
from pathlib import Path

from bench.errors import BenchError

TIMEOUT_S = 120.0
"""A call of git may take this long; checking out takes a second."""
SETTINGS = (
    *("-c", "safe.directory=*"),  # whoever measures a clone runs its code anyway
    *("-c", "core.hooksPath=/dev/null"),  # a user's hook is none of a measurement's
    *("-c", "core.fsmonitor=false"),
)


def environment() -> dict[str, str]:
    """`environment` returns this process's, without what git keeps there for its own callers."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def git(where: Path, *arguments: str, timeout_s: float = TIMEOUT_S) -> str:
    """`git` returns what the call prints. It raises `BenchError` with git's last words."""
    try:
        done = subprocess.run(
            ["git", *SETTINGS, *arguments],
            cwd=where,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",  # names of files may be any bytes
            timeout=timeout_s,
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise BenchError(f"git does not work: {cause}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise BenchError(f"git {arguments[0]}: {lines[-1] if lines else done.returncode}")
    return done.stdout
