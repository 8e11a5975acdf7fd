"""Processes that have ended."""

import psutil


def is_gone(pid: int) -> bool:
    """Dead, be it that nobody has collected its exit code yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
