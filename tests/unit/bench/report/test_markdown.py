"""The Markdown of made-up runs."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.made_run import made_run
from support.made_samples import PhaseSpec

from bench.judge.reply_contract import RESENT
from bench.records.run_files import read_run
from bench.records.run_record import CapacityRecord, Level, RunRecord, SteadyRecord, WindowFigures
from bench.report.markdown import summarize
from bench.report.phrases import ms, reservations, setting, share
from bench.run.record import Judgement

HOSTILE = {"a|b": (1.0, 2.0)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return read_run(made_run(tmp_path_factory.mktemp("made") / "run"))


def windows(run: RunRecord) -> list[WindowFigures]:
    return [window for _, window in run.windows]


def cells(text: str, *heads: str) -> list[dict[str, str]]:
    """The rows of the table that has these heads, by head."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        found = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if line.startswith("|") and set(heads) <= set(found):
            rows = []
            for row in lines[index + 2 :]:
                if not row.startswith("|"):
                    break
                values = (cell.strip() for cell in row.strip("| ").split(" | "))
                rows.append(dict(zip(found, values, strict=True)))
            return rows
    raise AssertionError(f"no table with {heads}")


def test_every_quantile_has_a_column(run: RunRecord) -> None:
    rows = cells(summarize(run), "load", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms")
    assert [row["load"] for row in rows][:2] == ["1 user", "64 users"]
    latency = windows(run)[0].latency_ms
    assert latency
    assert float(rows[0]["p50 ms"]) == pytest.approx(latency.p50, abs=0.005)
    assert rows[0]["failed"] == "0"


def test_how_the_first_answer_of_a_kind_began(run: RunRecord) -> None:
    phase, shown = next(run.windows)
    said = {"find: unexpected 500": "a `b` <i>c", "find: unexpected 404": ""}
    window = replace(shown, first_answers=said)
    text = summarize(replace(run, phases=[replace(phase, window=window)]))
    assert "- 1 user, first answer, find: unexpected 500: `a 'b' <i>c`" in text
    assert "- 1 user, first answer, find: unexpected 404: `(no body)`" in text
    assert "first answer" not in summarize(run)


def test_a_lower_bound_is_shown_as_one(run: RunRecord) -> None:
    latency = windows(run)[-1].latency_ms
    assert latency
    assert latency.at_least == ["p99", "p99.9", "max"]
    row = cells(summarize(run), "load", "p99.9 ms")[-1]
    assert row["p90 ms"] == f"{latency.p90:.2f}"
    assert row["p99 ms"] == f"≥ {latency.p99:.1f}"
    assert row["max ms"].startswith("≥ 2000.")


def test_what_else_a_request_took(run: RunRecord) -> None:
    rows = cells(summarize(run), "per request", "kafka records", "kafka allocated bytes")
    counted = [window.per_request for window in windows(run)[:2]]
    for row, amounts in zip(rows, counted, strict=False):
        assert row["kafka records"] == f"{amounts['kafka_records']:.2f}"
        assert row["kafka allocated bytes"] == f"{amounts['kafka_allocated_bytes']:,.0f}"
    assert rows[2]["kafka records"] == rows[2]["kafka allocated bytes"] == "-", "not counted"


def test_how_the_schedule_was_kept(run: RunRecord) -> None:
    kept = windows(run)[-1].open
    assert kept
    assert kept.schedule_lag_ms
    (row,) = cells(summarize(run), "scheduled", "dropped", "achieved")
    assert row["scheduled"] == f"{kept.scheduled:,}"
    assert row["dropped"] == str(kept.dropped) != "0"
    assert row["achieved"] == f"{kept.achieved_ratio * 100:.2f} %"
    assert float(row["schedule lag p99 ms"]) == kept.schedule_lag_ms.p99


def test_the_capacity_and_what_it_was_searched_for(run: RunRecord) -> None:
    text = summarize(run)
    assert "For p99 at most 50 ms, at most 0 % failed:" in text
    assert "the highest rate that held is 1,750 requests per second" in text
    rows = cells(text, "rate/s", "level", "why")
    assert [row["rate/s"] for row in rows] == ["500", "1,000", "1,500", "1,750", "1,875", "2,000"]
    assert [row["level"] for row in rows] == ["held"] * 4 + ["NOT HELD"] * 2
    assert rows[-1]["why"] == "p99 is 124.0 ms; requests in flight grow"


def test_a_rate_of_which_nobody_can_tell(run: RunRecord) -> None:
    """It stood as "NOT HELD" in a run whose figures can be trusted."""
    assert run.capacity is not None
    late = ["requests were sent 15.2 ms late", "generator 0 used 97% of a core"]
    steps = list(run.capacity.steps)
    steps[1:1] = [replace(steps[1], held=False, unknown=True, why="p99 is 60.0 ms", doubts=late)]
    steps[1:1] = [replace(steps[1], why="")]
    steps[0] = replace(steps[0], doubts=late[:1])
    found = replace(run, verdict="valid", capacity=replace(run.capacity, steps=steps))
    rows = cells(summarize(found), "rate/s", "level", "why")[:4]
    both = "; ".join(late)
    assert [row["level"] for row in rows] == ["held", "CAN'T TELL", "CAN'T TELL", "held"]
    assert [row["why"] for row in rows] == [late[0], both, f"p99 is 60.0 ms; {both}", "-"]
    rates = f": 500/s ({late[0]}); 1,000/s ({both}); 1,000/s ({both})."
    assert reservations(found)[-1].endswith(rates)
    assert len(reservations(found)) == len(reservations(replace(run, verdict="valid"))) + 1


def test_a_search_that_did_not_come_to_its_end_has_a_lower_bound(run: RunRecord) -> None:
    """It was VOID with "no rate held the service level", where nobody could tell."""
    assert run.capacity is not None
    found = replace(run.capacity, at_least=True)
    told = "is 1,750 requests per second; the search did not come to its end, and a higher one may"
    assert told in summarize(replace(run, capacity=found))
    nothing = replace(found, knee_per_s=None)
    assert "nobody can tell whether a rate holds" in summarize(replace(run, capacity=nothing))


def test_no_capacity_at_all(run: RunRecord) -> None:
    nothing = CapacityRecord(Level(), None, [])
    assert "no rate held the service level" in summarize(replace(run, capacity=nothing))


def test_each_probe_and_why_it_failed(run: RunRecord) -> None:
    passed, other = run.probes or ()
    failed = replace(other, state="broken", reasons=["504s came late", "and were lost"])
    text = summarize(replace(run, probes=[passed, failed]))
    good, bad = cells(text, "probe", "result", "reasons")
    assert (good["result"], good["reasons"]) == ("passed", "-")
    assert (bad["result"], bad["reasons"]) == ("FAILED", "504s came late; and were lost")
    assert bad["p99 ms"] == "5041.9"


@pytest.mark.parametrize(
    ("judgement", "verdict"),
    [
        (Judgement(problems=["kafka ended"]), "INVALID"),
        (Judgement(interrupted=True), "INTERRUPTED"),
        (Judgement(wrong_answers=["get_credit: 1 + 20 - 15 is 5"]), "FAILED"),
    ],
)
def test_the_verdict_comes_first_with_its_reasons(
    tmp_path: Path, judgement: Judgement, verdict: str
) -> None:
    phases = (PhaseSpec("users-1", users=1, rate_per_s=20),)
    run = read_run(made_run(tmp_path / "run", phases, (), judgement=judgement))
    head = summarize(run).partition("| load")[0]
    assert head.startswith(f"# {run.run_id}: {verdict}\n")
    assert [f"- {reason}" in head for reason in run.reasons] == [True] * len(run.reasons)


def test_a_void_run_says_why(run: RunRecord) -> None:
    reason = "open: generator 0 used 97% of a core"
    head = summarize(replace(run, verdict="void", reasons=[reason])).partition("| load")[0]
    assert "VOID" in head
    assert "the bottleneck, or nobody can tell that they were not" in head
    assert f"- {reason}" in head


def test_what_was_not_done_has_no_heading(tmp_path: Path) -> None:
    phases = (PhaseSpec("users-1", users=1, rate_per_s=20),)
    text = summarize(read_run(made_run(tmp_path / "run", phases, ())))
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## 1 user"]
    assert "scheduled" not in text


def test_nothing_was_measured(tmp_path: Path) -> None:
    phases = (PhaseSpec("warmup", users=1, rate_per_s=20, duration_s=0),)
    text = summarize(read_run(made_run(tmp_path / "run", phases, ())))
    assert "|" not in text


def test_what_was_sent_again_is_told(run: RunRecord) -> None:
    assert run.invariants is not None
    assert "sent again" not in summarize(run)
    sums = run.invariants.totals | dict(zip(RESENT, (1200, 3, 1), strict=True))
    text = summarize(replace(run, invariants=replace(run.invariants, totals=sums)))
    assert "1,200 are known by that, 3 were too old, 1 had no answer." in text


def test_a_name_does_not_break_a_table(tmp_path: Path) -> None:
    phases = (PhaseSpec("users-1", users=1, rate_per_s=20),)
    run = read_run(made_run(tmp_path / "run", phases, (), operations=HOSTILE))
    assert "| a\\|b" in summarize(run)


def test_the_columns_of_a_table_stand_in_line(run: RunRecord) -> None:
    block: list[int] = []
    for line in summarize(run).splitlines():
        if line.startswith("|"):
            block.append(len(line))
        else:
            assert len(set(block)) <= 1
            block.clear()


def test_settings_read_the_same_before_and_after_they_are_written() -> None:
    settings = {"users": (1, 64), "target": None, "warmup_s": 3.0, "in_flight_max": 2000}
    assert [setting(name, value) for name, value in settings.items()] == [
        ("users", "1, 64"),
        ("target", "-"),
        ("warmup", "3 s"),
        ("in flight max", "2,000"),
    ]
    assert setting("users", [1, 64]) == setting("users", (1, 64))


@pytest.mark.parametrize(
    ("value_ms", "shown"),
    [(0.0123, "0.012"), (0.5, "0.500"), (9.876, "9.88"), (99.99, "99.99"), (2000, "2000.0")],
)
def test_a_latency_keeps_its_digits(value_ms: float, shown: str) -> None:
    assert ms(value_ms) == shown
    assert ms(value_ms, at_least=True) == f"≥ {shown}"


@pytest.mark.parametrize(
    ("part", "shown"),
    [(0, "0 %"), (1, "100 %"), (0.5, "50 %"), (0.9999, "99.99 %"), (0.00001, "0.001 %")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(part: float, shown: str) -> None:
    assert share(part) == shown


def test_for_which_windows_a_valid_run_holds(tmp_path: Path) -> None:
    specs = PhaseSpec("users-8", users=8), PhaseSpec("users-9", users=9)
    run = read_run(made_run(tmp_path / "run", specs, ()))
    phases = [
        replace(phase, steady=SteadyRecord(phase.name == "users-8", "its thirds differ", 3.0))
        for phase in run.phases
    ]
    unsteady = replace(run, phases=phases, verdict="valid")
    assert reservations(unsteady)[0] == (
        "They hold as a steady state for 8 users: the system was still changing with 9 users."
    )
    none = replace(unsteady, phases=phases[1:])
    assert "for no window: the system was still changing with 9 users" in summarize(none)
    assert reservations(replace(unsteady, verdict="void")) == []
    twice = [phases[0], replace(phases[1], users=8)]
    assert reservations(replace(unsteady, phases=twice))[0] == (
        "They hold as a steady state for 8 users (users-8): the system was still changing with "
        "8 users (users-9)."
    )


def test_a_quick_run_says_that_the_jvms_still_compile(tmp_path: Path) -> None:
    run = replace(read_run(made_run(tmp_path / "run")), verdict="valid")
    for warmup_s, told in ((4.0, True), (120.0, False)):
        settings = replace(run.settings, first_warmup_s=warmup_s)
        text = summarize(replace(run, settings=settings))
        assert ("The JVMs were still compiling, after at most 4 s" in text) == told
