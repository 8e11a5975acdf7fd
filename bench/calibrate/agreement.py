"""This generator and its rivals are compared on a server whose latencies are known.

All at the same rate: a closed loop has as many users as it needs for that.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from bench.calibrate import truth_server
from bench.calibrate.lab import WARM_UP_S, Lab, Load, Server
from bench.calibrate.table import Estimate, Section, Target, Told, latencies, table
from bench.records.run_record import PERCENTS
from bench.stats import window
from bench.workload.arrivals import Schedule, Stage, intended_ns

RATE_PER_S = 300.0
"""The rate is far below what each generator can send, so that none is the bottleneck."""
DURATION_S = 20.0
"""Each load takes this long."""
STALL_AT_S = 8.0
"""The stall comes this long after the first request: before the middle of the load."""
APART_SHARE_MAX = 0.02
"""A generator may be this share apart from the truth, without a stall, in what no generator rounds
or corrects."""


Side = Callable[[Lab, Server], Told]
"""A side loads a server, and tells what it saw."""


class Agreement:
    def __init__(
        self, folder: Path, rivals: Mapping[str, Side], progress: Callable[[str], object]
    ) -> None:
        """The `rivals` are other generators, that load with `closed_users` for `DURATION_S`."""
        self._rivals = rivals
        self._folder = folder
        self._progress = progress
        self._told: dict[float | None, dict[str, Told]] = {}

    def measure(self) -> None:
        for stall_at_s in (None, STALL_AT_S):
            told = self._told.setdefault(stall_at_s, {"truth": truth(stall_at_s)})
            for name, side in self._sides().items():
                with (
                    Lab(self._folder) as lab,
                    lab.serving(*_truth_server(stall_at_s)) as server,
                ):
                    told[name] = side(lab, server)
                self._progress(f"agreement, {name}: p99 {told[name].latency_ms['p99']:,.1f} ms")

    def _sides(self) -> dict[str, Side]:
        users = closed_users()
        at_rate = Load(DURATION_S, rate_per_s=RATE_PER_S, arrivals="constant")
        return {
            "bench.generator.process, open loop": partial(_ours, load=at_rate),
            f"bench.generator.process, {users} users": partial(
                _ours, load=Load(DURATION_S, users=users)
            ),
            **self._rivals,
        }

    def section(self) -> Section | None:
        if not self._told:
            return None
        lines, targets = [], []
        for stall_at_s, told in self._told.items():
            what = "Without a stall" if stall_at_s is None else f"{truth_server.STALL_S:g} s stall"
            rows = [
                (name, f"{each.requests:,}", f"{each.per_s:,.1f}", *latencies(each.latency_ms))
                for name, each in told.items()
            ]
            lines += ["", *table((what, "requests", "requests/s", *PERCENTS), rows)]
            if stall_at_s is None:
                targets = [target for name in told if name != "truth"
                           for target in _apart(name, told)]  # fmt: skip
        return Section("Agreement", lines[1:], targets)


def closed_users() -> int:
    """`closed_users` returns how many users load with `RATE_PER_S`, by Little's law."""
    latencies_ms = truth_server.LATENCIES_MS
    return round(RATE_PER_S * sum(latencies_ms) / len(latencies_ms) / 1e3)


def truth(stall_at_s: float | None) -> Told:
    """`truth` returns what an open loop measures, 503s left out."""
    schedule = Schedule((Stage(RATE_PER_S, RATE_PER_S, DURATION_S),), "constant")
    times_s = intended_ns(schedule, seed=1) / 1e9
    measured = times_s >= WARM_UP_S
    answered = [not truth_server.is_error(request) for request in range(len(times_s))]
    latency_ns = truth_server.truth_ms(times_s, stall_at_s)[measured & answered] * 1e6
    found = window.latency_ms(latency_ns.astype(np.int64), np.zeros(0, np.int64))
    assert found is not None
    return Told(int(measured.sum()), RATE_PER_S, {name: found.of(name) for name in PERCENTS})


def _truth_server(stall_at_s: float | None) -> list[str]:
    return ["bench.calibrate.truth_server", *([] if stall_at_s is None else [str(stall_at_s)])]


def _ours(lab: Lab, server: Server, load: Load) -> Told:
    ran, samples, _ = lab.burst(server, load)
    answered = samples.where(samples.of_kind("ok"))
    found = window.latency_ms(answered.response_ns, np.zeros(0, np.int64))
    assert found is not None
    return Told(len(samples), ran.per_s, {name: found.of(name) for name in PERCENTS})


def _apart(name: str, told: Mapping[str, Told]) -> list[Target]:
    """In what is neither rounded nor corrected: the rate and the median."""
    of, by = told[name], told["truth"]
    apart = {
        "requests/s": abs(of.per_s / by.per_s - 1),
        "p50": abs(of.latency_ms["p50"] / by.latency_ms["p50"] - 1),
    }
    return [
        Target(f"{name}: {what} within {APART_SHARE_MAX:.0%} of the truth", f"{share:.2%} apart",
               Estimate(share, share, share), APART_SHARE_MAX)
        for what, share in apart.items()
    ]  # fmt: skip
