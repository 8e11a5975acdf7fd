"""Which runs can be compared, and what is said of those that can't."""

from copy import deepcopy

import pytest
from support.made_sets import Change, Run, a_run, a_set, environment, record, settings

from bench.compare import comparability
from bench.compare.comparability import Difference


def differences(a: list[Run], b: list[Run]) -> list[Difference]:
    return comparability.differences(list(map(record, a)), list(map(record, b)))


def software(a: Run, b: Run) -> list[Difference]:
    return comparability.software(record(a), record(b))


def lines(change: Change) -> list[str]:
    """Of sets that differ by the change in one run of B."""
    b = a_set("B", 3)
    change(b[1])
    return [str(line) for line in differences(a_set("A", 3), b)]


def in_phase(**fields: object) -> Change:
    return lambda run: run["phases"][0].update(fields)


def test_runs_of_one_kind() -> None:
    assert differences(a_set("A", 3), a_set("B", 3)) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (environment(cpu_model="Other 9"), "machine cpu_model: Imagined CPU 3000 | Other 9"),
        (environment(cores=4), "machine cores: 2 | 4"),
        (environment(memory_bytes=16 * 2**30), "machine memory_bytes: 24.0 GiB | 16.0 GiB"),
        (environment(kernel="Linux 6.2.0"), "machine kernel: Linux 6.1.0 | Linux 6.2.0"),
        (lambda run: run["environment"]["packages"].update(locust="3"),
         "generator locust: 2.47.0 | 3"),
        (lambda run: run.update(schema_version=4), "schema_version: 3 | 4"),
        (settings(workers=2), "setting workers: 1 | 2"),
        (settings(rate="400"), "setting rate: none | 400"),
        (settings(target="http://localhost:1"), "setting target: a stack of its own | elsewhere"),
        (in_phase(schedule="poisson, 500/s for 10 s"),
         "phase open schedule: poisson, 400/s for 10 s | poisson, 500/s for 10 s"),
        (in_phase(duration_s=20.0), "phase open duration_s: 10.0 | 20.0"),
        (in_phase(name="users-1"), "phases: open | users-1"),
        (lambda run: run.update(phases=[]), "phases: open | "),
    ],
)  # fmt: skip
def test_each_difference_is_one_line(change: Change, line: str) -> None:
    assert lines(change) == [line]


@pytest.mark.parametrize(
    "change",
    [
        settings(seed=2),
        environment(memory_bytes=24 * 2**30 - 8 * 2**20),
        environment(python="3.11.14"),
        environment(kafka="4.2.0"),
        in_phase(warmup_s=7.5),
        lambda run: run["environment"]["packages"].update(aiohttp="4"),
    ],
)
def test_what_may_differ(change: Change) -> None:
    assert lines(change) == []


@pytest.mark.parametrize("change", [[], [settings(target="http://localhost:1")]])
def test_what_measures_a_target_is_the_same(change: list[Change]) -> None:
    """Of a stack of its own, uvloop may be what was changed."""

    def newer(run: Run) -> None:
        run["environment"]["packages"]["uvloop"] = "9"

    found = differences(a_set("A", 2, *change), a_set("B", 2, *change, newer))
    assert list(map(str, found)) == ["generator uvloop: none | 9"] * len(change)
    assert differences(a_set("A", 2, *change), a_set("B", 2, *change)) == []


def test_targets_at_two_addresses() -> None:
    a, b = (a_set(side, 2, settings(target=f"http://localhost:{side}")) for side in "AB")
    assert differences(a, b) == []


def test_a_set_must_be_of_one_kind_itself() -> None:
    a = [a_run(0, "A"), a_run(1, "A", environment(cores=4))]
    assert [str(line) for line in differences(a, a_set("B", 2))] == ["machine cores: 2 | 4"]


def test_the_steps_of_a_search_may_differ_but_not_what_is_searched() -> None:
    def search(run: dict, rate: int, p99_ms: int = 50) -> None:
        level = {"p99_ms": p99_ms, "failed_share": 0.0}
        run["capacity"] = {"level": level, "knee_per_s": 400.0, "steps": []}
        step = deepcopy(run["phases"][0])
        run["phases"] = [{**step, "name": f"step-{rate}", "schedule": f"{rate}/s"}]

    a, b = a_run(0, "A"), a_run(0, "B")
    search(a, 100)
    search(b, 200)
    assert differences([a], [b]) == []
    search(b, 200, 60)
    assert [str(line) for line in differences([a], [b])] == ["capacity level p99_ms: 50 | 60"]


def test_versions_that_the_change_brought() -> None:
    a, b = a_run(0, "A"), a_run(0, "B", environment(python="3.12.0", kafka=None))
    b["environment"]["packages"].update(aiohttp="4", new="1")
    assert [str(line) for line in software(a, b)] == [
        "aiohttp: 3.14.5 | 4",
        "kafka: 4.1.2 | none",
        "new: none | 1",
        "python: 3.11.13 | 3.12.0",
    ]
