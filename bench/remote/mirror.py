"""The files of a remote generator are written here as if it ran here: all times by this clock.

Each kind of file is translated as it comes, by one offset for the whole phase. Latencies are
differences of two times of one machine, so they stay what they were, to the nanosecond.
"""

from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Any

import numpy as np
import orjson

from bench.records.request_log import Row
from bench.records.samples import FIELDS, SAMPLE_BYTES

SAMPLES, MARKS, HISTORY = b"s", b"m", b"h"
"""The files of a generator that travel, by the kind of their frames."""
_SENT, _DONE = Row._fields.index("sent_ns"), Row._fields.index("done_ns")


class Mirror:
    """The mirror writes NAME.bin, NAME.jsonl and a history. It raises `OSError`."""

    def __init__(self, samples: Path, history: Path) -> None:
        self._paths = {SAMPLES: samples, MARKS: samples.with_suffix(".jsonl"), HISTORY: history}
        self._translate: dict[bytes, Callable[[bytes, int], bytes]] = {
            SAMPLES: samples_here,
            MARKS: lines_here,
            HISTORY: lines_here,
        }

    @property
    def kinds(self) -> frozenset[bytes]:
        return frozenset(self._paths)

    def write(self, kind: bytes, content: bytes, offset_ns: int) -> None:
        """`write` appends whole samples or lines of a clock that is `offset_ns` ahead."""
        here = self._translate[kind](content, offset_ns)
        with self._paths[kind].open("ab", buffering=0) as file:
            file.write(here)


def samples_here(content: bytes, offset_ns: int) -> bytes:
    """`samples_here` raises `ValueError` for a part of a sample."""
    if len(content) % SAMPLE_BYTES:
        raise ValueError(f"{len(content)} bytes are no whole samples")
    table = np.frombuffer(content, dtype="<i8").reshape(-1, FIELDS).copy()
    table[:, 1:] -= offset_ns
    return table.tobytes()


def lines_here(content: bytes, offset_ns: int) -> bytes:
    """`lines_here` raises `ValueError` for what is no JSON."""
    return b"".join(
        orjson.dumps(_here(orjson.loads(line), offset_ns), option=orjson.OPT_APPEND_NEWLINE)
        for line in content.splitlines()
    )


def _here(entry: Any, offset_ns: int) -> Any:
    if isinstance(entry, list):
        entry[_SENT] -= offset_ns
        entry[_DONE] -= offset_ns
    elif "watch" in entry:
        entry["watch"]["at_ns"] -= offset_ns
    elif "monotonic_ns" in entry:
        entry["monotonic_ns"] -= offset_ns
        entry["wall_ns"] = entry["monotonic_ns"] + time_ns() - monotonic_ns()
    return entry
