"""A data folder belongs to one stack at a time; it is private, and of one version.

A folder holds what an earlier stack left, and the next one goes on from it. ``stack.json`` says
whose it is: written before anything else is, and compared at each start.
"""

import errno
import json
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from machine.cache import LockHeldError, cache_dir, is_held, lock
from machine.errors import StackError
from machine.whole_files import partial_of, write
from system.runtime.newest_state import State, check, note
from system.service import WINDOW_S

LOCK_NAME = "in-use"
CLUSTER = "kafka-cluster"
MANIFEST = "stack.json"
CHECKPOINTS = "checkpoints"
"""Flink's checkpoints are remembered by this name."""
MODE = 0o700
"""Requests and balances are in the topics, the state and the logs: nobody else's business."""

LAYOUT = 3
"""This is the version of all that a stack keeps: folders, topics, records and state. Raise it with
each change for which an older stack's data would not do; of state and records a test tells."""

RELEASE_TIMEOUT_S = 10.0
"""The processes of a stack that was killed are gone within this time, and let go of its folder."""
RELEASE_POLL_S = 0.1
"""This much time passes between looks whether the processes of a killed stack are gone."""

FORBIDDEN = re.compile(r'[,:"\\\x00-\x1f\x7f]|%[pth]')
"""These separate paths, or end them, in settings of Kafka and Flink; a JVM puts its process id, a
time or its host's name in place of the last ones."""

KEEP_S = 24 * 3600.0
"""A killed stack without a chosen folder leaves what it has to the next one of its name for this
long."""


def form_of(execution_mode: str, window_s: int) -> str:
    """`form_of` returns what a job's state depends on, as words for a person. It is a part of the
    name that Flink keeps the state by: what has another form is refused, never left out.

    The window is part of it: with a longer one the job would promise to know what is forgotten.
    """
    form = f"layout {LAYOUT} in {execution_mode} mode"
    return form if window_s == WINDOW_S else f"{form}, window {window_s} s"


class DataFolder:
    """This process holds the folder, which has a folder ``logs``.

    `stack_id` are 32 hexadecimal digits, the folder's for all its life; `is_resumed` says whether
    an earlier stack has left its data; `descriptor` is the lock's, for children to inherit.
    `was_up` is set by a stack that came up with it.
    """

    def __init__(self, path: Path, descriptor: int, stack_id: str, is_resumed: bool) -> None:
        self.path = path
        self.descriptor = descriptor
        self.stack_id = stack_id
        self.is_resumed = is_resumed
        self.was_up = False

    def belong_to(self, cluster_id: str, known: Path, *, has_records: bool) -> None:
        """`belong_to` says which Kafka has the topics that the state is of, and where it is `known`
        which state is their newest; it raises `StackError` where that is another Kafka than before,
        under the same address, or another state, or where they have records and the folder no
        state."""
        file = self.path / CLUSTER
        if has_records and not file.exists():  # a start that was refused has left no state
            raise StackError("the topics hold records: name the --data-dir with their job's state")
        if not file.exists():
            write(file, cluster_id.encode())
        elif (found := file.read_text()) != cluster_id:
            raise StackError(
                f"{self.path} holds the state of topics of another Kafka, {found}, not "
                f"{cluster_id}: choose another --data-dir, or remove it"
            )
        state = State(self.stack_id, f"that in {self.path}")
        if has_records:
            check(known, state)
        note(known, state)

    def remember(self, what: str, place: Path, *, is_there: bool) -> None:
        """`remember` notes that this part of the data is in its place. It raises `StackError` where
        it was once and is no more, as on a disk that is not mounted: it would be begun anew."""
        note = self.path / f"has-{what}"
        if note.exists() == is_there:
            return
        if is_there:
            with suppress(OSError):  # the disk is full: it is noted once there is room
                note.touch()
        else:
            raise StackError(
                f"{place} has lost what this stack kept there: mount its disk, or choose another "
                "--data-dir"
            )


@contextmanager
def data_folder(
    chosen: Path | None, name: str | None, made_with: Mapping[str, str]
) -> Iterator[DataFolder]:
    """`data_folder` yields the folder of one stack; `made_with` is what its data depends on, as
    words for a person.

    `chosen` stays. Without it the folder is temporary: an end that was asked for removes it. After
    a failure with data in it, or a kill, the one of a stack with a `name` stays, and the next stack
    of that name goes on from it, within `KEEP_S`; of others only the logs stay, until the next
    start. It raises `StackError` when the folder is in use, foreign or made with something else.
    """
    with ExitStack() as held:
        own = {LOCK_NAME, "logs"}
        if chosen is not None:
            path = _made(chosen.absolute())
            own = set() if (path / LOCK_NAME).exists() else {LOCK_NAME}
            descriptor = held.enter_context(_claimed(path))
        elif name is not None:
            path, descriptor = held.enter_context(_kept("named", name))
        else:
            path, descriptor = held.enter_context(_kept("stacks", None))
        if found := FORBIDDEN.search(str(path)):
            raise StackError(
                f"{str(path)!r} has {found[0]!r}, which a data folder can't have: choose another "
                "--data-dir, or another place for the cache with KAFLINKSHOP_CACHE"
            )
        folder = _identified(path, descriptor, made_with, own)
        (path / "logs").mkdir(exist_ok=True)
        if chosen is None:
            held.enter_context(_removed(folder, is_named=name is not None))
        yield folder


@contextmanager
def held_folder(kind: str) -> Iterator[Path]:
    """`held_folder` yields a new folder in the cache, below one for its `kind`, that others leave
    alone until the end.

    To remove it is the caller's business; what killed processes left is removed first.
    """
    with _kept(kind, None) as (folder, _):
        yield folder


@contextmanager
def _kept(kind: str, name: str | None) -> Iterator[tuple[Path, int]]:
    """The folder of that name in the cache, or a new one, and the descriptor of its lock."""
    parent = cache_dir() / kind
    with ExitStack() as held:
        # Without it, the sweep of another start could take a folder that is not locked yet.
        with lock(cache_dir() / f"{kind}.lock", wait=True):
            parent.mkdir(exist_ok=True, mode=MODE)
            for unused in parent.iterdir():
                if is_held(unused / LOCK_NAME) or unused.name == name:
                    continue
                if name is None or _age_s(unused) >= KEEP_S:
                    # One that ends right now removes the same files: gone is what both want.
                    shutil.rmtree(unused, ignore_errors=True)
            if name is None:
                folder = Path(tempfile.mkdtemp(dir=parent))
            else:
                folder = parent / name
                folder.mkdir(exist_ok=True, mode=MODE)
            descriptor = held.enter_context(_claimed(folder))
            if not (folder / MANIFEST).exists():
                _clear(folder, {"logs", LOCK_NAME})  # an end was cut short
        yield folder, descriptor


@contextmanager
def _claimed(folder: Path) -> Iterator[int]:
    """Waits for the processes of a stack that was killed right now, which still hold the lock."""
    deadline = time.monotonic() + RELEASE_TIMEOUT_S
    with ExitStack() as held:
        while True:
            try:
                descriptor = held.enter_context(lock(folder / LOCK_NAME, wait=False))
                break
            except LockHeldError:
                if time.monotonic() > deadline:
                    raise StackError(
                        f"{folder} is in use by another stack: end that one, or choose another "
                        "--data-dir"
                    ) from None
            time.sleep(RELEASE_POLL_S)
        yield descriptor


def _identified(
    path: Path, descriptor: int, made_with: Mapping[str, str], own: Collection[str]
) -> DataFolder:
    """`own` are names in a folder without a manifest that are no person's."""
    expected = {"layout": str(LAYOUT), **made_with}
    manifest = path / MANIFEST
    try:
        found = dict(json.loads(manifest.read_text()))
        stack_id, made_at = str(found.pop("id")), found.pop("at", None)
    except FileNotFoundError:
        if _holds_more(path, {*own, LOCK_NAME, partial_of(manifest).name}):
            if LOCK_NAME in own:
                (path / LOCK_NAME).unlink()
            raise StackError(
                f"{path} is not empty, and holds no stack's data: choose a new or empty folder"
            ) from None
        stack_id = uuid.uuid4().hex
        path.chmod(MODE)
        _write(manifest, stack_id, expected)
        return DataFolder(path, descriptor, stack_id, is_resumed=False)
    except (ValueError, TypeError, LookupError, OSError) as cause:
        raise StackError(f"{manifest} is damaged ({cause}): choose another --data-dir") from None
    changed = [
        f"{each} {found[each]}, not {expected.get(each, 'the default')}"
        if each in found
        else f"no {each} {expected[each]}"
        for each in {**expected, **found}
        if found.get(each) != expected.get(each)
    ]
    if changed:
        raise StackError(
            f"{path} holds the data of a stack with {'; '.join(changed)}: bring it up with what it "
            "was made with, choose another --data-dir, or remove it"
        )
    if made_at and (path / f"has-{CHECKPOINTS}").exists():
        if not _is_same(Path(made_at), path):
            raise StackError(
                f"{path} was made at {made_at}, and Flink's checkpoints name their files there: "
                "move it back, choose another --data-dir, or remove it"
            )
    elif made_at != str(path):
        _write(manifest, stack_id, expected)
    return DataFolder(path, descriptor, stack_id, is_resumed=True)


def _write(manifest: Path, stack_id: str, expected: Mapping[str, str]) -> None:
    content = {"id": stack_id, "at": str(manifest.parent), **expected}
    write(manifest, json.dumps(content, indent=2).encode())


def _is_same(one: Path, other: Path) -> bool:
    """Another name of it, as by a link, leads to the same files."""
    return one.exists() and one.samefile(other)


def _holds_more(path: Path, known: set[str]) -> bool:
    """Empty folders don't count: disks of their own may be mounted there, as ``kafka/log``."""
    others = [each for each in path.iterdir() if each.name not in known]
    return any(not inner.is_dir() for each in others for inner in (each, *each.rglob("*")))


@contextmanager
def _removed(folder: DataFolder, *, is_named: bool) -> Iterator[None]:
    """Removes a temporary folder at the end, but for what must stay."""
    kept: set[str] = set()
    try:
        yield
    except Exception:
        kept = {"logs", LOCK_NAME}
        if is_named and (folder.is_resumed or folder.was_up):
            kept = {part.name for part in folder.path.iterdir()}
        raise
    except BaseException:
        # A resumed one that never came up is still what a killed stack left.
        if is_named and folder.is_resumed and not folder.was_up:
            kept = {part.name for part in folder.path.iterdir()}
        raise
    finally:
        _clear(folder.path, kept)
        if not kept:
            folder.path.rmdir()


def _clear(folder: Path, kept: set[str]) -> None:
    """Removes all but what is kept. The manifest goes first: what is left where this is cut short
    is no stack's data."""
    for part in sorted(folder.iterdir(), key=lambda part: part.name != MANIFEST):
        if part.name in kept:
            continue
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink()


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=MODE)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "Permission denied")
    except OSError as cause:
        raise StackError(f"cannot use {folder} as a data folder: {cause.strerror}") from None
    return folder


def _age_s(folder: Path) -> float:
    """Since the newest file of it was written: about when its stack ended."""
    newest_s = 0.0
    for place, _, files in os.walk(folder):  # of what is removed meanwhile it says nothing
        for path in (place, *(os.path.join(place, name) for name in files)):
            with suppress(FileNotFoundError):
                newest_s = max(newest_s, os.stat(path).st_mtime)
    return time.time() - newest_s
