"""Sequences: what is captured, checked, and sent next."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.samples import kind_of
from bench.workload.address import Address
from bench.workload.answer import NoValueError, Received, at, excerpt, texts
from bench.workload.draws import Draws
from bench.workload.flows import Flows
from bench.workload.http_file import parse
from bench.workload.sources import Templates

ADDRESS = Address.of("http://127.0.0.1:8000")
TIMES_NS = (0, 0, 0)
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json"
LOG_IN = {
    "request": [
        {"operation": "log_in", "path": "/in/{id}", "capture": {"token": "/user/tokens/0"}},
        {"operation": "look", "path": "/{id}", "headers": {"Authorization": "Bearer {token}"}},
    ]
}
VALUES = {"id": {"from": 1, "to": 1000}}


def labelled(names: list[str]) -> Any:
    def label(operation: str, outcome: str) -> int:
        names.append(f"{operation} {outcome}")
        return len(names)

    return label


def flows(document: dict[str, Any], names: list[str]) -> Flows:
    return Flows(Draws(parse(document), 1), ADDRESS, labelled(names))


def target(request: bytes) -> str:
    return request.split(b" ")[1].decode()


def test_a_sequence_of_one_request_is_looked_at_too() -> None:
    names: list[str] = []
    document = {"sequence": [{"request": LOG_IN["request"][:1]}], "values": VALUES}
    assert not parse(document).is_plain
    load = flows(document, names)
    for body in (b'{"error": "no"}', b'{"user": {"tokens": ["t"]}}'):
        load.answered(load.next()[0], Received(200, JSON, [body]), TIMES_NS)
    assert names == ["log_in unexpected 200 capture", "log_in 200"]


def test_what_is_captured_is_sent_next() -> None:
    names: list[str] = []
    load = flows({"sequence": [LOG_IN], "values": VALUES}, names)
    (one, first), (two, second) = load.next(), load.next()
    assert target(first) != target(second)
    load.answered(two, Received(200, JSON, [b'{"user": {"tokens"', b': ["t2"]}}']), TIMES_NS)
    step, third = load.next()
    assert target(third) == target(second).removeprefix("/in")
    assert b"\r\nAuthorization: Bearer t2\r\n" in third
    load.answered(one, Received(200, JSON, [b'{"user": {"tokens": [5]}}']), TIMES_NS)
    _, fourth = load.next()
    assert b"\r\nAuthorization: Bearer 5\r\n" in fourth
    load.answered(step, Received(200, JSON, []), TIMES_NS)
    assert target(load.next()[1]).startswith("/in/")
    assert names == ["log_in 200", "log_in 200", "look 200"]


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (500, b"{}", "unexpected 500"),
        (200, b"{}", "unexpected 200 capture"),
        (200, b"no JSON", "unexpected 200 capture"),
        (200, b'{"user": {"tokens": [null]}}', "unexpected 200 capture"),
        (200, b'{"user": {"tokens": ["a\\r\\nb: c"]}}', "unexpected 200 capture"),
        (200, b'{"user": {"tokens": ["' + b"a" * 9000 + b'"]}}', "unexpected 200 capture"),
    ],
)
def test_a_sequence_ends_at_an_answer_that_is_not_as_expected(status, body, outcome) -> None:
    names: list[str] = []
    load = flows({"sequence": [LOG_IN], "values": VALUES}, names)
    context, _ = load.next()
    load.answered(context, Received(status, JSON, [body]), TIMES_NS)
    load.failed(load.next()[0], "timeout", TIMES_NS)
    assert target(load.next()[1]).startswith("/in/")
    assert names == [f"log_in {outcome}", "log_in timeout"]
    assert kind_of(outcome) == "failed"


CHECK = {
    "header": {"Content-Type": "application/json"},
    "body": "ré",
    "json": {"/a~1b/0": 1, "/c": "ré"},
}


@pytest.mark.parametrize(
    ("head", "body", "outcome"),
    [
        (JSON, '{"a/b": [1], "c": "ré"}', "200"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html", '{"a/b": [1], "c": "ré"}',
         "unexpected 200 header"),
        (JSON, '{"a/b": [1], "c": "r"}', "unexpected 200 body"),
        (JSON, '{"a/b": [2], "c": "ré"}', "unexpected 200 json"),
        (JSON, '{"a/b": [true], "c": "ré"}', "unexpected 200 json"),
        (JSON, "ré", "unexpected 200 json"),
    ],
)  # fmt: skip
def test_checks(head: bytes, body: str, outcome: str) -> None:
    names: list[str] = []
    load = flows({"request": [{"operation": "a", "path": "/", "check": CHECK}]}, names)
    load.answered(load.next()[0], Received(200, head, [body.encode()]), TIMES_NS)
    assert names == [f"a {outcome}"]


@pytest.mark.parametrize(
    ("expect", "status", "outcome", "kind"),
    [
        ([200, 503], 503, "expected 503", "refused"),
        ([200, 504], 504, "expected 504", "refused"),
        ([200, 503], 200, "200", "ok"),
        ([200, 503], 404, "unexpected 404", "failed"),
        ([200, 404], 404, "404", "refused"),
        ([], 503, "unexpected 503", "failed"),
        ([], 302, "302 redirect", "refused"),
        ([], 304, "304", "ok"),
        ([302], 302, "302", "ok"),
        ([302], 200, "unexpected 200", "failed"),
    ],
)
def test_what_a_status_counts_as(expect, status, outcome, kind) -> None:
    names: list[str] = []
    work = parse({"request": [{"operation": "a", "path": "/", "expect": expect}]})
    assert work.is_plain
    load = Templates(Draws(work, 1), ADDRESS, labelled(names))
    load.answered(load.next()[0], Received(status, JSON, []), TIMES_NS)
    assert names == [f"a {outcome}"]
    assert kind_of(outcome) == kind


def test_a_request_without_places_is_made_once() -> None:
    """However large it is, and however often it is sent."""
    body = "x" * 100_000
    entries = [{"operation": f"a{i}", "path": "/", "body": body} for i in range(3)]
    load = Templates(Draws(parse({"request": entries}), 1), ADDRESS, labelled([]))
    assert len({id(load.next()[1]) for _ in range(5_000)}) == 3


# ---- JSON Pointers: the examples of RFC 6901, chapter 5

RFC = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5,
       'k"l': 6, " ": 7, "m~n": 8}  # fmt: skip


@pytest.mark.parametrize(
    ("pointer", "value"),
    [("", RFC), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2),
     ("/e^f", 3), ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8)],
)  # fmt: skip
def test_a_pointer(pointer: str, value: object) -> None:
    assert at(RFC, pointer) == value


@pytest.mark.parametrize(
    "pointer", ["/foo/2", "/foo/-", "/foo/x", "/foo/0/1", "/no", "/foo/\u0661"]
)
def test_a_pointer_to_nothing(pointer: str) -> None:
    with pytest.raises(NoValueError):
        at(RFC, pointer)


@given(st.binary(), st.text(max_size=5).map(lambda text: f"/{text}"))
def test_any_body_gives_a_text_or_none(body: bytes, pointer: str) -> None:
    try:
        found = texts({"x": pointer}, [body])
    except NoValueError:
        return
    assert all(character >= " " for character in found["x"])


def shown(document: dict[str, Any], *answers: Received, kind: type = Templates) -> list[str]:
    """What is shown of the first answers of each kind."""
    lines: list[str] = []

    def show(operation: str, outcome: str, text: str) -> None:
        lines.append(f"{operation}: {outcome}: {text}")

    load = kind(Draws(parse(document), 1), ADDRESS, labelled_by_name(), show)
    for answer in answers:
        context, _ = load.next()
        load.answered(context, answer, TIMES_NS)
    return lines


def labelled_by_name() -> Any:
    names: dict[str, int] = {}
    return lambda operation, outcome: names.setdefault(f"{operation} {outcome}", len(names))


def answer(status: int, body: bytes) -> Received:
    return Received(status, b"HTTP/1.1 %d X" % status, [body])


ONE = {"request": [{"operation": "find", "path": "/"}]}
CHECKED = {"request": [{"operation": "find", "path": "/", "check": {"body": "ok"}}]}


def test_the_first_answer_of_each_kind_that_failed_is_shown() -> None:
    given = [answer(200, b"ok"), answer(500, b"one\n two"), answer(500, b"three"), answer(404, b"")]
    lines = ["find: unexpected 500: one two", "find: unexpected 404: "]
    assert shown(ONE, *given) == lines
    assert shown(CHECKED, *given, kind=Flows) == lines
    wrong = [answer(200, b"no"), answer(200, b"no again")]
    assert shown(CHECKED, *wrong, kind=Flows) == ["find: unexpected 200 body: no"]
    assert shown(ONE, *wrong) == []


def test_no_secret_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "s3cr3t")
    headers = {"Authorization": {"env": "KEY", "prefix": "Bearer "}}
    one = {"request": [{"operation": "find", "path": "/", "headers": headers}]}
    (line,) = shown(one, answer(401, b"wrong key s3cr3t, Bearer s3cr3t"))
    assert line == "find: unexpected 401: wrong key [hidden], Bearer [hidden]"
    body = b'{"user": {"tokens": ["t0ps3cret"]}}'
    lines = shown({"sequence": [LOG_IN], "values": VALUES}, answer(200, body),
                  answer(403, b"not for t0ps3cret"), kind=Flows)  # fmt: skip
    assert lines == ["look: unexpected 403: not for [hidden]"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"token": "abc", "user": 7}', '{"token": [hidden], "user": 7}'),
        ('{"access_token":"a\\"bc","b":1}', '{"access_token":[hidden],"b":1}'),
        ('{"x": "{\\"password\\": \\"p\\"}"}', '{"x": "{\\"password\\": [hidden]}"}'),
        ('{"tokens": ["a", "b"]}', '{"tokens": [hidden]}'),
        ('{"session": {"id": "s3cret-9f"}, "a": 1}', '{"session": [hidden], "a": 1}'),
        ('{"credentials":{"user":"bob","key":"A}K{I"},"a":1}', '{"credentials":[hidden],"a":1}'),
        ('{"tokens": [["a", "b"], "c"]}', '{"tokens": [hidden]'),
        ('{"session": {"id": "s3c', '{"session": [hidden]'),
        ("Cookie: theme=dark; sid=SECRET\r\nHost: a", "Cookie: [hidden] Host: a"),
        ("Set-Cookie: sid=1; Path=/", "Set-Cookie: [hidden]; Path=/"),
        ("/login?api_key=17&a=b", "/login?api_key=[hidden]&a=b"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln here", "got [hidden] here"),
        ("Authorization: Basic dTpw!", "Authorization: [hidden]!"),
        ("a\x1b[31m\u202e\r\n\x00\tb", "a [31m b"),
        ("\udcff", "?"),
        ("x" * 201, "x" * 199 + "…"),
        ("x" * 200, "x" * 200),
        ('{"password": "' + "y" * 5000, '{"password": [hidden]'),
    ],
)
def test_an_excerpt_is_one_line_without_secrets(body: str, text: str) -> None:
    assert excerpt(answer(500, body.encode(errors="replace"))) == text


@given(st.binary(max_size=6000), st.lists(st.text(min_size=4, max_size=20), max_size=3))
def test_any_body_has_an_excerpt(body: bytes, secrets: list[str]) -> None:
    text = excerpt(answer(500, body), secrets)
    assert len(text) <= 200
    assert text.isprintable() or not text


def test_a_long_secret_is_found_where_it_is_cut_off() -> None:
    secret = "s3cr3t-" * 900
    body = b"x" * 10 + secret.encode()
    assert excerpt(answer(500, body), [secret]) == "x" * 10 + "[hidden]"


def test_what_an_answer_should_have_given_is_not_shown() -> None:
    """Its own check failed first, or another pointer points to nothing; and what another step of
    the sequence has to itself is as secret."""
    one = {
        "operation": "log_in",
        "path": "/",
        "capture": {"sid": "/sid", "uid": "/user/id"},
        "check": {"json": {"/ok": True}},
    }
    for body in (b'{"ok":false,"sid":"9f8e7d6c"}', b'{"ok":true,"sid":"9f8e7d6c"}'):
        (line,) = shown({"sequence": [{"request": [one]}]}, answer(200, body), kind=Flows)
        assert "9f8e7d6c" not in line
        assert "[hidden]" in line


def test_an_excerpt_is_quickly_made() -> None:
    """Patterns that search again from each character would take minutes."""
    for body in (
        *(b"token" * 800, b"a" * 4000, b'token"' + b" " * 4000, b'"' * 4000, b"\\" * 4000),
        *(b"token={" + b'"' * 4000, b"token=" + b"[" * 4000, b'token={""' * 500),
    ):
        assert len(excerpt(answer(500, body * 100))) <= 200
