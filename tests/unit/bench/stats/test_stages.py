"""Stages of traced requests: they add up, and what can't be trusted is counted and left out."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats.stages import STAMPS, Traced, TraceError, encode, merge, read, stages_of, summarize
from system.wire import TRACE_HOPS_MAX

SERVICES = st.lists(st.sampled_from(["user", "order", "stock"]), min_size=1, max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)


def request(services: list[str], *gaps_ns: int, operation: str = "checkout") -> Traced:
    """A gap a stage, in order; the last one is used for all that follow."""
    now_ns = [1_000_000]

    def then() -> int:
        index = len(now_ns) - 1
        now_ns.append(now_ns[-1] + (gaps_ns[index] if index < len(gaps_ns) else gaps_ns[-1]))
        return now_ns[-1]

    sent_ns = then()
    trace = [
        *([name, then()] for name in ("gateway_in", "queued", "produced")),
        *([service, then(), then()] for service in services),
        *([name, then()] for name in ("reply_in", "gateway_out")),
    ]
    return Traced(operation, now_ns[0], sent_ns, then(), trace)


def test_each_stage_has_its_name() -> None:
    found = stages_of(request(["order", "stock", "order"], *range(1, 13)))
    assert found == [
        ("schedule lag", 1),
        ("client send", 2),
        ("gateway in", 3),
        ("produce", 4),
        ("request topic", 5),
        ("order", 6),
        ("topic stock", 7),
        ("stock", 8),
        ("topic order 2", 9),
        ("order 2", 10),
        ("reply topic", 11),
        ("gateway out", 12),
        ("client receive", 12),
    ]


@given(SERVICES, st.lists(st.integers(-3, 10**9), min_size=1, max_size=16))
def test_stages_add_up_to_the_response_time(services: list[str], gaps_ns: list[int]) -> None:
    asked = request(services, *gaps_ns)
    found = stages_of(asked)
    assert found is not None
    assert sum(stage.duration_ns for stage in found) == asked.done_ns - asked.intended_ns
    assert len({stage.name for stage in found}) == len(found) == 7 + 2 * len(services)


@given(JSON)
def test_what_is_no_trace_is_incomplete(trace: object) -> None:
    assert stages_of(Traced("any", 1, 2, 3, trace)) is None


@pytest.mark.parametrize("missing", sorted(STAMPS))
def test_a_missing_stamp_is_incomplete(missing: str) -> None:
    asked = request(["user"], 1)
    trace = [entry for entry in asked.trace if entry[0] != missing]
    assert stages_of(asked._replace(trace=trace)) is None


def test_no_service_or_too_many_are_incomplete() -> None:
    assert stages_of(request([], 1)) is None
    assert stages_of(request(["user"] * TRACE_HOPS_MAX, 1)) is not None
    assert stages_of(request(["user"] * (TRACE_HOPS_MAX + 1), 1)) is None


def test_what_is_disordered_or_incomplete_is_counted_and_left_out() -> None:
    good = request(["user"], 1_000)
    summary = summarize(
        [
            good,
            request(["user"], 10**9, -1),
            good._replace(trace=None),
            good._replace(trace=None, operation="lost"),
            good._replace(sent_ns=good.intended_ns - 1),
        ]
    )
    assert (summary["requests"], summary["disordered"], summary["incomplete"]) == (1, 2, 2)
    (operation,) = summary["operations"].values()
    assert (operation["requests"], operation["disordered"], operation["incomplete"]) == (1, 2, 1)
    assert operation["total_ms"] == {"mean": 0.009, "p50": 0.009, "p99": 0.009}


def test_quantiles_are_of_those_that_came_through() -> None:
    by_user, by_stock = ["order", "user", "order"], ["order", "stock", "order"]
    asked = [request(by_user, 1_000_000 * gap) for gap in (1, 2, 3)]
    asked.append(request(by_stock, 10_000_000))
    (operation,) = summarize(asked)["operations"].values()
    stages = {stage["name"]: stage for stage in operation["stages"]}
    assert list(stages)[4:12] == [
        *("request topic", "order", "topic user", "user"),
        *("topic stock", "stock", "topic order 2", "order 2"),
    ]
    assert stages["user"] == {
        "name": "user",
        "requests": 3,
        "mean_ms": 1.5,
        "p50_ms": 2.0,
        "p99_ms": 3.0,
    }
    assert stages["stock"]["mean_ms"] == 2.5
    assert stages["order"]["p50_ms"] == 2.0


@given(st.lists(st.tuples(SERVICES, st.integers(0, 10**10)), min_size=1, max_size=20))
def test_means_add_up_to_the_mean_of_the_totals(asked: list[tuple[list[str], int]]) -> None:
    (operation,) = summarize(request(*each) for each in asked)["operations"].values()
    means_ms = [stage["mean_ms"] for stage in operation["stages"]]
    rounding_ms = 1e-6 * len(means_ms)
    assert sum(means_ms) == pytest.approx(operation["total_ms"]["mean"], abs=rounding_ms)


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=8), max_size=6))
def test_merged_ways_have_each_stage_once(ways: list[list[str]]) -> None:
    assert sorted(merge(ways)) == sorted({name for way in ways for name in way})


@given(st.permutations("abcdefgh"), st.lists(st.sets(st.sampled_from("abcdefgh")), max_size=6))
def test_merged_ways_keep_their_order(order: list[str], parts: list[set[str]]) -> None:
    """Ways that do not contradict: each leaves out some of one order."""
    ways = [[name for name in order if name in part] for part in parts]
    merged = merge(ways)
    for way in ways:
        assert all(merged.index(first) < merged.index(then) for first, then in pairwise(way))


def test_the_first_of_contradicting_ways_is_kept() -> None:
    assert merge(["abc", "cba"]) == list("abc")


def test_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    asked = [request(["user"], 5), request(["order"], 7)._replace(trace=None)]
    first, second = tmp_path / "traces-load-0.jsonl", tmp_path / "traces-load-1.jsonl"
    first.write_bytes(encode(asked[0]) + encode(asked[1])[:-5])
    second.write_bytes(encode(asked[1]))
    assert list(read([first, second])) == asked


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"null",
        b'{"operation": "a"}',
        encode(Traced("a", 1, 2, 3, None)).replace(b"3", b"3.5"),
        encode(Traced("a", 1, 2, 3, None)).replace(b'"a"', b"7"),
        encode(Traced("a", 1, 2, 3, None)).replace(b"trace", b"other"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "traces-load-0.jsonl"
    path.write_bytes(encode(request(["user"], 5)) + line.strip() + b"\n")
    with pytest.raises(TraceError, match=r"traces-load-0\.jsonl line 2 is not a traced request"):
        list(read([path]))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"none\.jsonl: No such file"):
        list(read([tmp_path / "none.jsonl"]))
