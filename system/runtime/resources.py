"""A start checks whether this machine has what a stack needs, before anything else."""

import shutil
from pathlib import Path

import psutil

from machine.disk_use import size_bytes
from machine.errors import StackError
from system.runtime.options import RescaleError, StackOptions
from system.wire import input_topic

DISK_BESIDE_MIB = 768
"""A stack needs this much free disk beside its input topics: ten minutes of replies at some
thousand a second, checkpoints, and logs."""

OUTSIDE_HEAP_BYTES = 1536 * 1024**2
"""A stack needs this much besides its heaps: metaspace, buffers and threads of three JVMs, and the
gateway and Python."""
FURTHER_JVM_BYTES = 512 * 1024**2
"""Each broker and TaskManager more needs about this much besides its heap."""


def check_disk(folder: Path, topics_mib: int) -> None:
    """`check_disk` raises `StackError` when the disk below `folder` has no space for topics of so
    many MiB, less what an earlier stack's take of it, and all else."""
    taken = sum(map(size_bytes, folder.glob(f"kafka*/log/{input_topic('*')}-*")))
    topics = max(0, topics_mib * 1024**2 - taken)
    free, needed = shutil.disk_usage(folder).free, topics + DISK_BESIDE_MIB * 1024**2
    if free < needed:
        raise StackError(
            f"{folder} has {_mib(free)} free, a stack needs {_mib(needed)}: make room, choose a "
            "smaller --topic-mib, or another place with --data-dir"
        )


def check_memory(options: StackOptions, available: int | None = None) -> None:
    """`check_memory` raises `StackError` when the stack does not fit in the `available` bytes of
    memory."""
    brokers, taskmanagers = options.brokers, options.taskmanagers
    further = (brokers - 1 + taskmanagers - 1) * FURTHER_JVM_BYTES
    known = taskmanagers * options.known_mib * 1024**2
    needed = options.heaps.total_bytes(brokers, taskmanagers)
    needed += OUTSIDE_HEAP_BYTES + further + known
    available = psutil.virtual_memory().available if available is None else available
    if available < needed:
        raise StackError(
            f"{_mib(available)} of memory are available, a stack needs {_mib(needed)}: "
            "end other programs, or choose a smaller --taskmanager-heap-mib or --known-mib"
        )


def check_further(options: StackOptions, taskmanagers: int, available: int | None = None) -> None:
    """`check_further` raises `RescaleError` when the `available` bytes of memory are too few for so
    many TaskManagers more."""
    own = (options.heaps.taskmanager + options.known_mib) * 1024**2
    needed = taskmanagers * (own + FURTHER_JVM_BYTES)
    available = psutil.virtual_memory().available if available is None else available
    if available < needed:
        raise RescaleError(
            f"{_mib(available)} of memory are available, further TaskManagers need "
            f"{_mib(needed)}: end other programs, or choose fewer --taskmanagers"
        )


def _mib(size: int) -> str:
    return f"{size // 1024**2} MiB"
