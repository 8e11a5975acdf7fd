"""Workload files."""

import os
import re
from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.workload.address import Address
from bench.workload.draws import Draws
from bench.workload.http_file import Workload, WorkloadError, parse, read_workload
from bench.workload.template import Template, Text, encode

ADDRESS = Address.of("http://127.0.0.1:8000/api/")


def stream(workload: Workload, seed: int) -> Iterator[tuple[Template, bytes]]:
    """The first request of each sequence, without end."""
    draws = Draws(workload, seed)
    while True:
        for chosen, values in draws.block():
            template = workload.flows[chosen].steps[0]
            yield template, template.request(ADDRESS, values)


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
    sent = list(islice(stream(workload, seed=3), 1000))
    assert sent == list(islice(stream(workload, seed=3), 1000))
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
        ({"request": [{**GOOD, "path": "/a\nb"}]}, "path"),
        ({"request": [{**GOOD, "path": "/a#b"}]}, "path"),
        ({"request": [{**GOOD, "path": "/{who}"}]}, "who"),
        ({"request": [{**GOOD, "method": "GET /"}]}, "method"),
        ({"request": [{**GOOD, "method": []}]}, "method"),
        ({"request": [{**GOOD, "weight": 0}]}, "weight"),
        ({"request": [{**GOOD, "weight": True}]}, "weight"),
        ({"request": [{**GOOD, "headers": {"A": "b\r\nC: d"}}]}, "headers"),
        ({"request": [{**GOOD, "headers": {"A b": "c"}}]}, "header A b"),
        ({"request": [{**GOOD, "body": 5}]}, "body"),
        ({"request": [{**GOOD, "expect": [99]}]}, "expect"),
        ({"request": [GOOD, GOOD]}, "two requests"),
        ({"request": [GOOD], "values": {"a": []}}, "values.a"),
        ({"request": [GOOD], "values": {"a": ["x\ny"]}}, "values.a"),
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
    next(stream(workload, seed=1))


# ---- what a request is


def first(entry: dict[str, Any], folder: Path = Path(), **more: Any) -> bytes:
    document = {"request": [{**GOOD, **entry}], **more}
    _, request = next(stream(parse(document, folder), seed=1))
    return request


def head_of(request: bytes) -> list[bytes]:
    return request.partition(b"\r\n\r\n")[0].split(b"\r\n")


def test_a_host_of_one_s_own_is_the_only_one() -> None:
    assert head_of(first({"headers": {"host": "shop.example"}})) == [
        b"GET /api/ HTTP/1.1",
        b"host: shop.example",
    ]


def test_a_right_content_length_is_sent_once() -> None:
    given = {"method": "POST", "body": "é!", "headers": {"content-length": "3"}}
    assert head_of(first(given)) == [
        b"POST /api/ HTTP/1.1",
        b"Host: 127.0.0.1:8000",
        b"Content-Length: 3",
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"headers": {"Content-Length": "4"}, "body": "abc"}, "counted from the body"),
        ({"headers": {"Content-Length": "3"}, "body": "{a}"}, "counted from the body"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "sent with its length"),
        ({"headers": {"Host": "a", "host": "b"}}, "one of them twice"),
        ({"headers": {"A": {"env": "NOT_SET_ANYWHERE"}}}, "the environment has no NOT_SET"),
        ({"headers": {"A": {"file": "missing"}}}, "No such file"),
        ({"headers": {"A": {"env": "A", "file": "B"}}}, "header A"),
        ({"headers": {"A": {"env": "HOME", "prefix": 5}}}, "header A"),
        ({"headers": {"A": 5}}, "header A"),
        ({"method": "CONNECT"}, "tunnel"),
        ({"body": {"file": "missing"}}, "No such file"),
        ({"path": "/{a}{b}"}, r"\{b\} is not in \[values\].*write \{\{b\}\}"),
        ({"capture": {"x": "/x"}}, "'capture' is unknown"),
        ({"check": {"status": 200}}, "'status' is unknown"),
        ({"check": {"json": {"id": 1}}}, "JSON Pointers"),
        ({"check": {"header": {"A": 1}}}, "names and values"),
        ({"check": {"body": 1}}, "body"),
        ({"check": []}, "check"),
    ],
)
def test_a_request_that_can_not_be_used(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        first(entry, values={"a": [1]})


@pytest.mark.parametrize("verb", ["HEAD", "PROPFIND", "TRACE", "OPTIONS", "purge"])
def test_any_method(verb: str) -> None:
    assert head_of(first({"method": verb}))[0] == verb.encode() + b" /api/ HTTP/1.1"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/😀", b"/%F0%9F%98%80"),
        ("/a b?q=é&r=%20/", b"/a%20b?q=%C3%A9&r=%20/"),
        ("/{name}", b"/J%C3%BCrgen%20%2B"),
        ("/{{name}}/{}", b"/{name}/{}"),
    ],
)
def test_a_path_is_percent_encoded_utf_8(path: str, target: bytes) -> None:
    request = first({"path": path}, values={"name": ["Jürgen %2B"]})
    assert head_of(request)[0] == b"GET /api" + target + b" HTTP/1.1"


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ('{"user": {"id": {id}, "of": ["{id}"]}}', '{"user": {"id": 7, "of": ["7"]}}'),
        ("query { user(id: {id}) { name {{first}} } }", "query { user(id: 7) { name {first} } }"),
        ("{{id}} {id} {{}} { id } {", "{id} 7 {{}} { id } {"),
    ],
)
def test_braces_in_a_body(body: str, sent: str) -> None:
    request = first({"method": "POST", "body": body}, values={"id": [7]})
    assert request.partition(b"\r\n\r\n")[2] == sent.encode()


@given(st.text())
def test_any_text_without_places_is_sent_as_it_is(text: str) -> None:
    """Where it has what looks like a place, doubled braces are the text."""
    doubled = re.sub(r"\{(\w+(?:\.\w+)?)\}", r"{{\1}}", text)
    if "{{{" not in doubled and "}}}" not in doubled:
        assert Text.of(doubled) == Text((text,))


def test_headers_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "{id}")
    (tmp_path / "key").write_text("of a file\n")
    headers = {
        "Authorization": {"env": "SECRET", "prefix": "Bearer "},
        "X-Key": {"file": "key"},
        "X-Id": "{id}",
    }
    request = first({"headers": headers}, tmp_path, values={"id": [7]})
    assert head_of(request)[2:] == [b"Authorization: Bearer {id}", b"X-Key: of a file", b"X-Id: 7"]
    (tmp_path / "key").write_text("two\nlines")
    with pytest.raises(WorkloadError, match="X-Key: headers are names and values on one line"):
        first({"headers": headers}, tmp_path, values={"id": [7]})


def test_a_files_name_with_nul_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"cannot read .*null"):
        first({"method": "PUT", "body": {"file": "a\0b"}}, tmp_path)


def test_an_operations_name_is_on_one_line(tmp_path: Path) -> None:
    """It is a row of tables, and a tag of files that others read."""
    with pytest.raises(WorkloadError, match="operation is its name in the results, on one line"):
        first({"operation": "a\nb"}, tmp_path)


def test_a_body_from_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    content = bytes(range(256)) + b"{id}" + b"x" * 2_000_000
    (tmp_path / "body").write_bytes(content)
    request = first({"method": "PUT", "body": {"file": "body"}}, tmp_path)
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == content
    assert head.endswith(b"Content-Length: %d" % len(content))


def test_a_connection_for_each_request() -> None:
    request = first({"headers": {"Connection": "keep-alive"}}, keep_alive=False)
    assert head_of(request)[2:] == [b"Connection: close"]


def test_a_value_of_several_lines_is_no_value(tmp_path: Path) -> None:
    """It lost its line end, and was sent; another sign that ends lines made two rows of one."""
    source = {"values": {"row": {"csv": "rows.csv"}}, "request": [{**GOOD, "path": "/{row.id}"}]}
    (tmp_path / "rows.csv").write_text('id,name\n1,"two\nlines"\n')
    with pytest.raises(WorkloadError, match=r"row 1 of .* is not 2 texts"):
        parse(source, tmp_path)
    (tmp_path / "rows.csv").write_text("id\none\u2028more\n", encoding="utf-8")
    assert parse(source, tmp_path).values["row"].rows == [("one\u2028more",)]


def test_values_are_as_json_has_them() -> None:
    """A flag was True, which is no JSON."""
    found = parse({"values": {"v": [True, False, 1, 2.5, "x"]}, "request": [GOOD]}).values["v"]
    assert found.rows == [("true",), ("false",), ("1",), ("2.5",), ("x",)]


@pytest.mark.parametrize("value", [date(2024, 1, 1), float("nan"), [float("inf")]])
def test_what_no_answer_could_have_is_not_asked_for(value: object) -> None:
    with pytest.raises(WorkloadError, match="check: json: JSON has no dates, nan and inf"):
        parse({"request": [{**GOOD, "check": {"json": {"/day": value}}}]})


def test_a_secret_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator sent nothing then, and the server was blamed."""
    monkeypatch.setitem(os.environb, b"TOKEN", b"p\xe4ss")
    with pytest.raises(WorkloadError, match="header A: TOKEN is no text"):
        parse({"request": [{**GOOD, "headers": {"A": {"env": "TOKEN"}}}]})


def test_rows_of_a_csv_file_stay_together(tmp_path: Path) -> None:
    rows = [f'{n},"name, {n}"' for n in range(500)]
    (tmp_path / "rows.csv").write_text("id,name\n" + "\n".join(rows) + "\n")
    document = {
        "values": {"row": {"csv": "rows.csv"}},
        "request": [{**GOOD, "path": "/{row.id}", "body": "{row.name} {row.id}"}],
    }
    sent = [request for _, request in islice(stream(parse(document, tmp_path), seed=1), 500)]
    bodies = {request.partition(b"\r\n\r\n")[2] for request in sent}
    assert bodies == {b"name, %d %d" % (n, n) for n in range(500)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no CSV"),
        (b"id", "0 rows"),
        (b"id,id\n1,2", "names its columns"),
        (b"a b\n1", "names its columns"),
        (b"id\n1,2", "row 1"),
        (b'id\n"1\t2"', "row 1"),
        (b'id\n"1', "no CSV"),
        (b"id\n\xff", "no CSV"),
    ],
)
def test_a_csv_file_that_can_not_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(WorkloadError, match=message):
        parse({"values": {"row": {"csv": "rows.csv"}}, "request": [GOOD]}, tmp_path)


SEQUENCE = [
    {"operation": "log_in", "path": "/in", "capture": {"token": "/token"}},
    {"operation": "look", "path": "/", "headers": {"Authorization": "Bearer {token}"}},
]


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ({"request": []}, "1 to 100"),
        ({"request": SEQUENCE[::-1]}, r"\{token\} is not in"),
        ({"request": SEQUENCE, "steps": 1}, "'steps' is unknown"),
        ({"request": [{**SEQUENCE[0], "weight": 2}]}, "'weight' is unknown"),
        ({"request": [{**SEQUENCE[0], "capture": {"id": "/id"}}]}, "'id' is in"),
        ({"request": [{**SEQUENCE[0], "capture": {"x": "id"}}]}, "JSON Pointers"),
        ({"request": 5}, "request"),
    ],
)
def test_a_sequence_that_can_not_be_used(sequence: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        parse({"sequence": [sequence], "values": {"id": [1]}})


def test_limits_of_a_run() -> None:
    assert parse({"request": [GOOD]}).thresholds == (None, None)
    limits = {"p99_ms": 50, "max_failed": 0}
    assert parse({"request": [GOOD], "thresholds": limits}).thresholds == (50.0, 0.0)


@pytest.mark.parametrize(
    "limits", [5, {"p50_ms": 5}, {"p99_ms": 0}, {"p99_ms": 60_001}, {"max_failed": 1.1},
               {"max_failed": True}, {"max_failed": "1%"}],
)  # fmt: skip
def test_limits_that_can_not_be_used(limits: Any) -> None:
    with pytest.raises(WorkloadError, match="thresholds"):
        parse({"request": [GOOD], "thresholds": limits})
