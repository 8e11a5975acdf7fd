"""The series of a phase are a file of the run's folder, series-<phase>.json, of this form.

{"schema_version": 1, "at_ns": [...], "series": {"cpu.gateway": [0.35, null, ...], ...},
 "events": [{"kind": "checkpoint", "at_ns": ..., "duration_ms": ..., "text": "..."}]}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from bench.records.series import KINDS, Event, Series
from bench.records.versioned_json import RunFileError, read_part
from machine.whole_files import write

SCHEMA_VERSION = 1


def write_series(path: Path, series: Series) -> None:
    """`write_series` writes all of it or nothing. It raises `OSError`."""
    content = {
        "schema_version": SCHEMA_VERSION,
        **series._asdict(),
        "events": [event._asdict() for event in series.events],
    }
    write(path, orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE))


def read_series(path: Path) -> Series:
    """`read_series` returns the series of a file. It raises `RunFileError` for what is truncated,
    of another version or not of this form."""
    content = read_part(path, SCHEMA_VERSION)
    try:
        return _series(content)
    except (KeyError, TypeError, ValueError) as cause:
        what = f"{cause} is missing" if isinstance(cause, KeyError) else str(cause)
        raise RunFileError(f"{path} is not a series: {what}") from None


def _series(content: Mapping[str, Any]) -> Series:
    at_ns, series = content["at_ns"], content["series"]
    events = [Event(**event) for event in content["events"]]
    if not _all(at_ns, int) or sorted(at_ns) != at_ns:
        raise ValueError("at_ns is not a list of ascending times")
    if not isinstance(series, dict):
        raise ValueError("series is not an object")
    for name, values in series.items():
        if not _all(values, int, float, type(None)) or len(values) != len(at_ns):
            raise ValueError(f"{name} is not a list of {len(at_ns)} numbers")
    for event in events:
        kind, at, duration_ms, text = event
        times = type(at) is int and type(duration_ms) in (int, float)
        if kind not in KINDS or not times or type(text) is not str:
            raise ValueError(f"{kind!r} at {at!r} is not an event")
    return Series(at_ns, series, events)


def _all(values: Any, *types: type) -> bool:
    return isinstance(values, list) and all(type(value) in types for value in values)
