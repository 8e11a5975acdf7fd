"""Workload files."""

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.workload.http_file import Address, WorkloadError, encode, parse, read_workload, stream

ADDRESS = Address.of("http://127.0.0.1:8000/api/")
FILE = """
timeout_s = 2
[values]
user = ["u1", "u2"]
amount = { from = 1, to = 3 }
[[request]]
operation = "find"
path = "/users/{user}"
weight = 9
headers = { Accept = "text/plain" }
expect = [200, 404]
[[request]]
operation = "add"
method = "POST"
path = "/add"
body = '{"user": "{user}", "amount": {amount}}'
"""


def test_a_file_and_its_requests(tmp_path: Path) -> None:
    path = tmp_path / "workload.toml"
    path.write_text(FILE)
    workload = read_workload(path)
    assert workload.timeout_s == 2
    find, add = workload.templates
    assert (find.is_expected(404), find.is_expected(500)) == (True, False)
    assert (add.is_expected(201), add.is_expected(404)) == (True, False)
    sent = list(islice(stream(workload, ADDRESS, seed=3), 1000))
    assert sent == list(islice(stream(workload, ADDRESS, seed=3), 1000))
    finds = {request for template, request in sent if template is find}
    assert finds == {
        b"GET /api/users/%s HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAccept: text/plain\r\n\r\n" % user
        for user in (b"u1", b"u2")
    }
    adds = [request for template, request in sent if template is add]
    assert 50 < len(adds) < 200
    head, _, body = adds[0].partition(b"\r\n\r\n")
    assert head.endswith(b"Content-Length: %d" % len(body))
    assert len(set(adds)) == 6


def test_a_post_without_a_body_says_so() -> None:
    assert b"Content-Length: 0\r\n\r\n" in encode(ADDRESS, "POST", "/")
    assert b"Content-Length" not in encode(ADDRESS, "GET", "/")


GOOD: dict[str, Any] = {"operation": "a", "path": "/"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "request"),
        ({"request": []}, "request"),
        ({"request": [GOOD], "more": 1}, "'more' is unknown"),
        ({"request": [{**GOOD, "odd": 1}]}, "request 1: 'odd' is unknown"),
        ({"request": [{"path": "/"}]}, "operation"),
        ({"request": [{**GOOD, "path": "x"}]}, "path"),
        ({"request": [{**GOOD, "path": "/a b"}]}, "path"),
        ({"request": [{**GOOD, "path": "/{who}"}]}, "who"),
        ({"request": [{**GOOD, "method": "FETCH"}]}, "method"),
        ({"request": [{**GOOD, "method": []}]}, "method"),
        ({"request": [{**GOOD, "weight": 0}]}, "weight"),
        ({"request": [{**GOOD, "weight": True}]}, "weight"),
        ({"request": [{**GOOD, "headers": {"A": "b\r\nC: d"}}]}, "headers"),
        ({"request": [{**GOOD, "headers": {"A b": "c"}}]}, "headers"),
        ({"request": [{**GOOD, "body": 5}]}, "body"),
        ({"request": [{**GOOD, "expect": [99]}]}, "expect"),
        ({"request": [GOOD, GOOD]}, "two requests"),
        ({"request": [GOOD], "values": {"a": []}}, "values.a"),
        ({"request": [GOOD], "values": {"a": ["x y"]}}, "values.a"),
        ({"request": [GOOD], "values": {"a": {"from": 2, "to": 1}}}, "values.a"),
        ({"request": [GOOD], "values": 5}, "values"),
        ({"request": [GOOD], "timeout_s": -1}, "timeout_s"),
    ],
)
def test_what_can_not_be_used(document: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        parse(document)


@pytest.mark.parametrize("content", [b"= what", b"\xff"])
def test_a_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "workload.toml"
    path.write_bytes(content)
    with pytest.raises(WorkloadError, match="is not TOML"):
        read_workload(path)
    with pytest.raises(WorkloadError, match="No such file"):
        read_workload(tmp_path / "other.toml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)


@given(
    st.fixed_dictionaries(
        {
            "request": st.lists(
                st.dictionaries(
                    st.sampled_from(["operation", "path", "method", "headers", "body", "expect"]),
                    VALUES,
                ),
                max_size=2,
            )
        },
        optional={"values": VALUES, "timeout_s": VALUES},
    )
)
def test_any_document_is_read_or_refused(document: dict[str, Any]) -> None:
    try:
        workload = parse(document)
    except WorkloadError:
        return
    next(stream(workload, ADDRESS, seed=1))
