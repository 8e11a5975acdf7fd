"""A study goes on where it was, and keeps what it has."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from support.made_run import made_run
from support.made_study import (
    COMMIT,
    ENVIRONMENT,
    PHASES,
    WINDOWS,
    at_least,
    figures,
    point,
    study,
    whole,
)
from support.schema_form import of_schema, of_type

from bench.errors import UsageError
from bench.records.run_files import read_run
from bench.records.run_record import Verdict
from bench.records.versioned_json import RunFileError, VersionError
from bench.run.settings import Settings
from bench.scaling.axes import AXES, RATE, WAY, options_of
from bench.scaling.study import (
    MACHINE,
    Wanted,
    figures_of,
    machine_of,
    missing,
    resume,
    settings_of,
    with_machine,
    with_point,
)
from bench.scaling.study_record import (
    FILE,
    SCHEMA_FILE,
    SCHEMA_VERSION,
    Machine,
    Pair,
    Point,
    Study,
    read_study,
    write_study,
)
from system.runtime.options import StackOptions


def test_the_schema_describes_the_study() -> None:
    schema = orjson.loads(SCHEMA_FILE.read_bytes())
    assert of_schema(schema) == of_type(Study)


def test_a_study_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_study(tmp_path, whole())
    assert read_study(tmp_path) == whole()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"schema_version": 1}', b"[]"])
def test_what_is_no_study_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(RunFileError):
        read_study(tmp_path)


def test_a_study_of_another_version_is_told(tmp_path: Path) -> None:
    write_study(tmp_path, replace(whole(), schema_version=SCHEMA_VERSION + 1))
    with pytest.raises(VersionError, match="newer version"):
        read_study(tmp_path)


def test_only_what_is_sound_is_not_measured_again() -> None:
    rates = [Wanted(RATE, value) for value in AXES[RATE].values]
    assert missing(study(), [RATE]) == rates
    assert missing(study(point(RATE, 0.1), point(RATE, 0.2, verdict="void")), [RATE]) == rates[1:]
    assert missing(whole(), [RATE]) == []


@pytest.mark.parametrize(
    ("own", "base", "left"),
    [
        (("valid", "valid", "valid"), ("valid", "valid", "valid"), 0),
        (("valid", "void", "valid"), ("valid", "valid", "valid"), 0),
        (("valid", "void", "valid"), ("valid", "valid", "failed"), 3),
        (("void", "void", "void"), ("valid", "valid", "valid"), 3),
        (("void",) * 3 + ("valid",) * 3, ("valid",) * 6, 3),
        (("void",) * 3 + ("valid",) * 4, ("valid",) * 7, 0),
        (("valid",), ("valid",), 2),
        ((), (), 3),
    ],
)
def test_a_point_is_sound_by_most_of_its_pairs(
    own: Sequence[Verdict], base: Sequence[Verdict], left: int
) -> None:
    pairs = [Pair(figures(verdict=each), figures(verdict=other)) for each, other in
             zip(own, base, strict=True)]  # fmt: skip
    found = Point("gateways", 2.0, pairs)
    assert study().pairs_left(found) == left
    assert study(found).of("gateways") == ([] if left else [found])


def test_a_ratio_is_of_sound_pairs_alone() -> None:
    pairs = [
        Pair(figures(p99_ms=own, verdict=verdict), figures(p99_ms=base))
        for own, base, verdict in (
            *((30.0, 10.0, "valid"), (900.0, 10.0, "void"), (10.0, 20.0, "valid")),
        )
    ]
    found = Point("gateways", 2.0, pairs)
    assert found.ratios(lambda run: run.p99_ms) == [3.0, 0.5]
    assert found.ratio(lambda run: run.p99_ms) == 1.75
    assert found.ratio(lambda run: run.cpu_us.get("nobody")) is None
    assert study(found).base(lambda run: run.p99_ms, "gateways") == 15.0
    assert study(found).base(lambda run: run.p99_ms, RATE) is None


@pytest.mark.parametrize(("own", "base", "is_sound"), [(0.06, 0.02, True), (0.08, 0.02, False),
                                                       (0.02, 0.08, False)])  # fmt: skip
def test_a_pair_whose_idle_stacks_differ_does_not_count(
    own: float, base: float, is_sound: bool
) -> None:
    pair = Pair(figures(beside_share=own), figures(beside_share=base))
    assert pair.is_sound == is_sound


def test_a_slow_hour_is_taken_out() -> None:
    """The base beside a point is as slow as it is."""
    found = study(point("gateways", 1.0, (1.0, 1.0, 1.0)), point("gateways", 2.0, (1.0, 2.5, 4.0)))
    for each in found.points:
        at_usual = [own.p99_ms / slower for slower, own in found.at_usual_speed(each)]
        assert at_usual == pytest.approx([figures().p99_ms] * len(at_usual))


def test_another_commit_or_machine_goes_on_elsewhere(tmp_path: Path) -> None:
    assert resume(tmp_path, COMMIT, ENVIRONMENT, WINDOWS).points == []
    write_study(tmp_path, whole())
    assert resume(tmp_path, COMMIT, ENVIRONMENT, WINDOWS) == whole()
    for commit, environment in (
        (replace(COMMIT, id="9876543210"), ENVIRONMENT),
        (COMMIT, replace(ENVIRONMENT, cores=4)),
    ):
        with pytest.raises(UsageError, match="choose another --out"):
            resume(tmp_path, commit, environment, WINDOWS)


def test_nobody_knows_what_a_study_with_changes_was_measured_with(tmp_path: Path) -> None:
    dirty = replace(COMMIT, dirty=True)
    assert resume(tmp_path, dirty, ENVIRONMENT, WINDOWS).points == []
    write_study(tmp_path, replace(whole(), commit=dirty))
    with pytest.raises(UsageError, match=r"changes are not committed.* choose another --out"):
        resume(tmp_path, dirty, ENVIRONMENT, WINDOWS)


def test_a_latency_of_which_only_a_bound_is_known_is_not_sound() -> None:
    found = study(point(RATE, 0.1, is_bound=True))
    assert found.of(RATE) == []
    assert missing(found, [RATE])[0] == Wanted(RATE, 0.1)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"duration_s": 4.0}, "3 pairs of windows of 20 s .* not 3 pairs of windows of 4 s"),
        ({"pairs": 1}, "has 3 pairs of windows of 20 s after 3 s, by 1 generators, not 1 pairs"),
        ({"generators": 2}, "not 3 pairs of windows of 20 s after 3 s, by 2 generators"),
    ],
)
def test_quick_points_are_no_part_of_a_study(
    tmp_path: Path, changed: dict[str, float], says: str
) -> None:
    write_study(tmp_path, whole())
    with pytest.raises(UsageError, match=says):
        resume(tmp_path, COMMIT, ENVIRONMENT, replace(WINDOWS, **changed))


def test_a_measured_point_takes_the_place_of_an_earlier_one() -> None:
    found = with_point(study(point("gateways", 1.0, verdict="void")), point("gateways", 1.0))
    assert found.points == [point("gateways", 1.0)]
    made = [
        Machine({"gateways": 2.0}, point(MACHINE, 1.0, verdict=each)) for each in ("void", "valid")
    ]
    both = with_machine(with_machine(found, made[0]), made[1])
    assert both.machines == [made[1]]
    assert machine_of(both, {"gateways": 2.0}) == made[1]
    assert machine_of(both, {"gateways": 3.0}) is None


def test_a_value_may_be_of_the_load() -> None:
    base = settings_of(Settings())
    assert (base.rate, base.users, base.saturation_users, base.kafka) == ("100", (), 256, None)
    basket = settings_of(Settings(), point("basket", 50.0))
    assert (basket.scenario, basket.basket, basket.saturation_users) == ("checkout", 50, 256)
    payload = settings_of(Settings(), point("payload", 4096.0))
    assert (payload.kafka, payload.record_bytes, payload.saturation_users) == ("own", 4096, 0)
    way = settings_of(Settings(), point(WAY, 1.0))
    assert (way.kafka, way.saturation_users) == ("own", 0)
    assert settings_of(Settings(), point(MACHINE, 1.0)) == base


def test_every_value_of_every_axis_is_a_stack() -> None:
    for axis, value in missing(study(), [*AXES]):
        assert isinstance(options_of({axis: value}), StackOptions)
    assert options_of({"partitions": 16.0}).partitions == 16
    found = options_of({"taskmanagers": 3.0})
    assert (found.taskmanagers, found.parallelism, found.partitions) == (3, 3, 12)
    assert options_of({"gateways": 3.0}).workers == 3
    assert options_of({"checkpoint-interval": 0.5}).checkpoint_interval_s == 0.5
    assert options_of({"state-backend": 2.0}).state_backend == "hashmap"
    assert options_of({RATE: 0.5}) == StackOptions()
    several = options_of({"partitions": 4.0, "gateways": 2.0})
    assert several == replace(StackOptions(), partitions=4, workers=2)


def test_a_run_becomes_figures(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", PHASES)
    run = read_run(folder)
    found = figures_of(run, folder, 100.0)
    windows = {phase.name: window for phase, window in run.windows}
    assert found.p99_ms == windows["open"].latency_ms.p99
    for names, is_bound in ((["p99", "max"], True), (["p99.9", "max"], False)):
        again = at_least(run, names)
        assert figures_of(again, folder, 100.0).is_bound == is_bound
    assert found.saturated_per_s == windows["users-256"].throughput_per_s
    assert found.cpu_us["flink"] == windows["open"].cpu["flink"].us_per_request
    assert found.rss_mib["flink"] > 0


def test_a_run_without_a_window_has_no_figures(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", PHASES[1:])
    assert figures_of(read_run(folder), folder, 100.0) is None
