"""Values that requests are given: pure functions of the seed and the request's number."""

from itertools import islice, pairwise
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.workload import draws
from bench.workload.draws import Draws
from bench.workload.http_file import Workload, parse
from bench.workload.values import RANGE_MAX, fractions, key_of, shuffled


def numbers(first: int, count: int, step: int = 1) -> np.ndarray:
    return (np.arange(count) * step + first).astype(np.uint64)


def workload(values: dict, body: str, **more: object) -> Workload:
    request = {"operation": "a", "path": "/", "body": body, **more}
    return parse({"values": values, "request": [request]})


def drawn(work: Workload, count: int, seed: int = 1, index: int = 0, of: int = 1) -> list[dict]:
    own = Draws(work, seed, index, of)

    def endless():
        while True:
            yield from own.block()

    return [dict(values) for _, values in islice(endless(), count)]


def test_as_many_different_ids_as_are_asked_for() -> None:
    work = workload({"id": {"from": 1, "to": 10**9}}, "{id}")
    ids = [int(values["id"]) for values in drawn(work, 60_000)]
    assert len(set(ids)) == 60_000
    assert 1 <= min(ids) <= max(ids) <= 10**9
    assert abs(sum(ids) / len(ids) / 5e8 - 1) < 0.02


def test_generators_share_a_range_between_them() -> None:
    work = workload({"id": {"from": 1, "to": 10**9}}, "{id}")
    one = [values["id"] for values in drawn(work, 6_000)]
    parts = [[values["id"] for values in drawn(work, 2_000, index=i, of=3)] for i in range(3)]
    assert [value for row in zip(*parts, strict=True) for value in row] == one


def test_the_same_seed_draws_the_same_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    work = workload({"a": ["x", "y", "z"], "b": {"from": 0, "to": 9}}, "{a}{b}")
    before = drawn(work, 3_000)
    assert before != drawn(work, 3_000, seed=2)
    monkeypatch.setattr(draws, "BLOCK", 7)
    assert drawn(work, 3_000) == before


@given(st.integers(1, 300), st.integers(0, 2**64 - 1), st.integers(0, 5))
def test_each_cycle_of_a_range_is_a_permutation(size: int, key: int, cycle: int) -> None:
    assert sorted(shuffled(numbers(cycle * size, size), size, key)) == list(range(size))


@given(st.integers(1, RANGE_MAX), st.integers(0, 2**64 - 1), st.integers(0, 2**62))
def test_a_range_of_any_size(size: int, key: int, first: int) -> None:
    found = shuffled(numbers(first, 64), size, key)
    assert (found < size).all()
    inside = 64 if first % size + 64 <= size else 0
    assert len(set(found.tolist())) >= inside


def test_two_small_ranges_meet_in_all_ways() -> None:
    """Each is shuffled anew in each cycle, so equal sizes don't go in step."""
    three = {"from": 1, "to": 3}
    pairs = [values["a"] + values["b"] for values in drawn(
        workload({"a": three, "b": three}, "{a}{b}"), 9_000)]  # fmt: skip
    counts = {pair: pairs.count(pair) for pair in set(pairs)}
    assert len(counts) == 9
    assert all(abs(count - 1000) < 5 * sqrt(1000) for count in counts.values())


def test_a_list_is_drawn_evenly_and_each_time_anew() -> None:
    values = [row["a"] for row in drawn(workload({"a": ["x", "y"]}, "{a}"), 10_000)]
    assert abs(values.count("x") - 5_000) < 5 * 50
    again = sum(a == b for a, b in pairwise(values))
    assert abs(again - 5_000) < 5 * 50


def test_weights() -> None:
    entries = [{"operation": f"w{w}", "path": "/", "weight": w} for w in (1, 3, 6)]
    own, chosen = Draws(parse({"request": entries}), 1), []
    while len(chosen) < 10 * draws.BLOCK:
        chosen += [flow for flow, _ in own.block()]
    for flow, share in enumerate((0.1, 0.3, 0.6)):
        assert abs(chosen.count(flow) / len(chosen) - share) < 0.03


def test_fractions_fill_the_unit_interval() -> None:
    found = fractions(numbers(0, 10_000), key_of(1, "x"))
    assert found.min() >= 0
    assert found.max() < 1
    assert abs(float(found.mean()) - 0.5) < 0.02
