"""A campaign goes on from what is recorded, and only from what is of the same commit and rate."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.faults import campaign
from bench.faults.campaign import KEPT_EACH_MAX, Campaign, Ids, Kept, read_found, settings_of
from bench.faults.fault import FAULTS
from bench.faults.judgement import Found, Loaded
from bench.judge.final_reads import WrongReadError
from bench.judge.reply_contract import Entity, Final
from bench.records.request_log import Row
from bench.records.run_record import CommitRecord
from bench.result_files import to_json
from machine.whole_files import write

FOUND = Found(
    fault="kill-broker", seed=1, run_id="a", commit="abc with changes", rate_per_s=100.0,
    span_s=1.0, proof="it ended", requests=10, checkouts=1, unknown=0, cut=0, longest_s=1.0,
    recovered_s=None, recovery_s_max=20.0, violations=0, broken=[], unsure=[], took_s=3.0,
)  # fmt: skip


def never(*_: object) -> Loaded:
    raise AssertionError("nothing is to be loaded")


def record(folder: Path, name: str, found: Found) -> None:
    (folder / name).mkdir()
    write(folder / name / "fault.json", to_json(asdict(found)))


def test_what_is_recorded_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "commit", lambda: CommitRecord("abc", dirty=False))
    record(tmp_path, "1", FOUND)
    record(tmp_path, "2", replace(FOUND, requests=20))
    record(tmp_path, "3", replace(FOUND, seed=2, commit="def"))
    record(tmp_path, "4", replace(FOUND, seed=3, rate_per_s=200.0))
    record(tmp_path, "5", replace(FOUND, fault="none-any-more"))
    record(tmp_path, "8", replace(FOUND, seed=4, unsure=["too uneven"]))
    record(tmp_path, "9", replace(FOUND, seed=5, broken=["lost"], unsure=["too uneven"]))
    (tmp_path / "6").mkdir()
    (tmp_path / "6" / "fault.json").write_text('{"fault": "of another version"}')
    (tmp_path / "7").mkdir()
    with Campaign(never, FAULTS, 100.0, None, tmp_path, print) as one:
        known = one.recorded()
    assert known.keys() == {("kill-broker", 1), ("kill-broker", 5)}, "what is unknown is done again"
    assert known["kill-broker", 1] == replace(FOUND, requests=20)
    assert read_found(tmp_path / "6" / "fault.json") is None
    assert read_found(tmp_path / "7" / "fault.json") is None


def test_what_a_run_left_may_no_later_one_change() -> None:
    """Each run reads its own entities alone, so what a later fault lost of earlier ones was not
    seen."""
    held: dict[str, Entity] = {
        **{f"u{number}": {"request_id": "1", "credit": number} for number in range(30)},
        "o1": {"status": "paid"},
        "i1": {"stock": 7},
        "i2": None,
    }
    asked: list[int] = []

    failing: Iterator[BenchError] = iter(())

    def read(url: str, ids: Ids) -> Final:
        for cause in failing:
            raise cause
        asked.append(sum(map(len, ids.values())))
        kinds = ("user_id", "order_id", "item_id")
        return Final(*({each: held[each] for each in ids[kind]} for kind in kinds))

    def row(path: str, **body: object) -> Row:
        return Row("any", path, None, 1, 2, 200, body)

    kept = Kept(read)
    assert kept.changed("url") == ([], [])
    kept.keep("url", "run-1", [row("/", user_id=f"u{number}") for number in range(30)], seed=1)
    kept.keep("url", "run-2", [row("/", order_id="o1", item_id=each) for each in ("i1", "i2")], 1)
    assert asked == [KEPT_EACH_MAX, 3]
    held |= {name: {**(held[name] or {}), "request_id": "2"} for name in held if name[0] == "u"}
    assert kept.changed("url") == ([], []), "an answer's own id is none of the entity's"
    held["o1"] = {"status": "unpaid"}
    ((line,), _) = kept.changed("url")
    was = "o1 was {'status': 'paid'} and is {'status': 'unpaid'}"
    assert line == f"what run run-2 left has changed in 1: {was}"
    held |= {"o1": {"status": "paid"}, "i1": None, "i2": {"stock": 1}}
    ((line,), _) = kept.changed("url")
    assert "changed in 2: i1 was {'stock': 7} and is None" in line
    held |= {"i1": {"stock": 7}, "i2": None}
    assert kept.changed("url") == ([], [])
    failing = iter([BenchError("no answer")])
    assert kept.changed("url") == (
        [], ["what run run-1 and later ones left could not be read: no answer"]
    )  # fmt: skip
    failing = iter([WrongReadError("answered 400")])
    assert kept.changed("url") == (
        ["what run run-1 left can't be read any more: answered 400"], []
    )  # fmt: skip


def test_the_load_outlasts_the_recovery() -> None:
    fault = FAULTS["kill-jobmanager"]
    assert settings_of(fault, 1, 100.0, None).duration_s == fault.start_s + 30 + 5
    assert settings_of(fault, 1, 100.0, 5.0).duration_s == fault.start_s + 5
    # As many as wait for five seconds and one: none of the load is held back.
    assert settings_of(fault, 1, 100.0, None).in_flight_max == 2_000
    assert settings_of(fault, 1, 500.0, None).in_flight_max == 3_000
    assert settings_of(fault, 1, 5_000.0, None).in_flight_max == 20_000
