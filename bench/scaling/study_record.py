"""A study is what study.json holds, as study.schema.json describes it: points, each of one run.

Each class is an object of the file; its attributes are the keys.
"""

from dataclasses import dataclass
from pathlib import Path

import jsonschema
import orjson

from bench.records.run_record import CommitRecord, Environment, RunRecord, Verdict
from bench.records.typed_json import of_plain, to_plain
from bench.records.versioned_json import RunFileError, read_part
from bench.result_files import to_json
from machine.whole_files import write

SCHEMA_VERSION = 3
SCHEMA_FILE = Path(__file__).with_name("study.schema.json")
FILE = "study.json"


@dataclass(frozen=True)
class Point:
    """A point is one run: a value of one axis, all else as in the base configuration."""

    axis: str
    value: float
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
    """A request took this CPU time of each group of processes."""
    rss_mib: dict[str, float]
    """Each part had so much memory at the end of the window."""
    saturated_per_s: float | None
    """So many requests were answered with users that send again at once; None where no such window
    was measured."""
    saturated_cpu_us: dict[str, float]

    @property
    def is_sound(self) -> bool:
        return self.verdict == "valid" and not self.is_bound


@dataclass(frozen=True)
class Windows:
    """The windows of a study are all of this length, and after this warm-up of a new stack."""

    duration_s: float
    warmup_s: float
    first_warmup_s: float


@dataclass(frozen=True)
class Study:
    schema_version: int
    commit: CommitRecord
    environment: Environment
    windows: Windows
    capacity_per_s: float | None
    """The base configuration answered so many with users that send again at once: the rates of the
    axis `rate` are shares of it. None until it was measured."""
    points: list[Point]

    def point(self, axis: str, value: float) -> Point | None:
        """`point` returns the last one that was measured there."""
        found = [each for each in self.points if (each.axis, each.value) == (axis, value)]
        return found[-1] if found else None

    def of(self, axis: str) -> list[Point]:
        """`of` returns the axis's sound points, by value."""
        sound = (each for each in self.points if each.axis == axis and each.is_sound)
        return sorted(sound, key=lambda each: each.value)

    def belongs_to(self, run: RunRecord) -> bool:
        """`belongs_to` tells whether a run was made with what the study was."""
        return (run.commit, run.environment) == (self.commit, self.environment)


def write_study(folder: Path, study: Study) -> None:
    """`write_study` writes all of it or nothing. It raises `OSError`."""
    write(folder / FILE, to_json(to_plain(study)))


def read_study(folder: Path) -> Study:
    """`read_study` raises `RunFileError` for what is missing, of another version or no study."""
    path = folder / FILE
    content = read_part(path, SCHEMA_VERSION)
    try:
        jsonschema.validate(content, orjson.loads(SCHEMA_FILE.read_bytes()))
    except jsonschema.ValidationError as cause:
        raise RunFileError(f"{path} is not a study: {cause.message}") from None
    return of_plain(Study, content)
