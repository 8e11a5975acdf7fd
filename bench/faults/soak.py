"""A soak is one long load with a fault again and again; what the system holds must not grow."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import inf
from pathlib import Path

from bench.faults.campaign import WARM_UP_S, Load, in_flight_max
from bench.faults.fault import DEADLINE_S, FAULTS, PARTS, Fault, Injected, Planned
from bench.faults.judgement import (
    SECOND_NS,
    Bitten,
    Found,
    Loaded,
    is_done,
    judge,
    lost_s,
    others_failed,
)
from bench.faults.up import HEAP_EACH_S, SUPERVISOR, Up
from bench.records.series import Series
from bench.records.series_file import read_series
from bench.result_files import to_json
from bench.run.model import Progress
from bench.run.settings import Settings
from bench.stats.growth import POINTS_MIN, growth_share, peak_growth_share
from bench.workload.arrivals import rate_of
from machine.whole_files import write
from system.runtime.options import StackOptions
from system.runtime.parts import GATEWAY, JOBMANAGER, KAFKA, TASKMANAGER, kind_of

EVERY_S = 15.0
"""A fault comes after each so long time."""
FAULTS_BEGIN_S = 5.0
"""The first fault comes so long after the begin."""
GENTLE = ("pause-broker-5", "poison", "replay-at-once", "replay-changed")
KILLS = ("kill-gateway", "kill-taskmanager", "kill-jobmanager", "kill-broker")
NAMES = (*KILLS, *GENTLE)
"""These faults come; the kills in the first sixth only, so that each process has another sixth to
get warm before it is judged."""
KILLS_SHARE = 1 / 6
"""The kills come in this share of a soak, at its begin, where growth can be judged at all."""
JUDGED_SHARE = 2 / 3
"""Growth is judged over this share of a soak, at its end."""
JUDGED_S_MIN = 240.0
"""Growth over a shorter time is not judged: a JVM takes minutes to its size."""
TOPIC_MIB = 16
"""The input topics keep so little that at some hundred requests/s most of them are full."""
KNOWN_MIB = 2
"""The services have so little of their state packed that it is full within ten minutes."""
REQUESTS_TIMES_MAX = 1.5
"""The input topics may have so many times as much together as they keep: a broker removes what is
too much each half a minute, and by whole segments."""
REPLIES_GROW_S = 15 * 60.0
"""The reply topics grow for so long after the begin, and after a kill, when few replies come: until
those go that are older than ten minutes."""
REPLIES_SWING_S = 5 * 60.0
"""They climb and fall by a segment, which is full in less time."""
WINDOW_S = 60
"""A request may be sent again for so long only: what is remembered has its full size long before
the end."""
STATE_GROWS_S = 28 * 60.0
"""The checkpoints grow until RocksDB has first compacted all of them, which was 24 and 27 minutes
after the begin: what the services have forgotten by then, from the eighth minute on, is in them."""
STATE_SETTLES_S = 10 * 60.0
"""The state may grow for so long after a kill: a job forgets nothing in its first 5 to 10
minutes."""
JVM_OPTIONS = "-XX:+AlwaysPreTouch"
"""Each JVM has these options: a page of the heap that is used for the first time is no growth."""


@dataclass(frozen=True)
class Held:
    """A part holds something, which a series tells of."""

    series: str
    part: str
    """The part holds it, or all together where this is empty."""
    share_max: float
    """It may grow by this share."""
    grows_s: float = 0.0
    """It grows by design for so long after the begin."""
    settles_s: float = 0.0
    """It grows by design for so long after a kill of its part."""
    points_min: int = POINTS_MIN
    """Its growth is not known from fewer points."""
    swing_s: float = 0.0
    """It climbs and falls by design, in so long at most: then its peaks are compared."""


GAP_S_MAX = 3 * HEAP_EACH_S
"""A part that nobody looked at for so long is not known to be flat."""
SAMPLED_NS = 2 * SECOND_NS
"""A part that was killed may be seen to have ended so long before it is told, and the other way
round: it is looked for once a second."""
HEAP_POINTS_MIN = 8
"""The slope of fewer looks at a heap is not known."""
HEAP_SETTLES_S = 5 * 60.0
"""The live heap of a new JVM may grow for so long, until it has all of its classes and caches."""
HEAP_SHARE_MAX = 0.1
"""The live heap may grow by this share: what is under way at a look is in it."""
RSS_SHARE_MAX = 0.02
"""Resident memory may grow by this share over the last two thirds."""
FILES_SHARE_MAX = 0.05
"""Open files may grow by this share: each connection is one, and comes and goes."""
REPLIES_SHARE_MAX = 0.1
"""Replies may grow by this share: they go by whole segments."""
STATE_SHARE_MAX = 0.25
"""The peak of the checkpoints may grow by this share from half to half: a half may miss the top of
a swing. Where nothing is forgotten it grows by a third."""
STATE_SWING_S = 12 * 60.0
"""RocksDB's universal compaction lets the checkpoints climb to about twice what lives, and fall, in
so long."""
SWINGS_MIN = 1.2
"""Peaks are compared over at least so many swings: of fewer, a half misses too much of one."""
HELD = (
    *(Held(f"rss_mib.{part}", part, RSS_SHARE_MAX) for part in (SUPERVISOR, GATEWAY, KAFKA)),
    *(Held(f"part.rss_mib.{part}", part, RSS_SHARE_MAX) for part in (JOBMANAGER, TASKMANAGER)),
    *(
        Held(f"files.{part}", part, FILES_SHARE_MAX)
        for part in (SUPERVISOR, GATEWAY, KAFKA, JOBMANAGER, TASKMANAGER)
    ),
    *(
        Held(
            f"heap_mib.{part}",
            part,
            HEAP_SHARE_MAX,
            settles_s=HEAP_SETTLES_S,
            points_min=HEAP_POINTS_MIN,
        )
        for part in (KAFKA, JOBMANAGER, TASKMANAGER)
    ),
    Held(
        *("disk_mib.replies", "", REPLIES_SHARE_MAX, REPLIES_GROW_S, REPLIES_GROW_S),
        swing_s=REPLIES_SWING_S,
    ),
    Held(
        *("disk_mib.checkpoints", "", STATE_SHARE_MAX, STATE_GROWS_S, STATE_SETTLES_S),
        swing_s=STATE_SWING_S,
    ),
)
"""`HELD` has all that must be flat."""


@dataclass(frozen=True)
class Grown:
    """A part grew by a share."""

    series: str
    watched_s: float
    """It was judged over so long, at the end."""
    share: float | None
    """The share is None where it is not known."""
    share_max: float
    watched_s_min: float = JUDGED_S_MIN
    """A shorter time does not tell."""


@dataclass(frozen=True)
class Soaked:
    """A soak found this."""

    found: Found
    faults: list[str]
    """These lines tell of each fault, and what proves it."""
    grown: list[Grown]


def plan(seed: int, names: Sequence[str], duration_s: float, every_s: float) -> list[Planned]:
    """`plan` returns the faults of a soak: each once in a round, in an order that the seed chooses.

    Where growth can be judged at all, what kills comes at the begin only, and what comes last has
    the time to be over.
    """
    chance = random.Random(seed)
    gentle = [name for name in names if not FAULTS[name].kills]
    planned: list[Planned] = []
    left: list[str] = []
    for number in range(int(duration_s // every_s)):
        at_s = number * every_s + FAULTS_BEGIN_S
        is_judged = duration_s * JUDGED_SHARE >= JUDGED_S_MIN
        is_late = is_judged and at_s > duration_s * KILLS_SHARE
        left_s = duration_s - at_s if is_judged else inf
        chosen = gentle if is_late else names
        allowed = [name for name in chosen if FAULTS[name].takes_s <= left_s]
        left = [name for name in left if name in allowed]
        if not left:
            left = chance.sample(allowed, len(allowed))
        if left:
            name = left.pop()
            one_seed = chance.randrange(2**31)
            planned.append(Planned(name, FAULTS[name].of(one_seed), one_seed, at_s))
    return planned


def soak(
    load: Load, seed: int, rate_per_s: float, duration_s: float, planned: Sequence[Planned],
    progress: Progress,
) -> tuple[Soaked, Path]:  # fmt: skip
    """`soak` returns what was found, and the folder of its run, which has it as soak.json.

    It raises `BenchError` for what can't be written, and `StackError`.
    """
    options = f"--topic-mib {TOPIC_MIB} --known-mib {KNOWN_MIB} --window-s {WINDOW_S}".split()
    with Up(progress, options=options, environment={"JDK_JAVA_OPTIONS": JVM_OPTIONS}) as up:
        loaded = load(load_of(seed, rate_per_s, duration_s), up, planned)
    loaded = loaded._replace(history=list(loaded.history))  # its files are read once
    found = judge("soak", together(loaded.injected), loaded, bitten(loaded.injected, planned))
    series, late = held_series(loaded), outages(loaded)
    grown = list(growths(loaded, series))
    others = others_failed(loaded.history, loaded.injected)
    found = replace(
        found,
        broken=[
            *found.broken,
            *([] if late else others),
            *(told(each) for each in grown if _is_over(each)),
            *overfull(series),
            *unbidden(series, loaded.injected),
        ],
        unsure=[
            *found.unsure,
            *late,
            *(others if late else []),
            *(told(each) for each in grown if each.share is None),
        ],
    )
    faults = [f"{each.name}: {each.bite.proof}" for each in loaded.injected]
    soaked = Soaked(found, faults, grown)
    write(loaded.folder / "soak.json", to_json(asdict(soaked)))
    return soaked, loaded.folder


def load_of(seed: int, rate_per_s: float, duration_s: float) -> Settings:
    """`load_of` returns the settings of a soak's load."""
    return Settings(
        scenario="steady", users=(), rate=rate_of(rate_per_s), seed=seed, duration_s=duration_s,
        max_failed=1.0, first_warmup_s=WARM_UP_S,
        in_flight_max=in_flight_max(rate_per_s, DEADLINE_S),
    )  # fmt: skip


def unbidden(series: Series, injected: Sequence[Injected]) -> list[str]:
    """`unbidden` returns a line for each part that ended, or got all new processes, when no fault
    had killed it: whatever mends the stack starts it at once, and the load hardly sees it."""
    spans = [
        (part, each.began_ns - SAMPLED_NS, each.healed_ns + round(each.fault.recovery_s_max * 1e9))
        for each in injected
        for part in each.fault.kills
    ]
    ends = [(event, event.text.partition(" ")[0]) for event in series.events]
    return [
        f"{event.text} at second {(event.at_ns - series.at_ns[0]) / SECOND_NS:.0f}, by no fault"
        for event, name in ends
        if event.kind == "fault"
        and kind_of(name) in PARTS  # else a reading failed, or the job, or a fault was put in
        and not any(
            name == part and began_ns <= event.at_ns <= ended_ns
            for part, began_ns, ended_ns in spans
        )
    ]


def together(done: Sequence[Injected]) -> Fault:
    """`together` returns what may be expected of a load that met all of these faults; it has the
    goal of the last one, from which the recovery counts."""
    parts = {part for each in done for part in each.fault.kills}
    return Fault(
        "kill", done[-1].fault.recovery_s_max if done else 0.0, "",
        tuple(sorted(parts)), others_ask=any(each.fault.others_ask for each in done),
        may_cut=any(each.fault.may_cut for each in done),
    )  # fmt: skip


def outages(loaded: Loaded) -> list[str]:
    """`outages` returns a line where the throughput was lost later than the goal of any fault
    before: by no fault, or by one that it recovers from too slowly on this machine."""
    windows = [phase.window for phase in loaded.run.phases if phase.window is not None]
    if not windows:
        return []
    answers = sorted(row.done_ns for row in loaded.history if is_done(row))
    excused = [
        (each.began_ns, each.healed_ns + round(each.fault.recovery_s_max * SECOND_NS))
        for each in loaded.injected
    ]
    lost = lost_s(answers, (windows[-1].opened_ns, windows[-1].closed_ns), excused)
    told_of = f"the throughput was lost for {len(lost)} s after any goal, from second"
    return [f"{told_of} {lost[0]} on"] if lost else []


def bitten(done: Sequence[Injected], planned: Sequence[Planned]) -> Bitten:
    """`bitten` returns all of the faults as one, from the last of which the recovery counts."""
    if not done:
        return Bitten(None, None, "")
    missed = [each.name for each in done if not each.bite.proof]
    broken = [f"{name}: nothing shows that it bit" for name in missed]
    broken += [f"{each.name}: {line}" for each in done for line in each.bite.broken]
    unsure = [f"{each.name}: {line}" for each in done for line in each.bite.unsure]
    unsure += [f"{each.name}: it was not put in" for each in planned[len(done) :]]
    last = done[-1]
    proof = f"{len(done)} faults"
    from_ns = last.healed_ns if last.fault.lasts else last.bite.struck_ns
    return Bitten(last.began_ns, last.healed_ns, proof, broken, unsure, from_ns)


def held_series(loaded: Loaded) -> Series:
    """`held_series` returns what was sampled under the load; nothing where there was none."""
    name = loaded.run.phases[-1].series if loaded.run.phases else None
    return Series([], {}, []) if name is None else read_series(loaded.folder / name)


def overfull(series: Series) -> list[str]:
    """`overfull` says whether the input topics had more than they may have."""
    known = [value for value in series.series.get("disk_mib.requests", ()) if value is not None]
    most, allowed = max(known, default=0.0), requests_mib_max()
    told_of = f"the input topics had {most:.0f} MiB, more than {allowed:.0f}"
    return [told_of] if most > allowed else []


def requests_mib_max() -> float:
    """`requests_mib_max` returns how much the input topics of a soak may have together."""
    return REQUESTS_TIMES_MAX * StackOptions(topic_mib=TOPIC_MIB).topics_mib


def growths(loaded: Loaded, series: Series) -> Iterator[Grown]:
    """`growths` yields how much each of `HELD` grew, from when it is not to; unknown where nobody
    looked."""
    window = loaded.run.phases[-1].window if loaded.run.phases else None
    opened_ns, closed_ns = (window.opened_ns, window.closed_ns) if window else (0, 0)
    for held in HELD:
        from_ns = judged_from_ns(held, opened_ns, closed_ns, loaded.injected)
        yield grown_since(series, held, from_ns, closed_ns)


def judged_from_ns(held: Held, opened_ns: int, closed_ns: int, injected: Sequence[Injected]) -> int:
    """`judged_from_ns` returns when it is not to grow any more: over `JUDGED_SHARE`, or where it
    grows by design, later."""
    judged_ns = round((closed_ns - opened_ns) * JUDGED_SHARE)
    began = [closed_ns - judged_ns, opened_ns + int(held.grows_s * 1e9)]
    for each in injected:
        if held.part in each.fault.kills or (each.fault.kills and not held.part):
            began.append(each.healed_ns + int(held.settles_s * 1e9))
    return max(began)


def grown_since(series: Series, held: Held, from_ns: int, closed_ns: int) -> Grown:
    """`grown_since` returns how much it grew between two times; unknown where they are too near, or
    not all of the time was looked at."""
    watched_s = max(0.0, (closed_ns - from_ns) / 1e9)
    share = None
    if watched_s >= watched_s_min(held):
        known = [
            (at_ns / 1e9, value)
            for at_ns, value in zip(series.at_ns, series.series.get(held.series, ()), strict=False)
            if value is not None and from_ns <= at_ns <= closed_ns
        ]
        times, values = [at_s for at_s, _ in known], [value for _, value in known]
        edges = (from_ns / 1e9, *times, closed_ns / 1e9)
        if max(later - sooner for sooner, later in pairwise(edges)) <= GAP_S_MAX:
            grew = peak_growth_share if held.swing_s else growth_share
            share = grew(times, values, held.points_min)
    return Grown(held.series, round(watched_s, 1), share, held.share_max, watched_s_min(held))


def watched_s_min(held: Held) -> float:
    """`watched_s_min` returns how long it must be watched for its growth to be known."""
    return max(JUDGED_S_MIN, SWINGS_MIN * held.swing_s)


def _is_over(grown: Grown) -> bool:
    return grown.share is not None and grown.share > grown.share_max


def told(grown: Grown) -> str:
    """`told` returns it as a line."""
    if grown.share is None:
        least = f"at least {grown.watched_s_min:g} s are needed, without gaps"
        return f"{grown.series}: can't tell from {grown.watched_s:.0f} s: {least}"
    return f"{grown.series}: {grown.share:+.1%} in {grown.watched_s:.0f} s"
