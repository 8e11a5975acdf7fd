"""A study is what study.json holds, as study.schema.json describes it: points, each of some pairs.

Each class is an object of the file; its attributes are the keys.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import jsonschema
import orjson

from bench.records.run_record import CommitRecord, Environment, Verdict
from bench.records.typed_json import of_plain, to_plain
from bench.records.versioned_json import RunFileError, read_part
from machine.whole_files import write

SCHEMA_VERSION = 4
SCHEMA_FILE = Path(__file__).with_name("study.schema.json")
FILE = "study.json"
BESIDE_APART_MAX = 0.05
"""The idle stacks beside the two runs of a pair may differ by this share of the machine's time:
each slows the other one down."""


@dataclass(frozen=True)
class Figures:
    """Figures are those of one run."""

    run_id: str
    verdict: Verdict
    rate_per_s: float
    """The rate of the open loop; the figures below are of its window."""
    answered_per_s: float
    p50_ms: float
    p99_ms: float
    is_bound: bool
    """The flag says that of p50 or p99 only a lower bound is known: requests had no answer."""
    cpu_us: dict[str, float]
    """A request took this CPU time of each group of processes, without what JVMs compile."""
    rss_mib: dict[str, float]
    """Each part had so much memory at the end of the window."""
    beside_share: float
    """The other stack of the pair, which had no load, took this share of the machine's time."""
    saturated_per_s: float | None
    """So many requests were answered with users that send again at once; None where no such window
    was measured."""
    saturated_cpu_us: dict[str, float]

    @property
    def is_sound(self) -> bool:
        return self.verdict == "valid" and not self.is_bound


Figure = Callable[[Figures], float | None]
"""`Figure` reads one figure of a run, None where it was not measured."""


@dataclass(frozen=True)
class Pair:
    """A pair is a run with the value, and one of the base right before or after it."""

    own: Figures
    base: Figures

    @property
    def is_sound(self) -> bool:
        return self.own.is_sound and self.base.is_sound and not self.is_apart

    @property
    def is_apart(self) -> bool:
        """`is_apart` tells whether one of the two was disturbed more by the other's idle stack."""
        return abs(self.own.beside_share - self.base.beside_share) > BESIDE_APART_MAX


@dataclass(frozen=True)
class Point:
    """A point is a value of one axis, all else as in the base."""

    axis: str
    value: float
    pairs: list[Pair]

    @property
    def sound(self) -> list[Pair]:
        return [pair for pair in self.pairs if pair.is_sound]

    def ratios(self, figure: Figure) -> list[float]:
        """`ratios` returns what a figure is to the base's, in each sound pair that tells it."""
        told = ((figure(pair.own), figure(pair.base)) for pair in self.sound)
        return [own / base for own, base in told if own is not None and base]

    def ratio(self, figure: Figure) -> float | None:
        """`ratio` returns the median of the ratios, None where no pair tells it."""
        return median(ratios) if (ratios := self.ratios(figure)) else None


@dataclass(frozen=True)
class Machine:
    """A machine is set up in several ways at once, of which a plan says what it takes."""

    settings: dict[str, float]
    """The settings are values of axes, by name."""
    point: Point


@dataclass(frozen=True)
class Windows:
    """The windows of a study are all of this length, and after this warm-up of a new stack."""

    duration_s: float
    warmup_s: float
    first_warmup_s: float
    pairs: int
    """Each point has so many pairs."""
    generators: int
    """So many processes send."""


@dataclass(frozen=True)
class Study:
    schema_version: int
    commit: CommitRecord
    environment: Environment
    windows: Windows
    points: list[Point]
    machines: list[Machine]

    def pairs_left(self, point: Point | None) -> int:
        """`pairs_left` returns how many pairs a point lacks: as many again where no more than half
        of those that were tried are sound."""
        wanted, tried = self.windows.pairs, 0 if point is None else len(point.pairs)
        if point is None or tried < wanted:
            return wanted - tried
        return 0 if 2 * len(point.sound) > tried else wanted

    def point(self, axis: str, value: float) -> Point | None:
        found = (each for each in self.points if (each.axis, each.value) == (axis, value))
        return next(found, None)

    def of(self, axis: str) -> list[Point]:
        """`of` returns the axis's sound points, by value."""
        own = (each for each in self.points if each.axis == axis and not self.pairs_left(each))
        return sorted(own, key=lambda each: each.value)

    def base(self, figure: Figure, axis: str) -> float | None:
        """`base` returns the median of a figure over the sound runs of the base beside an axis."""
        told = (figure(pair.base) for point in self.of(axis) for pair in point.sound)
        known = [value for value in told if value is not None]
        return median(known) if known else None

    def at_usual_speed(self, point: Point) -> list[tuple[float, Figures]]:
        """`at_usual_speed` returns the sound runs of a point, each with how many times slower the
        machine was than as a rule of its axis: what the base takes at most is a clock beside it."""
        usual = self.base(lambda run: run.saturated_per_s, point.axis)
        told = ((pair.base.saturated_per_s, pair.own) for pair in point.sound)
        return [(usual / now, own) for now, own in told if usual and now]


def write_study(folder: Path, study: Study) -> None:
    """`write_study` writes all of it or nothing. It raises `OSError`."""
    write(folder / FILE, orjson.dumps(to_plain(study), option=orjson.OPT_APPEND_NEWLINE))


def read_study(folder: Path) -> Study:
    """`read_study` raises `RunFileError` for what is missing, of another version or no study."""
    path = folder / FILE
    content = read_part(path, SCHEMA_VERSION)
    try:
        jsonschema.validate(content, orjson.loads(SCHEMA_FILE.read_bytes()))
    except jsonschema.ValidationError as cause:
        raise RunFileError(f"{path} is not a study: {cause.message}") from None
    return of_plain(Study, content)
