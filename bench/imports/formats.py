"""The files of vegeta, k6, oha and Locust are read here, each as far as it says something.

Two kinds of file name every request: vegeta's results as JSON lines, and k6's ``--out json``. All
others hold the figures of a run without the requests behind them. Nothing tells whether such a
quantile counts requests that had no answer, so those figures are shown and never judged.
"""

import csv
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from bench.records.samples import (
    CONNECTION,
    DROPPED_IN_FLIGHT,
    EXPECTED,
    TIMEOUT,
    UNEXPECTED,
    Samples,
)
from bench.records.versioned_json import RunFileError

RESULT_MIB_MAX = 4096
"""A file of results has at most this size; a request takes some hundred bytes of it."""
SUMMARY_MIB_MAX = 16
"""A file of figures without requests has at most this size, hundreds of times a usual one."""
HEAD_BYTES = 1 << 20
"""So much of a file is looked at to tell which tool wrote it: a line, with the answer's body."""
LATENCY_S_MAX = 86_400
"""A latency longer than a day is a broken file."""
CHECKS_MAX = 100
"""A file has at most so many checks, by name: a name with an id in it would be one each."""
UNNAMED = "without a name"
"""Checks are of this name where k6 was asked for no tags of theirs."""
ERROR_STATUS = 400
"""An answer of this status or above has failed, as these tools count by default."""

FORMS = (
    "vegeta encode --to json, vegeta report -type=json, k6 --out json, k6 --summary-export, "
    "oha --output-format json or Locust's _stats.csv"
)


class ResultsError(RunFileError):
    """A file is none of a tool's results that can be read, or of a kind that says too little."""


class Requests(NamedTuple):
    """The requests of a file are known one by one."""

    tool: str
    samples: Samples
    """All have the operation `ALL`; times count from 1970, in ns."""
    checks: Mapping[str, Counter[bool]]
    """A check of k6's script leads to how often it was so, and how often not."""


class Summary(NamedTuple):
    """The figures are all that is known of a run: "p50" and "p99" (ms), "requests/s", "failed" (a
    share)."""

    tool: str
    figures: Mapping[str, float]


Result = Requests | Summary
ALL = "all"
"""Every request of a file is of this operation: URLs with ids in them would be one each."""


def read(path: Path) -> Result:
    """`read` returns what a tool's file says. It raises `ResultsError`."""
    try:
        size_mib = path.stat().st_size / 2**20
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            file.seek(0)
            if size_mib > RESULT_MIB_MAX:
                raise ResultsError(f"{path} has {size_mib:.0f} MiB, at most {RESULT_MIB_MAX} do")
            refuse(path, head)
            if (of_line := _lines_of(head)) is not None:
                return _requests(path, *of_line, file)
            if size_mib > SUMMARY_MIB_MAX:
                raise ResultsError(f"{path} is not {FORMS}")
            return _summary(path, file.read())
    except OSError as cause:
        raise ResultsError(f"cannot read {path}: {cause.strerror}") from None


def refuse(path: Path, head: bytes) -> None:
    """`refuse` raises `ResultsError` for what a tool writes and what says too little."""
    why = None
    if b"\x06Result\x01" in head[:64]:
        why = f"is vegeta's binary: vegeta encode --to json {path.name} > {path.stem}.json"
    elif re.match(rb"\d{19},\d+,\d+,", head):
        why = "is vegeta's CSV: use its vegeta encode --to json"
    elif head.startswith(b"request-start,DNS"):
        why = "is oha's CSV, which lists answers alone: what failed is in --output-format json"
    elif head.startswith(b"Timestamp,User Count,Type,Name"):
        why = (
            "is Locust's history, whose percentiles are of the ten seconds before each line: "
            "give its _stats.csv"
        )
    elif head.startswith((b"metric_name,timestamp", b"\x1f\x8b")):
        why = "is k6's CSV or compressed: use k6 --out json=FILE.json"
    if why is not None:
        raise ResultsError(f"{path} {why}")


# ---- request by request


class Line(NamedTuple):
    """A line of a file tells of one request; times are in ns."""

    ended_ns: int
    latency_ns: int
    outcome: str
    repeat: int = 1
    """So many lines like this are meant."""


OfLine = Callable[[Mapping[str, Any]], Line | None]


def _lines_of(head: bytes) -> tuple[str, OfLine] | None:
    """The tool whose first line this is, and how its lines are read; None where it is no such."""
    first = _json(head.split(b"\n", 1)[0])
    if not isinstance(first, dict):
        return None
    if {"timestamp", "latency", "code"} <= first.keys():
        return "vegeta", _vegeta_line
    if first.get("type") in ("Metric", "Point") and "metric" in first:
        return "k6", _k6_line
    return None


def _requests(path: Path, tool: str, of_line: OfLine, lines: Iterable[bytes]) -> Requests:
    outcomes: dict[str, int] = {}
    checks: dict[str, Counter[bool]] = {}
    ended, latency, outcome = (array("q") for _ in range(3))
    for number, text in enumerate(lines, 1):
        try:
            found = orjson.loads(text)
            line = of_line(found)
            if found.get("metric") == "checks" and found["type"] == "Point":
                told = found["data"]
                name = str(told["tags"].get("check", UNNAMED))
                checks.setdefault(name, Counter())[_is_so(told["value"])] += 1
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            raise ResultsError(f"{path} line {number} is not one of {tool}'s results") from None
        if len(checks) > CHECKS_MAX:
            raise ResultsError(f"{path} has more than {CHECKS_MAX} checks: name them without ids")
        if line is not None:
            kind = outcomes.setdefault(line.outcome, len(outcomes))
            for _ in range(line.repeat):
                ended.append(line.ended_ns)
                latency.append(line.latency_ns)
                outcome.append(kind)
    done_ns, latency_ns, kinds = (
        np.frombuffer(column, np.int64) if column else np.zeros(0, np.int64)
        for column in (ended, latency, outcome)
    )
    sent_ns = done_ns - latency_ns
    everything = np.zeros(len(done_ns), np.int64)
    samples = Samples([ALL], list(outcomes), everything, kinds, sent_ns, sent_ns, done_ns)
    return Requests(tool, samples, checks)


def _vegeta_line(line: Mapping[str, Any]) -> Line:
    """https://github.com/tsenart/vegeta `Result`: a latency counts from when it was sent."""
    status, latency_ns = _status(line["code"]), _latency_ns(line["latency"] / 1e9)
    error = line["error"]
    is_timeout = "Client.Timeout" in error or "deadline exceeded" in error
    unanswered = TIMEOUT if is_timeout else CONNECTION
    outcome = _outcome(status, status < ERROR_STATUS) if status else unanswered
    return Line(_time_ns(line["timestamp"]) + latency_ns, latency_ns, outcome)


K6_REQUEST_TIMEOUT = "1050"


def _k6_line(line: Mapping[str, Any]) -> Line | None:
    """https://grafana.com/docs/k6 "JSON": a point of ``http_req_duration`` is a request that
    ended, one of ``dropped_iterations`` counts those that never began."""
    if line["type"] != "Point":
        return None
    data = line["data"]
    if line["metric"] == "dropped_iterations":
        return Line(_time_ns(data["time"]), 0, DROPPED_IN_FLIGHT, _count(data["value"]))
    if line["metric"] != "http_req_duration":
        return None
    tags, ended_ns = data["tags"], _time_ns(data["time"])
    latency_ns = _latency_ns(data["value"] / 1e3)
    status = _status(int(tags["status"]))
    if status == 0:
        is_timeout = tags.get("error_code") == K6_REQUEST_TIMEOUT
        return Line(ended_ns, latency_ns, TIMEOUT if is_timeout else CONNECTION)
    expected = tags.get("expected_response", str(status < ERROR_STATUS).lower()) == "true"
    return Line(ended_ns, latency_ns, _outcome(status, expected))


def _is_so(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError
    return bool(value)


def _outcome(status: int, expected: bool) -> str:
    if expected:
        return str(status) if status < ERROR_STATUS else f"{EXPECTED} {status}"
    return f"{UNEXPECTED} {status}"


def _status(status: Any) -> int:
    if not isinstance(status, int) or not (status == 0 or 100 <= status <= 599):
        raise ValueError
    return status


def _latency_ns(seconds: float) -> int:
    if not 0 <= seconds <= LATENCY_S_MAX:
        raise ValueError
    return round(seconds * 1e9)


COUNT_MAX = 10_000_000
"""A line may stand for so many iterations that never began."""


def _count(value: float) -> int:
    if not 0 <= value <= COUNT_MAX:
        raise ValueError
    return int(value)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _time_ns(text: str) -> int:
    """RFC 3339, to the microsecond."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError
    since = moment - EPOCH
    found = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    if abs(found) >= 2**63:  # Go's zero time is of year 1
        raise ValueError
    return found


# ---- figures alone


def _summary(path: Path, content: bytes) -> Summary:
    try:
        if content.startswith(b"Type,Name,Request Count"):
            return _locust(content.decode())
        found = _json(content)
        if isinstance(found, dict):
            for key, of_summary in SUMMARIES.items():
                if key in found:
                    return of_summary(found)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, csv.Error):
        raise ResultsError(
            f"{path} lacks figures that its tool writes, or has wrong ones"
        ) from None
    raise ResultsError(f"{path} is not {FORMS}")


def _vegeta_report(found: Mapping[str, Any]) -> Summary:
    latencies = found["latencies"]
    return _figures(
        *("vegeta", found["requests"]),
        failed=1 - found["success"],
        rate=found["rate"],
        p50=latencies["50th"] / 1e6,
        p99=latencies["99th"] / 1e6,
    )


def _k6_summary(found: Mapping[str, Any]) -> Summary:
    metrics = found["metrics"]
    duration, requests = metrics["http_req_duration"], metrics["http_reqs"]
    return _figures(
        *("k6", requests["count"]),
        failed=metrics["http_req_failed"]["value"],
        rate=requests["rate"],
        p50=duration.get("med"),
        p99=duration.get("p(99)"),
    )


OHA_UNFINISHED = "aborted due to deadline"
"""An error of this name was under way when the time was over: it has not failed."""


def _oha(found: Mapping[str, Any]) -> Summary:
    errors = {name: n for name, n in found["errorDistribution"].items() if name != OHA_UNFINISHED}
    statuses = {int(status): n for status, n in found["statusCodeDistribution"].items()}
    requests = sum(statuses.values()) + sum(errors.values())
    failed = sum(errors.values()) + sum(n for code, n in statuses.items() if code >= ERROR_STATUS)
    percentiles = found["latencyPercentiles"]
    return _figures(
        *("oha", requests),
        failed=failed / requests if requests else 0.0,
        rate=found["summary"]["requestsPerSec"],
        p50=_ms(percentiles["p50"]),
        p99=_ms(percentiles["p99"]),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _locust(content: str) -> Summary:
    rows = [row for row in csv.DictReader(StringIO(content)) if row["Name"] == "Aggregated"]
    total = rows[-1] if rows else {}
    requests = int(total["Request Count"])
    return _figures(
        *("locust", requests),
        failed=int(total["Failure Count"]) / requests if requests else 0.0,
        rate=float(total["Requests/s"]),
        p50=_locust_ms(total["50%"]),
        p99=_locust_ms(total["99%"]),
    )


def _locust_ms(text: str) -> float | None:
    return None if text == "N/A" else float(text)


SUMMARIES: Mapping[str, Callable[[Mapping[str, Any]], Summary]] = {
    "latencies": _vegeta_report,
    "latencyPercentiles": _oha,
    "metrics": _k6_summary,
}
"""The first of these keys that is in a file tells its tool; oha's have ``metrics`` too."""


def _figures(
    tool: str, requests: int, failed: float, rate: float, p50: float | None, p99: float | None
) -> Summary:
    if not requests > 0 or not 0 <= failed <= 1:
        raise ValueError
    known = {"p50": p50, "p99": p99, "requests/s": rate, "failed": failed}
    figures = {name: float(value) for name, value in known.items() if value is not None}
    if not all(isfinite(value) and value >= 0 for value in figures.values()):
        raise ValueError
    return Summary(tool, figures)


def _json(content: bytes) -> Any:
    """What the JSON says; None where it is none."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


LOCUST_OTHERS = ("_stats_history.csv", "_failures.csv", "_exceptions.csv")
"""Files with these ends lie beside Locust's _stats.csv."""


def files_in(folder: Path) -> list[Path]:
    """`files_in` returns a folder's files of results, without what Locust writes beside them."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and not path.name.startswith(".")
        and not path.name.endswith(LOCUST_OTHERS)
    ]
