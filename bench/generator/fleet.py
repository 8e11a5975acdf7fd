"""The generator processes of a phase are headless Locust, or `bench.generator.process`.

A closed loop of the shop is played by Locust; an open loop by it too where that is asked for. The
others run on this machine, or for agents on others: either way their files grow here.
"""

import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from bench.errors import bench_errors
from bench.generator.spec import BACKSTOP_S, LEAD_NS, READY_TIMEOUT_S, Load, Phase, Spec
from bench.generator.tls import Trust
from bench.project import PROJECT_DIR
from bench.records.run_record import AgentRecord
from bench.records.samples import Reader, Samples, merge
from bench.remote.frames import token
from bench.remote.job import LAST_S, digests, this_host
from bench.remote.leader import RemoteGenerator
from bench.remote.mirror import Mirror
from machine.processes import Child, Supervisor, telling_line
from machine.whole_files import write

STOP_TIMEOUT_S = 10
"""Journeys under way may end in this time; Locust's --stop-timeout."""
KILL_MARGIN_S = 10.0
"""A generator that has not stopped so long after the last request was given up is killed."""
KILL_TIMEOUT_S = STOP_TIMEOUT_S + KILL_MARGIN_S
"""Locust that has not stopped by then is killed."""


class Generators:
    """The generators are the processes of one phase. They die with this process, however it
    ends."""

    def __init__(self, url: str, load: Load, phase: Phase, seed: int, folder: Path) -> None:
        self._supervisor = Supervisor()
        self._children: list[Child] = []
        self._remotes: list[RemoteGenerator] = []
        self._kill_timeout_s = KILL_TIMEOUT_S
        self.samples: list[Path] = []
        self._histories: list[Path] = []
        self._traces: list[Path] = []
        self._go = folder / f"go-{phase.name}"
        is_closed_shop = load.is_shop and phase.schedule is None
        count = min(load.generators, phase.users) if phase.users else load.generators
        self._ready_marks = phase.users if is_closed_shop else count
        key, alike = (token(), _alike(load)) if load.agents else (b"", {})
        here = this_host()._asdict() if load.agents else {}
        with ExitStack() as started, bench_errors():
            started.callback(self.close)
            for index in range(count):
                name = f"{phase.name}-{index}"
                spec = spec_of(url, load, phase, seed, folder, index, count)
                self.samples.append(Path(spec.samples))
                if not is_closed_shop:  # it waits for the last answer, or until it is given up
                    self._kill_timeout_s = spec.timeout_s + KILL_MARGIN_S
                self._histories.append(Path(spec.history))
                self._traces.append(Path(spec.traces))
                if load.agents:
                    agent = load.agents[index % len(load.agents)]
                    mirror = Mirror(Path(spec.samples), Path(spec.history))
                    self._remotes.append(
                        RemoteGenerator(
                            f"generator {index}", agent, key, asdict(spec), alike, mirror, here
                        )
                    )
                    continue
                if is_closed_shop:
                    command = _locust(spec)
                else:
                    command = _play(spec, folder / f"spec-{name}.json", load.locust)
                log = folder / f"generator-{name}.log"
                child = self._supervisor.start(
                    f"generator {index}", command, log=log, cwd=PROJECT_DIR
                )
                self._children.append(child)
            for remote in self._remotes:  # none sends before all agents have accepted
                remote.start()
            started.pop_all()
        self._readers = [Reader(path) for path in self.samples]

    def check(self) -> None:
        """`check` raises `BenchError` when one has ended by itself."""
        with bench_errors():
            self._supervisor.check()
        for remote in self._remotes:
            remote.check()

    @property
    def are_here(self) -> bool:
        """`are_here` tells whether this machine has all of their processes."""
        return all(remote.is_here for remote in self._remotes)

    def pids(self) -> list[int]:
        """`pids` returns the processes that this machine has."""
        here = [process.pid for child in self._children for process in child.tree()]
        return [*here, *{pid for remote in self._remotes for pid in remote.pids}]

    def agents(self) -> list[AgentRecord]:
        """`agents` returns what is known of the agents' clocks; it is for the end."""
        return [remote.record() for remote in self._remotes]

    def read(self) -> Samples:
        """`read` returns what came since the last call."""
        return merge([reader.read() for reader in self._readers])

    def in_flight(self) -> int | None:
        """`in_flight` returns the requests under way when the generators last looked; None where
        they don't say."""
        last = [reader.watched[-1] for reader in self._readers if reader.watched]
        if not last or "in_flight" not in last[0]:
            return None
        return sum(marks["in_flight"] for marks in last)

    def unready(self) -> int:
        """`unready` counts users, or generators, that are not prepared yet."""
        return self._ready_marks - sum(reader.ready for reader in self._readers)

    def go(self) -> int:
        """`go` lets them begin, and returns when that is, on the monotonic clock. Locust's users
        begin at once."""
        begin_ns = time.monotonic_ns() + LEAD_NS
        write(self._go, str(begin_ns).encode())
        for remote in self._remotes:
            remote.go(begin_ns)
        return begin_ns

    def written(self) -> tuple[list[Path], list[Path], list[Path]]:
        """`written` returns samples, histories and traces. A generator that ended while it started
        has none."""
        return (
            [path for path in self.samples if path.exists()],
            [path for path in self._histories if path.exists()],
            [path for path in self._traces if path.exists()],
        )

    def last_words(self) -> str:
        return telling_line(self._children[0].log) if self._children else "see the agents' output"

    def stop(self) -> None:
        """`stop` lets what is under way end. It raises `BenchError` where one elsewhere was
        lost."""
        names = [child.name for child in self._children]
        for remote in self._remotes:
            remote.ask_to_stop()
        deadline_s = time.monotonic() + self._kill_timeout_s
        self._supervisor.stop(names, self._kill_timeout_s)
        for remote in self._remotes:
            remote.wait(max(0.0, deadline_s - time.monotonic()))
        for remote in self._remotes:
            remote.check()

    def close(self) -> None:
        """`close` ends those that `stop` has not: what one made elsewhere, as its reply topic, it
        removes where it can."""
        self._supervisor.stop([child.name for child in self._children], LAST_S)
        self._supervisor.close()
        for remote in self._remotes:
            remote.close()
        self._go.unlink(missing_ok=True)


def _alike(load: Load) -> dict[str, str]:
    """What agents must have as it is here."""
    ca = _resolved(load.trust).ca
    return digests(Path(each).resolve() for each in (*load.files, *([ca] if ca else [])))


def _resolved(trust: Trust) -> Trust:
    """A generator has another working directory than who named the file."""
    return Trust(str(Path(trust.ca).resolve()) if trust.ca else None, trust.insecure)


def spec_of(
    url: str, load: Load, phase: Phase, seed: int, folder: Path, index: int = 0, count: int = 1
) -> Spec:
    """`spec_of` returns what generator `index` of `count` does."""
    schedule, name = phase.schedule, f"{phase.name}-{index}"
    users = phase.users // count + (index < phase.users % count)
    return Spec(
        url=url,
        workload=load.workload if load.is_shop else str(Path(load.workload).resolve()),
        zipf=load.zipf,
        seed=seed,
        stages=() if schedule is None else tuple((*stage,) for stage in schedule.stages),
        arrivals="poisson" if schedule is None else schedule.arrivals,
        users=users,
        duration_s=phase.warmup_s + phase.duration_s,
        index=index,
        count=count,
        in_flight_max=users if schedule is None else load.in_flight_max,
        timeout_s=load.timeout_s,
        keep_alive=load.keep_alive,
        trace_every=load.trace_every,
        trust=_resolved(load.trust),
        others=load.others,
        kafka=load.kafka,
        record_bytes=load.record_bytes,
        basket=load.basket,
        samples=str((folder / f"samples-{name}.bin").resolve()),
        history=str((folder / f"history-{name}.jsonl").resolve()),
        traces=str((folder / f"traces-{name}.jsonl").resolve()),
        go=str((folder / f"go-{phase.name}").resolve()),
    )


def _locust(spec: Spec) -> list[str]:
    return [
        *_headless(spec, spec.workload, spec.users),
        *("--samples", spec.samples, "--history", spec.history),
        *("--seed", str(spec.seed + spec.index), "--zipf", str(spec.zipf)),
        *("--basket", str(spec.basket)),
    ]


def _play(spec: Spec, path: Path, locust: bool) -> list[str]:
    path.write_bytes(spec.to_json())
    if locust:
        return [*_headless(spec, "open_loop", 1), "--spec", str(path.resolve())]
    return [sys.executable, "-m", "bench.generator.process", str(path.resolve())]


def _headless(spec: Spec, locustfile: str, users: int) -> list[str]:
    run_time_s = READY_TIMEOUT_S + spec.duration_s + BACKSTOP_S
    return [
        *(sys.executable, "-m", "locust", "--headless", "--only-summary"),
        *("--locustfile", f"locustfiles/{locustfile}.py", "--host", spec.url),
        *("--users", str(users), "--spawn-rate", str(users), "--loglevel", "WARNING"),
        *("--run-time", f"{run_time_s:.0f}s", "--stop-timeout", str(STOP_TIMEOUT_S)),
    ]
