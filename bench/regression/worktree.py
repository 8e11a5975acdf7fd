"""``git worktree`` checks commits out beside this work tree; `changed` tells how they differ."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError, UsageError
from bench.git import git
from bench.project import PROJECT_DIR
from system.runtime.data_folder import held_folder

ID_CHARS = 10
"""A commit's short id has so many characters, as run.json has it."""
LOCK_FILE = "requirements.lock"
MEASURED = ("system", "machine", LOCK_FILE)
"""This part of a work tree of this project is measured; the rest measures."""


class CommitError(UsageError):
    """A commit can't be checked out, which is wrong usage. The message says why."""


class Commit(NamedTuple):
    name: str
    """The name is as it was asked for: a branch, a tag, an id."""
    id: str

    @property
    def short(self) -> str:
        return self.id[:ID_CHARS]


def resolve(name: str, project: Path = PROJECT_DIR) -> Commit:
    """`resolve` returns the commit of a name. It raises `CommitError`."""
    if project == PROJECT_DIR and not (project / LOCK_FILE).exists():
        raise CommitError(
            "this project is installed here, without its commits: run this in a clone of it, or "
            "name the --service whose commits are meant"
        )
    try:
        git(project, "rev-parse", "--git-dir")
    except BenchError as cause:
        raise CommitError(f"this is not a git work tree, so it has no commits: {cause}") from None
    try:
        found = git(project, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except BenchError:
        raise CommitError(
            f"no commit {name} in this repository; where its history was cut off, fetch it: "
            "git fetch --unshallow"
        ) from None
    return Commit(name, found.strip())


def fork_point(base: Commit, head: Commit, project: Path = PROJECT_DIR) -> Commit:
    """`fork_point` returns the commit from which `head` went its own way: what `base` got since is
    no change of its.

    It is `base` itself where `head` builds on it, or is an older one of the same line. Raises
    `CommitError`.
    """
    try:
        found = git(project, "merge-base", base.id, head.id).strip()
    except BenchError:
        is_shallow = git(project, "rev-parse", "--is-shallow-repository").strip() == "true"
        why = "; this clone is shallow, fetch the rest: git fetch --unshallow" if is_shallow else ""
        raise CommitError(f"{base.name} and {head.name} have no commit in common{why}") from None
    return base if found == head.id else Commit(base.name, found)


def ancestors(head: Commit, project: Path = PROJECT_DIR) -> list[str]:
    """`ancestors` returns ids of all commits that `head` builds on, parents first, it last."""
    return git(project, "rev-list", "--topo-order", "--reverse", head.id).split()


def is_dirty(project: Path = PROJECT_DIR, measured: Sequence[str] = MEASURED) -> bool:
    """`is_dirty` returns whether files that are measured differ from the commit that is checked
    out."""
    return bool(git(project, "status", "--porcelain", "--", *measured).strip())


def changed(base: Commit, head: Commit, project: Path = PROJECT_DIR) -> list[str]:
    """`changed` returns paths of files below `project` that differ, as it has them."""
    options = ("-z", "--name-only", "--no-renames", "--relative")  # -z: no path in quotes
    return git(project, "diff", *options, base.id, head.id).split("\0")[:-1]


def is_gateway_only(paths: Sequence[str]) -> bool:
    """`is_gateway_only` returns whether the gateway changed, and nothing else that is measured:
    then both sides can run on the same Kafka and Flink."""
    measured = [path for path in paths if path.split("/")[0] in MEASURED]
    return bool(measured) and all(path.startswith("system/gateway/") for path in measured)


@contextmanager
def folder_for_trees() -> Iterator[Path]:
    """`folder_for_trees` yields a folder in the cache, removed at the end; what killed processes
    left is removed first."""
    with held_folder("worktrees") as folder:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def checked_out(commit: Commit, folder: Path, project: Path = PROJECT_DIR) -> Iterator[Path]:
    """`checked_out` yields the commit's `project` in a new work tree at `folder`, until the end. It
    raises `BenchError`."""
    within = git(project, "rev-parse", "--show-prefix").strip()
    git(project, "worktree", "prune")
    try:
        git(project, "worktree", "add", "--detach", "--quiet", str(folder), commit.id)
        if not (folder / within).is_dir():
            raise CommitError(f"{commit.short} has no folder {within}")
        yield folder / within
    finally:
        # Away at once: what a process that ends writes there meanwhile would keep it.
        gone = folder.with_name(f"{folder.name}.gone")
        with suppress(FileNotFoundError):
            folder.rename(gone)
        git(project, "worktree", "prune")
        shutil.rmtree(gone, ignore_errors=True)


def apply_patch(tree: Path, patch: Path) -> None:
    """`apply_patch` patches a work tree. It raises `BenchError` where the patch does not fit."""
    within = git(tree, "rev-parse", "--show-prefix").strip()
    place = (f"--directory={within}",) if within else ()
    git(tree, "apply", "--whitespace=nowarn", *place, str(patch.resolve()))
