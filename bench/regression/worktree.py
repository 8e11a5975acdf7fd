"""Commits checked out beside this work tree, by ``git worktree``, and what differs between them."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.environment import PROJECT_DIR
from bench.errors import BenchError, UsageError
from system.runtime.data_folder import held_folder

TIMEOUT_S = 120.0
"""Of one call of git; checking out takes a second."""
ID_CHARS = 10
"""Of a commit's short id, as run.json has it."""
LOCK_FILE = "requirements.lock"


class CommitError(UsageError):
    """A commit that can't be checked out: wrong usage. The message says why."""


class Commit(NamedTuple):
    name: str
    """As it was asked for: a branch, a tag, an id."""
    id: str

    @property
    def short(self) -> str:
        return self.id[:ID_CHARS]


def resolve(name: str, project: Path = PROJECT_DIR) -> Commit:
    """Raises `CommitError`."""
    try:
        _git(project, "rev-parse", "--git-dir")
    except BenchError as cause:
        raise CommitError(f"this is not a git work tree, so it has no commits: {cause}") from None
    try:
        found = _git(project, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except BenchError:
        raise CommitError(
            f"no commit {name} in this repository; where its history was cut off, fetch it: "
            "git fetch --unshallow"
        ) from None
    return Commit(name, found.strip())


def is_dirty(project: Path = PROJECT_DIR) -> bool:
    """Whether files of the system differ from the commit that is checked out."""
    return bool(_git(project, "status", "--porcelain", "--", "system", LOCK_FILE).strip())


def changed(base: Commit, head: Commit, project: Path = PROJECT_DIR) -> list[str]:
    """Paths of files that differ."""
    return _git(project, "diff", "--name-only", "--no-renames", base.id, head.id).splitlines()


def is_gateway_only(paths: Sequence[str]) -> bool:
    """Whether both sides can run on the same Kafka and Flink: nothing there has changed."""
    return not any(
        path == LOCK_FILE or (path.startswith("system/") and not path.startswith("system/gateway/"))
        for path in paths
    )


@contextmanager
def folder_for_trees() -> Iterator[Path]:
    """A folder in the cache, removed at the end; what killed processes left is removed first."""
    with held_folder("worktrees") as folder:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def checked_out(commit: Commit, folder: Path, project: Path = PROJECT_DIR) -> Iterator[Path]:
    """The commit's files in a new `folder`, until the end. Raises `BenchError`."""
    _git(project, "worktree", "prune")
    try:
        _git(project, "worktree", "add", "--detach", "--quiet", str(folder), commit.id)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _git(project, "worktree", "prune")


def apply_patch(tree: Path, patch: Path) -> None:
    """Raises `BenchError` where it does not fit."""
    _git(tree, "apply", "--whitespace=nowarn", str(patch.resolve()))


def _git(where: Path, *arguments: str) -> str:
    """What it prints. Raises `BenchError` with its last words."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=where,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise BenchError(f"git does not work: {cause}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise BenchError(f"git {arguments[0]}: {lines[-1] if lines else done.returncode}")
    return done.stdout
