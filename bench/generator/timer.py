"""This timer rings to the microsecond: an event loop's own timers count milliseconds."""

import ctypes
import os
import time
from collections.abc import Callable
from typing import Any

_TFD_TIMER_ABSTIME = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Itimerspec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Timer:
    """The timer calls `ring` on the event loop at the time of `set`, of the clock of
    ``time.monotonic_ns``.

    Linux's timerfd. It raises `OSError` when there is no file descriptor left.
    """

    def __init__(self, loop: Any, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._spec = _Itimerspec()
        self._fd = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "no timer")
        loop.add_reader(self._fd, self._on_readable)

    def set(self, at_ns: int) -> None:
        """`set` replaces an earlier time; one in the past rings at once."""
        self._spec.value_s, self._spec.value_ns = divmod(max(at_ns, 1), 10**9)
        _libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(self._spec), None)

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_readable(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return  # set anew since it rang
        self._ring()
