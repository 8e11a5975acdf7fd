"""Writes that were answered 504 are sent again, and what they did is known then."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.judge import resends
from bench.judge.client import KEY_HEADER
from bench.judge.invariants import check
from bench.judge.reply_contract import EXPIRED, REUSED, Final
from bench.judge.resends import RESENT_MAX, Resent, send_all, unanswered
from bench.records.request_log import History, Row, Writer
from bench.workload.journey import Call

ADD = "/users/credit/add/u/20"
TIMEOUT = {"request_id": "r", "error": {"code": "timeout", "message": "no reply"}}
DONE = {"request_id": "r", "user_id": "u", "credit": 20}
CREATED = Row("create_user", "/users/create", None, 0, 1, 200, {"request_id": "c", "user_id": "u"})


def row(
    operation: str = "add_credit", path: str = ADD, key: str | None = None, status: int = 504,
    **body: Any,
) -> Row:  # fmt: skip
    return Row(operation, path, key, 2, 3, status, {**TIMEOUT, **body})


def test_a_write_without_an_answer() -> None:
    assert unanswered([row()]) == {"r": Call("add_credit", "POST", ADD)}


@pytest.mark.parametrize(
    "other",
    [
        row("find_user", "/users/find/u"),
        row("echo", "/echo/u"),
        row("index", "/"),
        row("no_method", "/users/find/u"),
        row(key="mine"),
        row(status=503),
        row(status=200),
        row(status=0),
        row(request_id=None),
        row(request_id=7),
    ],
)
def test_what_is_not_sent_again(other: Row) -> None:
    assert unanswered([other]) == {}


def test_the_newest_are_sent_again() -> None:
    """Files are read one after the other, each in the order of its own time."""
    rows = [
        row(request_id=f"r{number}")._replace(sent_ns=number) for number in range(RESENT_MAX + 2)
    ]
    found = unanswered([*rows[1::2], *rows[::2]])
    assert len(found) == RESENT_MAX
    assert "r1" not in found
    assert "r2" in found
    assert f"r{RESENT_MAX + 1}" in found


class Shop:
    """Answers each request with these statuses in turn, the last for ever."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = statuses
        self.asked: Counter[tuple[str, str, str | None]] = Counter()

    async def answer(self, request: web.Request) -> web.Response:
        asked = (request.method, request.path, request.headers.get(KEY_HEADER))
        status = self._statuses[min(self.asked[asked], len(self._statuses) - 1)]
        self.asked[asked] += 1
        expired = {"request_id": "r", "error": {"code": EXPIRED, "message": "too old"}}
        body = {200: DONE, 409: expired}.get(status, TIMEOUT)
        return web.json_response(body, status=status)

    def server(self) -> TestServer:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        return TestServer(app)


async def test_it_is_sent_until_its_outcome_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resends, "INTERVAL_S", 0.0)
    shop, writer = Shop(504, 503, 200), Writer(tmp_path / "resends.jsonl")
    async with shop.server() as server:
        again = await send_all(str(server.make_url("")), unanswered([row()]), writer)
    writer.close()
    assert again == Resent(known=1)
    assert shop.asked == {("POST", ADD, "r"): 3}
    history = History([tmp_path / "resends.jsonl"])
    assert [(each.status, each.key, each.request_id) for each in history] == [
        (504, "r", "r"),
        (503, "r", "r"),
        (200, "r", "r"),
    ]
    assert history.footers() == [(3, 0)]


async def test_one_that_is_never_answered_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resends, "ANSWERED_S", 0.0)
    monkeypatch.setattr(resends, "INTERVAL_S", 0.0)
    monkeypatch.setattr(resends, "IN_FLIGHT_MAX", 1)
    shop, writer = Shop(504), Writer(tmp_path / "resends.jsonl")
    calls = unanswered([row(request_id=f"r{number}") for number in range(9)])
    async with shop.server() as server:
        again = await send_all(str(server.make_url("")), calls, writer)
    writer.close()
    assert again == Resent(unknown=9, first=f"POST {ADD}, sent again with r0: 504 timeout")
    assert {key for _, _, key in shop.asked} == {"r0"}, "no more are waited for"
    assert {each.key for each in History([tmp_path / "resends.jsonl"])} == {"r0"}


async def test_one_that_is_too_old_is_not_known(tmp_path: Path) -> None:
    shop, writer = Shop(409), Writer(tmp_path / "resends.jsonl")
    async with shop.server() as server:
        again = await send_all(str(server.make_url("")), unanswered([row()]), writer)
    writer.close()
    assert again == Resent(expired=1)
    assert again.totals == {"resent_known": 0, "resent_expired": 1, "resent_unknown": 0}


@pytest.mark.parametrize(
    ("key", "other_ns", "broken"),
    [(None, None, 1), (None, 5, 1), ("r", None, 1), ("r", 12, 1), ("r", 11, 0), ("r", 5, 0)],
)
def test_an_own_request_is_never_another_one(
    key: str | None, other_ns: int | None, broken: int
) -> None:
    """The gateway made the id for it, or no other was sent with it until then."""
    final = Final({"u": {"user_id": "u", "credit": 20}}, {}, {})
    reused = {"request_id": "r", "error": {"code": REUSED, "message": ""}}
    rows = [CREATED, row(key=key), Row("add_credit", ADD, "r", 10, 11, 409, reused)]
    if other_ns is not None:
        rows.append(Row("add_stock", "/stock/add/i/1", "r", other_ns, 20, 503, {}))
    assert check(rows, final).counts["same_reply"] == broken


@pytest.mark.parametrize(
    ("credit", "before", "after"),
    [(20, [], []), (0, [], ["money"]), (40, ["money"], ["money"])],
)
def test_an_effect_that_was_unknown_is_judged(
    credit: int, before: list[str], after: list[str]
) -> None:
    """The 504 alone allows that nothing was added; the resend says that it was."""
    final = Final({"u": {"user_id": "u", "credit": credit}}, {}, {})
    again = Row("add_credit", ADD, "r", 10, 11, 200, DONE)
    for history, broken in (([CREATED, row()], before), ([CREATED, row(), again], after)):
        counts = check(history, final).counts
        assert [name for name, count in counts.items() if count] == broken
