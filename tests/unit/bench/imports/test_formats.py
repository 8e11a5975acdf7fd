"""Files of vegeta 12, k6 1.8, oha 1.16 and Locust 2.47, as they wrote them, and broken ones.

The server of ``vegeta-results.json`` and ``k6-out.json`` (120 requests, 60/s, given up after 0.5 s)
answered every 25th request with 503, another with 404, and held every 40th back for 2 s.
"""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.imports import formats
from bench.imports.formats import (
    CHECKS_MAX,
    Requests,
    Result,
    ResultsError,
    Summary,
    files_in,
    read,
)

FILES = Path(__file__).with_name("files")


def read_bytes(content: bytes) -> Result:
    with NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return read(Path(file.name))


def outcomes(found: Requests) -> Counter[str]:
    return Counter(found.samples.outcomes[index] for index in found.samples.outcome)


def requests(name: str) -> Requests:
    found = read(FILES / name)
    assert isinstance(found, Requests)
    return found


def test_vegetas_requests() -> None:
    found = requests("vegeta-results.json")
    ended = {"200": 107, "unexpected 503": 5, "unexpected 404": 5, "timeout": 3}
    assert (found.tool, outcomes(found)) == ("vegeta", ended)
    given_up = found.samples.where(found.samples.of_kind("censored"))
    assert given_up.service_ns.min() >= 500_000_000
    lines = [
        orjson.loads(line) for line in (FILES / "vegeta-results.json").read_bytes().splitlines()
    ]
    assert found.samples.service_ns.tolist() == [line["latency"] for line in lines]


def test_k6s_requests_and_iterations_that_never_began() -> None:
    found = requests("k6-out.json")
    assert outcomes(found)["timeout"] == 3
    assert outcomes(found)["dropped in_flight"] == 6
    assert sum(outcomes(found).values()) == 115 + 6
    assert sum(n for name, n in outcomes(found).items() if name.startswith("unexpected")) == 10
    answered = found.samples.where(found.samples.of_kind("ok"))
    assert int(answered.service_ns.max()) == 48_239_787


def check(name: str, value: object) -> bytes:
    tags = {"check": name, "group": "", "scenario": "default"}
    data = {"time": "2026-11-27T10:00:00.5Z", "value": value, "tags": tags}
    return orjson.dumps({"metric": "checks", "type": "Point", "data": data}) + b"\n"


def test_what_k6s_script_checks_is_counted(tmp_path: Path) -> None:
    path, whole = tmp_path / "k6.json", (FILES / "k6-out.json").read_bytes()
    path.write_bytes(whole + check("is short", 1) * 3 + check("is short", 0) + check("is a", 1))
    found = requests_of(path)
    assert found.checks == {"is short": {True: 3, False: 1}, "is a": {True: 1}}
    assert len(found.samples) == len(requests("k6-out.json").samples)
    path.write_bytes(whole + check("is short", 0.5))
    with pytest.raises(ResultsError, match=r"line \d+ is not one of k6's results"):
        read(path)
    path.write_bytes(whole + b"".join(check(f"user {number}", 1) for number in range(100)))
    assert len(requests_of(path).checks) == CHECKS_MAX
    path.write_bytes(path.read_bytes() + check("user 100", 1))
    with pytest.raises(ResultsError, match="has more than 100 checks: name them without ids"):
        read(path)
    path.write_bytes(whole + check("is a", 1).replace(b'"check":"is a",', b""))
    assert requests_of(path).checks == {"without a name": {True: 1}}


def requests_of(path: Path) -> Requests:
    found = read(path)
    assert isinstance(found, Requests)
    return found


@pytest.mark.parametrize(
    ("name", "tool", "figures"),
    [
        ("vegeta-report.json", "vegeta", {"failed": 13 / 120, "requests/s": 60.49}),
        ("k6-summary.json", "k6", {"failed": 13 / 115, "p50": 0.375, "requests/s": 56.52}),
        ("oha.json", "oha", {"failed": 12 / 120, "p50": 0.294, "p99": 50.8, "requests/s": 59.42}),
        ("locust_stats.csv", "locust",
         {"failed": 40 / 459, "p50": 1.0, "p99": 53.0, "requests/s": 66.45}),
    ],
)  # fmt: skip
def test_figures_alone(name: str, tool: str, figures: dict[str, float]) -> None:
    found = read(FILES / name)
    assert isinstance(found, Summary)
    assert found.tool == tool
    for figure, value in figures.items():
        assert found.figures[figure] == pytest.approx(value, rel=0.01), figure
    assert ("p99" in found.figures) == (tool != "k6"), "k6 has p(99) only where it is asked for"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\x96\x7f\x03\x01\x01\x06Result\x01\xff\x80", "vegeta's binary: vegeta encode"),
        (b"1795660689583491279,200,370382,0,6,,aGVsbG8K,,1,GET,", "vegeta's CSV: use its"),
        (b"request-start,DNS,DNS+dialup,Response-delay\n", "oha's CSV, which lists answers alone"),
        ((FILES / "locust_stats_history.csv").read_bytes(), "give its _stats.csv"),
        (b"metric_name,timestamp,metric_value\n", "use k6 --out json"),
        (b"\x1f\x8b\x08\x00", "compressed"),
        (b"", "is not vegeta encode"),
        (b"{}", "is not vegeta encode"),
        (b'{"schema_version": 3}', "is not vegeta encode"),
        (
            (FILES / "vegeta-results.json")
            .read_bytes()
            .splitlines()[0]
            .replace(b'"timestamp":"20', b'"timestamp":"00'),
            "line 1 is not one of vegeta's results",
        ),
        (b'{"latencies": {}, "requests": 1}', "lacks figures"),
        (b'{"latencies": [], "requests": 1}', "lacks figures"),
        (b"Type,Name,Request Count\n", "lacks figures"),
    ],
)
def test_what_says_too_little_is_refused_in_a_line(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ResultsError, match=told) as caught:
        read(tmp_path / "x.json")
    assert "\n" not in str(caught.value)


def test_no_file_and_too_large_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResultsError, match=r"cannot read .*: No such file"):
        read(tmp_path / "none.json")
    whole = (FILES / "vegeta-results.json").read_bytes()
    path = tmp_path / "x.json"
    path.write_bytes(whole)
    monkeypatch.setattr(formats, "RESULT_MIB_MAX", len(whole) / 2**20)
    assert isinstance(read(path), Requests)
    path.write_bytes(whole + b"\n")
    with pytest.raises(ResultsError, match="at most"):
        read(path)
    monkeypatch.undo()
    monkeypatch.setattr(formats, "SUMMARY_MIB_MAX", 0)
    with pytest.raises(ResultsError, match="is not vegeta"):
        read(FILES / "vegeta-report.json")


def test_locusts_other_files_are_passed_over() -> None:
    names = {path.name for path in files_in(FILES)}
    assert "locust_stats.csv" in names
    assert not names & {"locust_stats_history.csv", "locust_failures.csv", "locust_exceptions.csv"}


MOMENTS = st.integers(0, 10**12).map(lambda us: datetime(2026, 1, 1, tzinfo=UTC)
                                     + timedelta(microseconds=us))  # fmt: skip
LATENCIES_NS = st.integers(0, formats.LATENCY_S_MAX * 10**9)
STATUSES = st.sampled_from([0, 200, 204, 302, 400, 404, 500, 503])


@given(st.lists(st.tuples(MOMENTS, LATENCIES_NS, STATUSES), min_size=1, max_size=20))
def test_what_vegeta_writes_is_what_is_read(
    sent: Sequence[tuple[datetime, int, int]],
) -> None:
    found = read_bytes(b"\n".join(
        orjson.dumps({"code": status, "timestamp": moment.isoformat(), "latency": latency_ns,
                      "error": "" if 0 < status < 400 else "EOF"})
        for moment, latency_ns, status in sent
    ))  # fmt: skip
    assert isinstance(found, Requests)
    samples = found.samples
    assert samples.service_ns.tolist() == [latency_ns for _, latency_ns, _ in sent]
    since = np.array([int(moment.timestamp() * 1e6) for moment, _, _ in sent])
    assert np.abs(samples.sent_ns // 1000 - since).max() <= 1
    kinds = ["connection" if s == 0 else str(s) if s < 400 else f"unexpected {s}"
             for _, _, s in sent]  # fmt: skip
    assert [samples.outcomes[index] for index in samples.outcome] == kinds


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=300)
@given(
    st.sampled_from(sorted(files_in(FILES))),
    st.floats(0, 1),
    st.binary(max_size=4) | JSON.map(lambda value: orjson.dumps(str(value))),
    st.integers(0, 300),
)
def test_a_broken_file_is_a_line_and_never_a_traceback(
    file: Path, where: float, put: bytes, gone: int
) -> None:
    content = file.read_bytes()
    place = int(where * len(content))
    broken = content[:place] + put + content[place + gone :]
    with suppress(ResultsError):
        assert isinstance(read_bytes(broken), Requests | Summary)


@given(JSON, st.sampled_from(["latencies", "metrics", "latencyPercentiles", "timestamp"]))
def test_any_json_is_read_or_refused(value: object, key: str) -> None:
    with pytest.raises(ResultsError):
        read_bytes(json.dumps({key: value, "latency": value, "code": value}).encode())
