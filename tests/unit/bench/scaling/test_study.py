"""A study goes on where it was, and keeps what it has."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from support.made_run import made_run
from support.made_samples import PhaseSpec
from support.made_study import COMMIT, ENVIRONMENT, QUEUE, SETTINGS, point, study, whole
from support.schema_form import of_schema, of_type

from bench.errors import UsageError
from bench.records.run_files import read_run
from bench.records.run_record import RunRecord, Verdict
from bench.records.versioned_json import RunFileError, VersionError
from bench.run.settings import Settings
from bench.scaling.axes import AXES, BASE, RATE, WAY
from bench.scaling.study import (
    Site,
    Wanted,
    gateway_cost,
    measure,
    missing,
    options_of,
    point_of,
    rate_of,
    resume,
    settings_of,
    with_point,
)
from bench.scaling.study_record import (
    FILE,
    SCHEMA_FILE,
    SCHEMA_VERSION,
    Study,
    read_study,
    write_study,
)
from system.runtime.options import StackOptions

PHASES = (
    PhaseSpec("open", rate_per_s=100, duration_s=5),
    PhaseSpec("users-256", users=256, rate_per_s=900, duration_s=5),
)


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
    assert missing(None, [RATE, BASE]) == [Wanted(BASE, 1.0), *rates]
    found = study(point(BASE, 1.0), point(RATE, 0.1), point(RATE, 0.2, verdict="void"))
    assert missing(found, [RATE, BASE]) == rates[1:]
    assert missing(whole(), [RATE, BASE]) == []


def test_another_commit_or_machine_goes_on_elsewhere(tmp_path: Path) -> None:
    assert resume(tmp_path, COMMIT, ENVIRONMENT, SETTINGS).points == []
    write_study(tmp_path, whole())
    assert resume(tmp_path, COMMIT, ENVIRONMENT, SETTINGS) == whole()
    for commit, environment in (
        (replace(COMMIT, id="9876543210"), ENVIRONMENT),
        (COMMIT, replace(ENVIRONMENT, cores=4)),
    ):
        with pytest.raises(UsageError, match="choose another --out"):
            resume(tmp_path, commit, environment, SETTINGS)


def test_nobody_knows_what_a_study_with_changes_was_measured_with(tmp_path: Path) -> None:
    dirty = replace(COMMIT, dirty=True)
    assert resume(tmp_path, dirty, ENVIRONMENT, SETTINGS).points == []
    write_study(tmp_path, replace(whole(), commit=dirty))
    with pytest.raises(UsageError, match=r"changes are not committed.* choose another --out"):
        resume(tmp_path, dirty, ENVIRONMENT, SETTINGS)


def test_a_latency_of_which_only_a_bound_is_known_is_not_sound() -> None:
    found = study(point(BASE, 1.0), point(RATE, 0.1, is_bound=True))
    assert found.of(RATE) == []
    assert missing(found, [RATE])[0] == Wanted(RATE, 0.1)


def test_quick_points_are_no_part_of_a_study(tmp_path: Path) -> None:
    quick = SETTINGS.quick()
    write_study(tmp_path, replace(resume(tmp_path, COMMIT, ENVIRONMENT, quick), points=[]))
    assert resume(tmp_path, COMMIT, ENVIRONMENT, quick).points == []
    with pytest.raises(UsageError, match=r"windows of 4 s after 1 s of warm-up, not of 20 s after"):
        resume(tmp_path, COMMIT, ENVIRONMENT, SETTINGS)


def test_a_measured_point_takes_the_place_of_an_earlier_one() -> None:
    found = with_point(study(point(BASE, 1.0, verdict="void")), point(BASE, 1.0))
    assert [each.verdict for each in found.points] == ["valid"]
    assert found.capacity_per_s == QUEUE.capacity_per_s
    void = with_point(replace(found, capacity_per_s=None), point(BASE, 1.0, verdict="void"))
    assert void.capacity_per_s is None


def test_rates_are_shares_of_the_capacity() -> None:
    wanted = Wanted(RATE, 0.5)
    assert rate_of(wanted, whole()) == QUEUE.capacity_per_s / 2
    settings = settings_of(wanted, Settings(), 1000.0)
    assert (settings.rate, settings.users, settings.saturation_users) == ("1000", (), 0)
    assert settings_of(Wanted(BASE, 1.0), Settings(), 100.0).saturation_users == 256


def test_a_value_may_be_of_the_load() -> None:
    basket = settings_of(Wanted("basket", 50.0), Settings(), 100.0)
    assert (basket.scenario, basket.basket, basket.saturation_users) == ("checkout", 50, 256)
    payload = settings_of(Wanted("payload", 4096.0), Settings(), 100.0)
    assert (payload.kafka, payload.record_bytes, payload.saturation_users) == ("own", 4096, 0)


def test_what_the_gateway_costs_is_the_difference_of_both_ways() -> None:
    by_http = point(WAY, 1.0, p50_ms=4.0, p99_ms=20.0)
    less = {"gateway": 1.0, "kafka": 90.0, "flink": 220.0, "generator": 29.0}
    into_kafka = point(WAY, 2.0, p50_ms=3.25, p99_ms=18.5, cpu_us=less)
    cost = gateway_cost(study(by_http, into_kafka))
    assert cost is not None
    assert "+0.75 ms of p50, +1.50 ms of p99 and +200 µs of CPU a request at 100/s" in cost
    assert gateway_cost(study(by_http)) is None
    restarted = replace(into_kafka, cpu_us={"gateway": 1.0, "kafka": 90.0, "generator": 29.0})
    assert gateway_cost(study(by_http, restarted)) is None
    void = replace(into_kafka, verdict="void")
    both = [Wanted(WAY, value) for value in AXES[WAY].values]
    assert missing(study(by_http, void), [WAY]) == both, "another day is another machine"
    assert missing(study(by_http, into_kafka), [WAY]) == []
    settings = [settings_of(Wanted(WAY, value), SETTINGS, 100.0) for value in AXES[WAY].values]
    assert [each.kafka for each in settings] == [None, "own"]
    assert len({options_of(Wanted(WAY, value)) for value in AXES[WAY].values}) == 1, "one stack"


def test_every_value_of_every_axis_is_a_stack() -> None:
    for wanted in missing(None, [*AXES]):
        assert isinstance(options_of(wanted), StackOptions)
    assert options_of(Wanted("partitions", 16.0)).partitions == 16
    found = options_of(Wanted("taskmanagers", 3.0))
    assert (found.taskmanagers, found.parallelism, found.partitions) == (3, 3, 12)
    assert options_of(Wanted("gateways", 3.0)).workers == 3
    assert options_of(Wanted("checkpoint-interval", 0.5)).checkpoint_interval_s == 0.5
    assert options_of(Wanted("state-backend", 2.0)).state_backend == "hashmap"
    assert options_of(Wanted(RATE, 0.5)) == StackOptions()


def at_least(run: RunRecord, names: list[str]) -> RunRecord:
    """The run with quantiles of these names of which only a lower bound is known."""
    phases = []
    for phase in run.phases:
        window = phase.window
        assert window is not None
        assert window.latency_ms is not None
        latency = replace(window.latency_ms, at_least=names)
        phases.append(replace(phase, window=replace(window, latency_ms=latency)))
    return replace(run, phases=phases)


def test_a_run_becomes_a_point(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", PHASES)
    run = read_run(folder)
    found = point_of(Wanted(BASE, 1.0), run, 100.0, folder)
    windows = {phase.name: window for phase, window in run.windows}
    assert found.p99_ms == windows["open"].latency_ms.p99
    for names, is_bound in ((["p99", "max"], True), (["p99.9", "max"], False)):
        again = at_least(run, names)
        assert point_of(Wanted(BASE, 1.0), again, 100.0, folder).is_bound == is_bound
    assert found.saturated_per_s == windows["users-256"].throughput_per_s
    assert found.cpu_us["flink"] == windows["open"].cpu["flink"].us_per_request
    assert found.rss_mib["flink"] > 0


def test_a_run_without_a_window_is_no_point(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", PHASES[1:])
    assert point_of(Wanted(BASE, 1.0), read_run(folder), 100.0, folder) is None


class Stacks:
    """Stacks whose runs are made up; the last but `ends_after` is ended by Ctrl-C, `verdicts` are
    of the first ones, and a run that is invalid has measured nothing."""

    def __init__(
        self, folder: Path, ends_after: int | None = None, verdicts: Sequence[Verdict] = ()
    ) -> None:
        self.folder = folder
        self.ends_after = ends_after
        self.verdicts = verdicts
        self.up: list[StackOptions] = []
        self.runs: list[Settings] = []
        self.filled: list[int] = []

    @contextmanager
    def bring(self, options: StackOptions) -> Iterator[Site]:
        self.up.append(options)
        yield Site(self.run, self.filled.append)

    def run(self, settings: Settings) -> tuple[RunRecord, Path]:
        if len(self.runs) == self.ends_after:
            raise KeyboardInterrupt
        self.runs.append(settings)
        verdict = (*self.verdicts, *["valid"] * len(self.runs))[len(self.runs) - 1]
        phases = PHASES if settings.saturation_users else PHASES[:1]
        folder = made_run(self.folder / str(len(self.runs)), phases, seed=settings.seed)
        run = at_least(replace(read_run(folder), verdict=verdict), [])
        return replace(run, phases=[]) if verdict == "invalid" else run, folder


def test_rates_wait_for_a_sound_base(tmp_path: Path) -> None:
    """The other axes do not."""
    stacks, told = Stacks(tmp_path / "runs"), []
    begun = resume(tmp_path, COMMIT, ENVIRONMENT, SETTINGS)
    found = measure(begun, tmp_path, [RATE, "gateways"], Settings(), stacks.bring, told.append)
    assert [axis for axis, _ in missing(found, [*AXES])].count(RATE) == len(AXES[RATE].values)
    assert [each.axis for each in found.points] == ["gateways"] * 4
    assert "rate: left out" in told[0]


def test_an_ended_study_goes_on(tmp_path: Path) -> None:
    axes, begun = [BASE, RATE, "gateways"], resume(tmp_path, COMMIT, ENVIRONMENT, SETTINGS)
    first = Stacks(tmp_path / "first", ends_after=3)
    with pytest.raises(KeyboardInterrupt):
        measure(begun, tmp_path, axes, Settings(), first.bring, print)
    kept = read_study(tmp_path)
    assert [(each.axis, each.value) for each in kept.points] == [
        (BASE, 1),
        (RATE, 0.1),
        (RATE, 0.2),
    ]
    second = Stacks(tmp_path / "second")
    found = measure(kept, tmp_path, axes, Settings(), second.bring, print)
    assert missing(found, axes) == []
    assert read_study(tmp_path) == found
    assert len(second.runs) == len(AXES[RATE].values) - 2 + len(AXES["gateways"].values)
    assert [each.workers for each in second.up] == [1, 1, 2, 3, 4]  # the rates share a stack
    seeds = [run.seed for run in (*first.runs, *second.runs)]
    assert len(set(seeds)) == len(seeds)


def test_a_point_that_can_not_be_measured_does_not_end_the_study(tmp_path: Path) -> None:
    stacks, told = Stacks(tmp_path / "runs", verdicts=["valid", "invalid", "failed"]), []
    begun = resume(tmp_path, COMMIT, ENVIRONMENT, SETTINGS)
    found = measure(begun, tmp_path, ["gateways"], Settings(), stacks.bring, told.append)
    assert len(stacks.runs) == 4
    assert [each.value for each in found.of("gateways")] == [1, 4]
    assert missing(found, ["gateways"]) == [Wanted("gateways", 2), Wanted("gateways", 3)]
    assert any(line.startswith("gateways 3, run ") and ": failed" in line for line in told)


def test_a_run_that_is_ended_ends_the_study(tmp_path: Path) -> None:
    """Its record is whole, and no point: Ctrl-C during a load ends a run, not the process."""
    stacks = Stacks(tmp_path / "runs", verdicts=["valid", "interrupted"])
    begun = resume(tmp_path, COMMIT, ENVIRONMENT, SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        measure(begun, tmp_path, ["gateways"], Settings(), stacks.bring, print)
    assert [each.value for each in read_study(tmp_path).points] == [1]


def test_ways_of_two_stacks_are_never_subtracted(tmp_path: Path) -> None:
    begun = study(point(WAY, 1.0, verdict="void"), point(WAY, 2.0))
    stacks = Stacks(tmp_path / "runs", ends_after=1)
    with pytest.raises(KeyboardInterrupt):
        measure(begun, tmp_path, [WAY], Settings(), stacks.bring, print)
    kept = read_study(tmp_path)
    assert [(each.axis, each.value) for each in kept.points] == [(WAY, 1)]
    assert gateway_cost(kept) is None


def test_entities_are_added_to_one_stack(tmp_path: Path) -> None:
    """Those that are measured already come with the next."""
    stacks = Stacks(tmp_path / "runs", ends_after=1)
    begun = resume(tmp_path, COMMIT, ENVIRONMENT, SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        measure(begun, tmp_path, ["entities"], Settings(), stacks.bring, print)
    assert stacks.filled == [1_000, 9_000]
    again = Stacks(tmp_path / "again")
    found = measure(read_study(tmp_path), tmp_path, ["entities"], Settings(), again.bring, print)
    assert again.filled == [10_000, 90_000, 900_000]
    assert len(again.up) == 1
    assert [each.value for each in found.of("entities")] == [1e3, 1e4, 1e5, 1e6]
