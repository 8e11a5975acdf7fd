"""A campaign puts in fault after fault, seed after seed; what is known is not done again."""

import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields, replace
from math import ceil
from pathlib import Path

import orjson

from bench.errors import BenchError
from bench.faults.fault import Fault, Needs, Planned
from bench.faults.judgement import LATE_S_MAX, Bitten, Found, Loaded, judge
from bench.faults.up import Up
from bench.judge.final_reads import READS, WrongReadError, ids_in, read_again
from bench.judge.reply_contract import Entity, Final
from bench.records.request_log import Row
from bench.records.run_record import IN_FLIGHT_MAX
from bench.result_files import to_json
from bench.run.environment import commit
from bench.run.model import Progress
from bench.run.settings import Settings
from bench.workload.arrivals import rate_of
from machine.whole_files import write

WARM_UP_S = 10.0
"""The longest warm-up: a stack that just came up still compiles."""
WAITING_MAX = 20_000
"""No load has more requests under way: each needs a port of the client's."""
FILE = "fault.json"


KEPT_EACH_MAX = 20
"""So many users, orders and items of each run at most are read again after each later one."""

Load = Callable[[Settings, Up, Sequence[Planned]], Loaded]
"""`Load` loads a stack, and puts faults in meanwhile."""


Ids = Mapping[str, Collection[str]]
"""Ids are by kind, as `bench.judge.final_reads.ids_in` returns them."""
Read = Callable[[str, Ids], Final]
"""`Read` reads entities by a gateway's URL. It raises `BenchError` where that does not answer."""


class Kept:
    """Some of what each run left on a stack is kept: no later fault may change it."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._left: dict[str, Final] = {}
        """The run's id leads to what it left."""

    def changed(self, url: str) -> tuple[list[str], list[str]]:
        """`changed` returns a line for each earlier run of which anything is not as it was, and one
        where that can't be told."""
        lines = list[str]()
        for run_id, left in self._left.items():
            try:
                names = self._names(url, left)
            except WrongReadError as cause:
                lines.append(f"what run {run_id} left can't be read any more: {cause}")
                continue
            except BenchError as cause:  # nor are the others: each would be waited for
                return lines, [f"what run {run_id} and later ones left could not be read: {cause}"]
            if names:
                lines.append(f"what run {run_id} left has changed in {len(names)}: {names[0]}")
        return lines, []

    def _names(self, url: str, left: Final) -> list[str]:
        """What of it is not as it was. Raises `BenchError`."""
        ids = dict(zip(READS, (left.users, left.orders, left.items), strict=True))
        return [
            f"{entity_id} was {_told(entity)} and is {_told(then[entity_id])}"
            for before, then in zip(left, self._read(url, ids), strict=True)
            for entity_id, entity in before.items()
            if _told(entity) != _told(then[entity_id])
        ]

    def keep(self, url: str, run_id: str, history: Iterable[Row], seed: int) -> None:
        """`keep` chooses some of a run's entities, and reads them."""
        chance = random.Random(seed)
        self._left[run_id] = self._read(url, {
            kind: chance.sample(found, min(len(found), KEPT_EACH_MAX))
            for kind, found in ids_in(history).items()
        })  # fmt: skip


def _told(entity: Entity) -> dict[str, object] | None:
    """An entity without what each answer has of its own."""
    if entity is None:
        return None
    return {name: value for name, value in entity.items() if name != "request_id"}


class Campaign:
    """A campaign has a load, and a stack that lives as long as all its promises hold."""

    def __init__(
        self, load: Load, faults: Mapping[str, Fault], rate_per_s: float, after_s: float | None,
        results: Path, progress: Progress, options: Sequence[str] = (), read: Read = read_again,
    ) -> None:  # fmt: skip
        """`faults` are those that there are, by name. The load goes on for `after_s` after each
        healing; None: as the fault says. The stacks have these further `options` of ``up``."""
        self._load, self._faults, self._options = load, faults, options
        self._rate_per_s, self._after_s = rate_per_s, after_s
        self._results, self._progress = results, progress
        self._stack = ExitStack()
        self._up: Up | None = None
        self._has: Needs = ""
        self._read, self._kept = read, Kept(read)

    def __enter__(self) -> "Campaign":
        return self

    def __exit__(self, *error: object) -> None:
        self._end_stack()

    def recorded(self) -> dict[tuple[str, int], Found]:
        """`recorded` returns what an earlier campaign of this commit could tell, at this rate, by
        fault and seed: the newest of each."""
        found: dict[tuple[str, int], Found] = {}
        own_id = commit().id
        for path in sorted(self._results.glob(f"*/{FILE}")):
            one = read_found(path)
            if one is None or one.fault not in self._faults or one.state == "unknown":
                continue
            if one.commit.split()[0] == own_id and one.rate_per_s == self._rate_per_s:
                found[one.fault, one.seed] = one
        return found

    def run(self, names: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[Found, Path]]:
        """`run` yields what was found, and the folder of its run, which has it as fault.json.

        Faults that need the same come together, so that each seed has as few stacks as can be. It
        raises `BenchError` for what can't be written, and `StackError`.
        """
        for seed in seeds:
            for name in sorted(names, key=lambda name: self._faults[name].needs):
                yield self._one(name, self._faults[name].of(seed), seed)

    def _one(self, name: str, fault: Fault, seed: int) -> tuple[Found, Path]:
        began_s = time.monotonic()
        settings = settings_of(fault, seed, self._rate_per_s, self._after_s)
        self._progress(f"fault {name}, seed {seed}: {settings.duration_s:g} s of load")
        up = self._stack_for(fault)
        if not up.is_fresh:
            settings = replace(settings, first_warmup_s=0.0)
        up.is_fresh = False
        loaded = self._load(settings, up, [Planned(name, fault, seed, fault.start_s)])
        bitten = Bitten(None, None, "")
        for _, _, began_ns, healed_ns, bite in loaded.injected:
            told = bite.proof, bite.broken, bite.unsure, bite.struck_ns
            bitten = Bitten(began_ns, healed_ns, *told)
        found = judge(name, fault, loaded, bitten)
        found = self._kept_since(found, up.url, loaded)
        found = replace(found, took_s=round(time.monotonic() - began_s, 1))
        write(loaded.folder / FILE, to_json(asdict(found)))
        if found.broken:  # whatever is left of it is no next fault's doing
            self._end_stack()
        return found, loaded.folder

    def _kept_since(self, found: Found, url: str, loaded: Loaded) -> Found:
        changed, unsure = self._kept.changed(url)
        try:
            self._kept.keep(url, loaded.run.run_id, loaded.history, found.seed)
        except BenchError as cause:
            unsure.append(f"what it left could not be read: {cause}")
        broken = [*found.broken, *changed]
        return replace(found, broken=broken, unsure=[*found.unsure, *unsure])

    def _stack_for(self, fault: Fault) -> Up:
        if self._up is not None and self._has != fault.needs:
            self._end_stack()
        if self._up is None:
            self._has = fault.needs
            up = Up(self._progress, needs=fault.needs, options=self._options)
            self._up = self._stack.enter_context(up)
        self._up.until_ready()
        return self._up

    def _end_stack(self) -> None:
        self._stack.close()
        self._up, self._kept = None, Kept(self._read)


def settings_of(fault: Fault, seed: int, rate_per_s: float, after_s: float | None) -> Settings:
    """`settings_of` returns those of the load: an open loop, of which any share may fail."""
    measured_s = fault.span_s + (fault.after_s if after_s is None else after_s)
    return Settings(
        users=(), rate=rate_of(rate_per_s), seed=seed, duration_s=measured_s, max_failed=1.0,
        first_warmup_s=WARM_UP_S, in_flight_max=in_flight_max(rate_per_s, fault.deadline_s),
    )  # fmt: skip


def in_flight_max(rate_per_s: float, deadline_s: float) -> int:
    """`in_flight_max` returns how many requests wait where nobody answers, up to `WAITING_MAX`:
    none of the load is held back, and each has its end within its deadline and one more second."""
    return min(WAITING_MAX, max(IN_FLIGHT_MAX, ceil(rate_per_s * (deadline_s + LATE_S_MAX))))


def read_found(path: Path) -> Found | None:
    """`read_found` returns what a fault.json says; None where another version wrote it."""
    try:
        content = orjson.loads(path.read_bytes())
        return Found(**content) if content.keys() == {f.name for f in fields(Found)} else None
    except (OSError, ValueError, AttributeError):
        return None
