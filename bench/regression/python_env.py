"""A work tree has a Python environment: ours, or its own where its lock file differs.

A service of one's own has ours, and a folder for its package.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from bench import git
from bench.project import PROJECT_DIR
from bench.regression.worktree import LOCK_FILE
from bench.run.model import Progress
from machine.cache import cache_dir, lock
from machine.errors import StackError

BUILD_TIMEOUT_S = 900.0
"""The packages of a commit whose lock file differs may take this long to install: some hundred MiB
to download."""
VENV_OPTIONS: tuple[str, ...] = ()
DIGEST_CHARS = 16
"""The name of an environment has so many characters of the lock file's hash."""


def python_of(tree: Path, progress: Progress, project: Path = PROJECT_DIR) -> Path:
    """`python_of` returns the interpreter for a work tree. It raises `StackError` where its
    packages can't be installed.

    Environments stay in the cache, one for each content of the lock file.
    """
    wanted, ours = (_digest(where / LOCK_FILE) for where in (tree, project))
    if wanted is None:
        raise StackError(f"this commit has no {LOCK_FILE}, so its environment is not known")
    if wanted == ours:
        return Path(sys.executable)
    folder = cache_dir() / "environments" / wanted[:DIGEST_CHARS]
    with lock(folder.with_suffix(".lock"), wait=True):
        stamp = folder / "complete"
        if not stamp.exists():
            progress(f"installing other packages than this work tree's, into {folder}")
            shutil.rmtree(folder, ignore_errors=True)
            _run("make the environment", sys.executable, "-m", "venv", *VENV_OPTIONS, str(folder))
            _run("install the packages", *_install(folder), str(tree / LOCK_FILE))
            stamp.touch()
    return folder / "bin" / "python"


def install_service(tree: Path, folder: Path) -> None:
    """`install_service` installs the package of a work tree into a folder, by itself: what it needs
    is this environment's. It raises `StackError`."""
    _run("install the package", *_pip(), "--no-deps", "--target", str(folder), str(tree))


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _install(folder: Path) -> list[str]:
    return [*_pip(str(folder / "bin" / "python")), "--require-hashes", "--requirement"]


def _pip(python: str = sys.executable) -> list[str]:
    uv = shutil.which("uv")
    return [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]


def _run(what: str, *command: str) -> None:
    environment = {**git.environment(), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise StackError(f"cannot {what} of the commit: {cause}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        why = lines[-1] if lines else f"exit code {done.returncode}"
        raise StackError(f"cannot {what} of the commit: {why}")
