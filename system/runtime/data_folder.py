"""Data folders of stacks: made fresh, locked while in use, removed when nobody needs them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from machine.cache import cache_dir, is_held, lock
from machine.errors import StackError

LOCK_NAME = "in-use"


@contextmanager
def data_folder(chosen: Path | None) -> Iterator[Path]:
    """A folder for one stack, with a folder ``logs``: `chosen`, which stays, or a temporary one.

    A temporary one is removed at the end, but for its logs when the stack failed: those stay until
    the next start. What killed processes left is removed then too.
    """
    with ExitStack() as held:
        if chosen is None:
            folder = held.enter_context(_temporary())
        else:
            folder = chosen.absolute()
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise StackError(f"{folder} is not empty: a stack needs a new data folder")
            held.enter_context(lock(folder / LOCK_NAME, wait=False))
        (folder / "logs").mkdir()
        yield folder


@contextmanager
def held_folder(kind: str) -> Iterator[Path]:
    """A new folder in the cache, below one for its `kind`, that others leave alone until the end.

    To remove it is the caller's business; what killed processes left is removed first.
    """
    parent = cache_dir() / kind
    with ExitStack() as held:
        # Without it, the sweep of another start could take a folder that is not locked yet.
        with lock(cache_dir() / f"{kind}.lock", wait=True):
            parent.mkdir(exist_ok=True)
            for unused in parent.iterdir():
                if not is_held(unused / LOCK_NAME):
                    # One that ends right now removes the same files: gone is what both want.
                    shutil.rmtree(unused, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(dir=parent))
            held.enter_context(lock(folder / LOCK_NAME, wait=False))
        yield folder


@contextmanager
def _temporary() -> Iterator[Path]:
    with held_folder("stacks") as folder:
        kept = set()
        try:
            yield folder
        except Exception:
            kept = {"logs"}
            raise
        finally:
            for part in folder.iterdir():
                if part.is_dir() and part.name not in kept:
                    shutil.rmtree(part)
            if not kept:
                shutil.rmtree(folder)
