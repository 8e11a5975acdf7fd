"""Sets of runs, made up: only run.json of each, with the figures that a test asks for.

write_set(tmp_path / "a", [a_run(index, "A") for index in range(8)])
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from bench.records.run_record import SCHEMA_VERSION, RunRecord
from bench.records.typed_json import of_plain, to_plain
from bench.run.settings import Settings

Run = dict[str, Any]
Change = Callable[[Run], object]

RUN_S = 20
FRESH_AT = 100
"""The first run of a fresh batch."""

REQUESTS = 4000
CPU_US = {"gateway": 300.0, "kafka": 450.0, "flink": 1200.0, "generator": 200.0}
WOBBLE = (0.0, 0.004, -0.003, 0.001, -0.005, 0.002, 0.005, -0.001, 0.003, -0.004)
"""What makes runs differ a little; B's wobble runs the other way round."""


def latency(p50_ms: float, p99_ms: float, at_least: Iterable[str] = ()) -> dict[str, Any]:
    named = {"p50": p50_ms, "p90": p50_ms * 2, "p99": p99_ms, "p99.9": p99_ms * 2}
    return {**named, "max": p99_ms * 3, "at_least": list(at_least)}


def figures(requests: int, factor: float, failed: int = 0) -> dict[str, Any]:
    return {
        "requests": requests,
        "answered": requests - failed,
        "throughput_per_s": requests / 10 / factor,
        "latency_ms": latency(5 * factor, 40 * factor),
        "refused": {},
        "failed": {"504 timeout": failed} if failed else {},
    }


def cpu_of(us_per_request: float) -> dict[str, float]:
    cpu_s = us_per_request * REQUESTS / 1e6
    apart = {"compiling_s": 0.0, "compacting_s": 0.0}
    return {"cpu_s": cpu_s, **apart, "us_per_request": us_per_request}


def window(factor: float, is_open: bool) -> dict[str, Any]:
    operations = {"find_user": figures(3000, factor), "checkout": figures(1000, factor)}
    return {
        "opened_ns": 1,
        "closed_ns": 10_000_000_001,
        "length_s": 10.0,
        **figures(REQUESTS, factor),
        "operations": operations,
        "checkout_paid_share": 0.9,
        "cpu": {
            group: cpu_of(us if group == "generator" else us * factor)
            for group, us in CPU_US.items()
        },
        "per_request": {"kafka_records": 3.2, "kafka_bytes": 1500.0},
        "open": {
            "scheduled": 4000,
            "dropped": 0,
            "achieved_ratio": 1.0,
            "service_ms": latency(5, 40),
            "schedule_lag_ms": latency(0.1, 0.4),
        }
        if is_open
        else None,
    }


def phase(name: str, factor: float, users: int | None = None) -> dict[str, Any]:
    is_open = users is None
    return {
        "name": name,
        "loop": "open" if is_open else "closed",
        "users": users,
        "schedule": "poisson, 400/s for 10 s" if is_open else None,
        "warmup_s": 3.0,
        "duration_s": 10.0,
        "generators": 1,
        "samples": [],
        "histories": [],
        "series": None,
        "stages": None,
        "steady": None,
        "window": window(factor, is_open),
    }


def a_run(index: int, side: str, *changes: Change) -> Run:
    """Runs of A and B take turns, ABBA; `changes` are applied to the finished run."""
    place = 2 * index + ((side == "B") != (index % 2 == 1))
    started = datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=RUN_S * place)
    wobble = WOBBLE[index % len(WOBBLE)] if side == "A" else WOBBLE[-1 - index % len(WOBBLE)]
    run: Run = {
        "schema_version": SCHEMA_VERSION,
        "run_id": f"{started:%Y%m%dT%H%M%SZ}-{side.lower() * 10}-1",
        "started_utc": started.isoformat(timespec="seconds"),
        "verdict": "valid",
        "reasons": [],
        "commit": {"id": side.lower() * 10, "dirty": False},
        "seed": 1,
        "settings": to_plain(Settings(users=(8,), warmup_s=3.0, duration_s=10.0)),
        "environment": {
            "cpu_model": "Imagined CPU 3000",
            "cores": 2,
            "memory_bytes": 24 * 2**30,
            "kernel": "Linux 6.1.0",
            "python": "3.11.13",
            "packages": {"aiohttp": "3.14.5", "gevent": "26.9.0", "locust": "2.47.0"},
            "kafka": "4.1.2",
            "flink": "2.3.0",
        },
        "phases": [phase("open", 1 + wobble)],
        "capacity": None,
        "probes": [control(1000.0 * (1 + wobble / 10))],
        "ledger": None,
        "invariants": None,
        "wrong_answers": {"count": 0, "first": []},
    }
    for change in changes:
        change(run)
    return run


def record(run: Run) -> RunRecord:
    """As it is read from its file."""
    return of_plain(RunRecord, run)


def control(loops_per_s: float) -> dict[str, Any]:
    return {
        "name": "control",
        "state": "holds",
        "reasons": [],
        "requests": 0,
        "latency_ms": None,
        "figures": {"loops_per_s": loops_per_s},
    }


def a_set(side: str, runs: int, *changes: Change, begin: int = 0) -> list[Run]:
    return [a_run(index, side, *changes) for index in range(begin, begin + runs)]


def write_set(folder: Path, runs: Iterable[Run]) -> Path:
    for run in runs:
        path = folder / run["run_id"]
        path.mkdir(parents=True)
        (path / "run.json").write_bytes(orjson.dumps(run))
    return folder


# ---- changes


def cpu(group: str, factor: float) -> Change:
    def change(run: Run) -> None:
        for found in run["phases"]:
            own = found["window"]["cpu"][group]
            own |= cpu_of(own["us_per_request"] * factor)

    return change


def p99(factor: float) -> Change:
    def change(run: Run) -> None:
        for found in run["phases"]:
            found["window"]["latency_ms"]["p99"] *= factor

    return change


def failed(count: int) -> Change:
    def change(run: Run) -> None:
        for found in run["phases"]:
            found["window"]["failed"] = {"504 timeout": count}

    return change


def refused(share: float, kind: str = "409 order_empty") -> Change:
    """So large a share of all checkouts is refused, and costs little."""

    def change(run: Run) -> None:
        window = run["phases"][0]["window"]
        figures = window["operations"]["checkout"]
        figures["refused"] = {kind: round(share * figures["requests"])}
        window["refused"] = dict(figures["refused"])
        window["checkout_paid_share"] = 1 - share

    return change


def verdict(name: str, *reasons: str) -> Change:
    return lambda run: run.update(verdict=name, reasons=list(reasons))


def environment(**fields: Any) -> Change:
    return lambda run: run["environment"].update(fields)


def settings(**fields: Any) -> Change:
    return lambda run: run["settings"].update(fields)


def every(nth: int, change: Change) -> Change:
    """In each so many-th run only."""
    count = iter(range(1_000_000))
    return lambda run: change(run) if next(count) % nth == 0 else None
