"""A complete run folder, made up: the same arguments give the same bytes.

    made_run(tmp_path / "run")                             a run with everything
    made_run(tmp_path / "run", phases=(PhaseSpec("users-8", users=8),), parts=())

Its latencies are log-normal, longer while the JVM warms up. In an open loop the system stands still
once, for longer than a client waits. The figures of run.json are computed from the samples, by what
computes them for a real run.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bench.generator.spec import Phase
from bench.judge.ledger import balance_samples
from bench.judge.reply_contract import INVARIANTS, Report
from bench.observe.processes import Cpu
from bench.records.run_files import write_run
from bench.records.run_record import (
    CapacityRecord,
    CommitRecord,
    Environment,
    Latency,
    Level,
    ProbeRecord,
    Step,
)
from bench.records.samples import Window
from bench.run.model import Measured
from bench.run.phase_figures import Findings, describe, examine
from bench.run.record import Judgement, record_of
from bench.run.settings import Settings
from bench.stats.steadiness import Steadiness
from support.made_samples import (
    BEGIN_NS,
    NOT_SENT,
    OPERATIONS,
    SECOND_NS,
    PhaseSpec,
    made_samples,
    write_marks,
)

PARTS = frozenset({"series", "stages", "capacity", "probes", "ledger", "invariants"})
CPU_US = {"gateway": 180.0, "kafka": 240.0, "flink": 310.0, "generator": 25.0}
"""Of each request."""
PER_REQUEST = {"kafka_records": 3.5, "kafka_allocated_bytes": 51_234.0}
"""In closed loops."""

PHASES = (
    PhaseSpec("warmup", users=64, rate_per_s=700, warmup_s=6, duration_s=0, slower=3),
    PhaseSpec("users-1", users=1, rate_per_s=90),
    PhaseSpec("users-64", users=64, rate_per_s=900, slower=2.5),
    PhaseSpec("open", rate_per_s=600, duration_s=30, generators=2),
)


def made_run(
    folder: Path,
    phases: Sequence[PhaseSpec] = PHASES,
    parts: Collection[str] = PARTS,
    *,
    seed: int = 1,
    judgement: Judgement | None = None,
    operations: dict[str, tuple[float, float]] = OPERATIONS,
) -> Path:
    """Writes run.json and the files that it names; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    begin_ns, found = BEGIN_NS, []
    for index, spec in enumerate(phases):
        random = np.random.default_rng((seed, index))
        found.append(examine(_measured(folder, spec, parts, begin_ns, random, operations)))
        begin_ns += int((spec.warmup_s + spec.duration_s + 5) * SECOND_NS)
    users = tuple(spec.users for spec in phases if spec.users and spec.duration_s)
    run = record_of(
        run_id=f"20260102T030405Z-0123456789-{seed}",
        started_utc="2026-01-02T03:04:05+00:00",
        settings=Settings(users=users, seed=seed),
        environment=ENVIRONMENT,
        commit=CommitRecord("0123456789", dirty=False),
        phases=[describe(findings) for findings in found],
        judgement=judgement or _judgement(found, parts),
        capacity=CAPACITY if "capacity" in parts else None,
    )
    write_run(folder, run)
    return folder


def _judgement(found: Sequence[Findings], parts: Collection[str]) -> Judgement:
    sent, dropped = sum(each.sent for each in found), sum(each.dropped for each in found)
    ledger = balance_samples(sent, dropped, [footer for each in found for footer in each.footers])
    totals = {"credit": 7, "charged": 3, "stock": 5, "sold": 2}
    return Judgement(
        ledger if "ledger" in parts else None,
        Report(dict.fromkeys(INVARIANTS, 0), [], sent, totals) if "invariants" in parts else None,
        probes=PROBES if "probes" in parts else None,
    )


ENVIRONMENT = Environment(
    cpu_model="Imagined CPU 3000",
    cores=2,
    memory_bytes=24 * 2**30,
    kernel="Linux 6.1.0",
    python="3.11.13",
    packages={"aiohttp": "3.14.5", "apache-flink": "2.3.0", "uvloop": "0.23.0"},
    kafka="4.1.2",
    flink="2.3.0",
)


def _measured(
    folder: Path,
    spec: PhaseSpec,
    parts: Collection[str],
    begin_ns: int,
    random: np.random.Generator,
    operations: dict[str, tuple[float, float]],
) -> Measured:
    opened_ns = begin_ns + int(spec.warmup_s * SECOND_NS)
    closed_ns = opened_ns + int(spec.duration_s * SECOND_NS)
    samples = [folder / f"samples-{spec.name}-{index}.bin" for index in range(spec.generators)]
    sent = 0
    for path in samples:
        table = made_samples(spec, begin_ns, random, operations)
        table.astype("<i8").tofile(path)
        write_marks(path, [*operations, NOT_SENT], table)
        sent += len(table)
    series = folder / f"series-{spec.name}.json" if "series" in parts else None
    if series:
        series.write_bytes(orjson.dumps(_series(begin_ns, closed_ns, opened_ns, random)))
    stages = folder / f"stages-{spec.name}.json" if "stages" in parts and spec.duration_s else None
    if stages:
        stages.write_bytes(orjson.dumps(_stages(operations, spec.slower)))
    return Measured(
        phase=Phase(spec.name, spec.users or 0, spec.warmup_s, spec.duration_s, spec.schedule),
        generators=spec.generators,
        samples=samples,
        histories=[],
        traces=[],
        groups=frozenset(CPU_US),
        window=Window(opened_ns, closed_ns, spec.users is None) if spec.duration_s else None,
        cpu={group: Cpu(us * sent / 1e6, 0.0, 0.0) for group, us in CPU_US.items()},
        warmup_s=spec.warmup_s,
        settled=None if spec.duration_s else Steadiness(True, "its thirds agree"),
        interrupted=False,
        series=series,
        stages=stages,
        counted={name: each * sent for name, each in PER_REQUEST.items()} if spec.users else {},
    )


# ---- what goes beside


def _series(
    begin_ns: int, closed_ns: int, opened_ns: int, random: np.random.Generator
) -> dict[str, Any]:
    at_ns = list(range(begin_ns, closed_ns, SECOND_NS))

    def wave(mean: float, spread: float, digits: int = 3) -> list[float | None]:
        values = np.maximum(0, mean * (1 + spread * random.standard_normal(len(at_ns))))
        return [None, *np.round(values, digits).tolist()[1:]]

    stalled_ns = opened_ns + (closed_ns - opened_ns) * 3 // 5
    return {
        "schema_version": 1,
        "at_ns": at_ns,
        "series": {
            "cpu.gateway": wave(0.35, 0.1),
            "cpu.kafka": wave(0.3, 0.15),
            "cpu.flink": wave(0.7, 0.2),
            "cpu.generator": wave(0.15, 0.1),
            "rss_mib.gateway": wave(95, 0.01, 1),
            "rss_mib.kafka": wave(640, 0.01, 1),
            "rss_mib.flink": wave(1450, 0.02, 1),
            "part.cpu.flink_jobmanager": wave(0.03, 0.3),
            "part.cpu.flink_taskmanager": wave(0.5, 0.3),
            "part.rss_mib.flink_jobmanager": wave(450, 0.02, 1),
            "part.rss_mib.flink_taskmanager": wave(1000, 0.02, 1),
            "in_flight": wave(14, 0.4, 0),
            "generator.in_flight": wave(15, 0.4, 0),
            "generator.loop_lag_ms": wave(0.2, 0.6),
            "lag.user_in": wave(6, 0.8, 0),
            "lag.order_in": wave(3, 0.8, 0),
            "lag.stock_in": wave(2, 0.8, 0),
            "lag.payment_in": wave(1, 0.8, 0),
            "host.busy": wave(1.65, 0.05),
            "host.steal": wave(0.02, 0.9),
            "host.runnable": wave(0.6, 0.5),
            "host.io_stalled": wave(0.01, 0.5),
        },
        "events": [
            *(
                {
                    "kind": "checkpoint",
                    "at_ns": at + 300_000_000,
                    "duration_ms": 60.0 + index % 7 * 12,
                    "text": f"checkpoint {index + 1}",
                }
                for index, at in enumerate(at_ns)
            ),
            *(
                {
                    "kind": "gc",
                    "at_ns": at + 710_000_000,
                    "duration_ms": 4.5 + index,
                    "text": "taskmanager: G1 young",
                }
                for index, at in enumerate(at_ns[::6])
            ),
            {"kind": "rebalance", "at_ns": opened_ns, "duration_ms": 350.0, "text": "user_in"},
            {"kind": "fault", "at_ns": stalled_ns, "duration_ms": 2600.0, "text": "kafka paused"},
        ],
    }  # fmt: skip


BEFORE = ("schedule lag", "client send", "gateway in", "produce", "request topic")
SAGA = ("order", "topic user", "user", "topic order 2", "order 2", "topic stock", "stock",
        "topic order 3", "order 3")  # fmt: skip
AFTER = ("reply topic", "gateway out", "client receive")


def _stages(operations: dict[str, tuple[float, float]], slower: float) -> dict[str, Any]:
    described = {}
    for name, (_, median_ms) in operations.items():
        names = (*BEFORE, *(SAGA if name == "checkout" else ("user",)), *AFTER)
        weights = np.array([1 + (3 * len(stage)) % 7 for stage in names], dtype=float)
        means = np.round(median_ms * slower * weights / weights.sum(), 3).tolist()
        mean = round(sum(means), 3)
        described[name] = {
            "requests": 120,
            "disordered": 0,
            "incomplete": 2,
            "total_ms": {"mean": mean, "p50": round(mean * 0.9, 3), "p99": round(mean * 3, 3)},
            "stages": [
                {"name": stage, "requests": 120, "mean_ms": ms, "p50_ms": round(ms * 0.9, 3),
                 "p99_ms": round(ms * 4, 3)}
                for stage, ms in zip(names, means, strict=True)
            ],
        }  # fmt: skip
    counts = {"requests": 360, "disordered": 0, "incomplete": 6}
    return {"schema_version": 1, **counts, "operations": described}


def _step(rate: float, p50_ms: float, why: str = "") -> Step:
    return Step(
        rate_per_s=rate,
        held=not why,
        why=why or "held",
        throughput_per_s=rate if not why else rate * 0.93,
        p50_ms=p50_ms,
        p99_ms=p50_ms * 4,
        p999_ms=p50_ms * 7,
        failed_share=0.0 if not why else 0.004,
        dropped=0,
        schedule_lag_p99_ms=0.4,
    )


CAPACITY = CapacityRecord(
    Level(p99_ms=50.0, failed_share=0.0),
    knee_per_s=1750.0,
    steps=[
        _step(500.0, 3.1),
        _step(1000.0, 4.2),
        _step(2000.0, 31.0, "p99 is 124.0 ms; requests in flight grow"),
        _step(1500.0, 7.4),
        _step(1750.0, 11.9),
        _step(1875.0, 19.5, "p99 is 78.0 ms"),
    ],
)

PROBES = [
    ProbeRecord(
        "gateway alone", "holds", [], 2000, Latency(0.41, 0.6, 0.91, 1.8, 2.2, at_least=[]), {}
    ),
    ProbeRecord(
        "timeout",
        "holds",
        [],
        200,
        Latency(5021.4, 5030.1, 5041.9, 5042.0, 5042.0, at_least=[]),
        {"late_replies": 200},
    ),
]
