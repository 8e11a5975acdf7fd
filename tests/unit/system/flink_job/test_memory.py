"""Within its window a request has one effect, and no clock that is set changes that."""

from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hosted import NOW_MS, Hosted, ask, code
from support.shop import SINK, minted

from system.flink_job.host import (
    CHUNK,
    SENT_ON,
    SWEEP_AGAIN_MS,
    SWEEP_PAUSE_MS,
    SWEEP_STEPS_MAX,
)
from system.service import TRANSIT_S, Window
from system.wire import Request, encode_request

WINDOW = Window()


def test_reads_write_nothing() -> None:
    host = Hosted()
    ask(host, "create_user", "c")
    writes, timers = host.writes, str(host.timers)
    for number in range(100):
        assert ask(host, "find_user", f"r{number}")["credit"] == 0
        assert ask(host, "get_credit", "c")["credit"] == 0
    assert code(ask(host, "find_order", "f", topic="order_in")) == "not_found"
    assert (host.writes, str(host.timers)) == (writes, timers)
    assert "order_in/e" not in host.values


def test_a_read_that_is_sent_again_reads_again() -> None:
    host = Hosted()
    ask(host, "create_user", "c")
    assert ask(host, "get_credit", "r")["credit"] == 0
    ask(host, "add_credit", "a", amount=5)
    assert ask(host, "get_credit", "r")["credit"] == 5


@pytest.mark.parametrize("restarted", [False, True])
def test_nothing_in_the_window_is_forgotten_by_count(restarted: bool) -> None:
    host = Hosted()
    ask(host, "create_user", "c")
    count = 40 * CHUNK + 1
    answers = [ask(host, "add_credit", f"r{number}", amount=1) for number in range(count)]
    if restarted:
        host.restart()
    last_ms = NOW_MS + WINDOW.window_ms
    host.pass_time(last_ms)
    again = [ask(host, "add_credit", f"r{number}", amount=1) for number in range(count)]
    assert again == answers
    assert ask(host, "get_credit", "g")["credit"] == count


def test_what_is_old_is_forgotten_some_at_a_time() -> None:
    host = Hosted()
    ask(host, "create_user", "c")
    count = 4 * SWEEP_STEPS_MAX
    for number in range(count):
        ask(host, "add_credit", f"r{number}", amount=1)
    host.pass_time(NOW_MS + WINDOW.kept_ms + 1)
    assert len(host.maps["user_in/e"]) > count, "no record has come since: the time is not known"
    ask(host, "get_credit", "g")
    sizes = [len(host.maps["user_in/e"])]
    while len(host.maps["user_in/e"]) > 0:
        (at_ms,) = host.timers["user_in/e"]
        host.pass_time(at_ms)
        sizes.append(len(host.maps["user_in/e"]))
    assert len(sizes) > 4
    steps = [before - after for before, after in pairwise(sizes)]
    assert max(steps) <= SWEEP_STEPS_MAX + 3 * CHUNK + SWEEP_STEPS_MAX // CHUNK
    assert orjson.loads(host.values["user_in/e"])[0]["credit"] == count


def test_what_has_no_entity_leaves_nothing_behind() -> None:
    host = Hosted()
    assert code(ask(host, "add_credit", "r", amount=1)) == "not_found"
    assert host.values
    host.now_ms = NOW_MS + 2 * WINDOW.kept_ms
    ask(host, "get_credit", "g")
    host.pass_time(host.now_ms)
    assert (host.values, host.maps, host.timers) == ({}, {"user_in/e": {}}, {"user_in/e": set()})


def test_a_new_task_forgets_nothing_before_what_was_sent_before_may_have_come_again() -> None:
    host = Hosted()
    ask(host, "create_user", "c")
    host.now_ms += 2 * WINDOW.kept_ms  # an outage
    host.restart()
    ask(host, "get_credit", "g")
    began_ms = host.now_ms
    host.pass_time(began_ms + TRANSIT_S * 1000 - 1)
    assert host.maps["user_in/e"]
    host.pass_time(began_ms + 2 * TRANSIT_S * 1000)
    assert not host.maps["user_in/e"]


MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


@pytest.mark.parametrize(("key", "partition"), [(None, 0), (b"", 0), (b"e", ~1)])
def test_what_is_sent_on_is_as_old_as_it_was(key: bytes | None, partition: int) -> None:
    """A record without a key, or in another partition, and an outage: its copy counted from its own
    time, so a resend within the window was applied once more."""
    host = Hosted()
    ask(host, "create_user", "c")
    value = encode_request(Request("r", SINK, "add_credit", {"user_id": "e", "amount": 1}))

    def sent_on(after_minutes: int) -> bytes:
        """It is written now, and read so much later."""
        logged_ms = host.now_ms
        host.pass_time(logged_ms + after_minutes * MINUTE_MS)
        (copy,) = host.take("user_in", key, value, logged_ms, partition)
        first_ms = int(copy.reason.removeprefix(SENT_ON.decode()))
        assert copy.key == b"e"
        (reply,) = host.take("user_in", copy.key, copy.value, first_ms=first_ms)
        return reply.value

    first = sent_on(0)
    host.pass_time(NOW_MS + 14 * MINUTE_MS)
    assert sent_on(6) == first
    assert ask(host, "get_credit", "g")["credit"] == 1
    value = value.replace(b'"r"', b'"s"')
    assert code(orjson.loads(sent_on(6))) == "idempotency_key_expired", (
        "nobody knows whether it came"
    )
    value = value.replace(b'"s"', b'"t"')
    assert orjson.loads(sent_on(4))["credit"] == 2


def test_a_time_that_is_made_up_keeps_nothing_from_being_forgotten() -> None:
    """A header says when a record was first written, and anybody may write one."""
    left = []
    for first_ms in (-1, 0):
        host = Hosted()
        ask(host, "create_user", "c")
        host.pass_time(NOW_MS + 3 * TRANSIT_S * 1000)
        request = Request("r", SINK, "get_credit", {"user_id": "e"})
        host.take("user_in", b"e", encode_request(request), first_ms=first_ms)
        for minutes in range(16, 45):
            host.pass_time(NOW_MS + minutes * MINUTE_MS)
            ask(host, "get_credit", "g")
            left.append((first_ms, minutes, bool(host.maps["user_in/e"])))
    without, made_up = left[: len(left) // 2], left[len(left) // 2 :]
    assert [each[1:] for each in made_up] == [each[1:] for each in without]
    assert made_up[-1][2] is False


@pytest.mark.parametrize(("minutes", "is_known"), [(10, True), (17, True), (18, False)])
def test_what_is_known_is_answered_however_long_it_was_on_its_way(
    minutes: int, is_known: bool
) -> None:
    """It was sent again within the window, through a service that handed it on minutes later, and
    was refused as too old: so an order that was paid said that it was not."""
    host = Hosted()
    ask(host, "create_user", "c")
    first = ask(host, "add_credit", "r", amount=1)
    host.pass_time(NOW_MS + 24 * MINUTE_MS)
    fields = {"user_id": "e", "amount": 1}
    again = Request("r", SINK, "add_credit", fields, None, NOW_MS + minutes * MINUTE_MS)
    (reply,) = host.take("user_in", b"e", encode_request(again))
    answer = orjson.loads(reply.value)
    if is_known:
        assert answer == first
    else:
        assert code(answer) == "idempotency_key_expired"
    assert ask(host, "get_credit", "g")["credit"] == 1


def test_on_another_machine_what_was_handled_is_as_old_as_the_task() -> None:
    host = Hosted()
    ask(host, "create_user", "c")
    host.now_ms += 2 * WINDOW.kept_ms
    host.restart(elsewhere=True)
    ask(host, "get_credit", "g")
    began_ms = host.now_ms
    host.pass_time(began_ms + WINDOW.kept_ms - 1)
    assert host.maps["user_in/e"]
    host.pass_time(began_ms + WINDOW.kept_ms + 2 * SWEEP_PAUSE_MS)
    assert not host.maps["user_in/e"]


@pytest.mark.parametrize("restarted", ["", "here", "elsewhere"])
@pytest.mark.parametrize("set_ms", [HOUR_MS, -HOUR_MS, 365 * 24 * HOUR_MS])
def test_a_clock_that_is_set_makes_nothing_forgotten(set_ms: int, restarted: str) -> None:
    """Broker and machine tell another time for seven minutes, and then the right one. The window of
    who sent before is not over, and the reply is the same, also while they are wrong."""
    host = Hosted()
    ask(host, "create_user", "c")
    host.pass_time(NOW_MS + 2 * WINDOW.kept_ms)
    ids = ["own", minted(host.now_ms, 1)]
    answers = [ask(host, "add_credit", each, amount=1) for each in ids]
    host.set_clock(set_ms)
    if restarted:
        host.restart(elsewhere=restarted == "elsewhere")
    host.rings = 0
    for minutes in (11, 3):
        for _ in range(minutes):
            host.pass_time(host.now_ms + MINUTE_MS)
            ask(host, "get_credit", f"g{host.now_ms}")
            assert [ask(host, "add_credit", each, amount=1) for each in ids] == answers
        assert host.rings or set_ms < 0, "nothing that might have forgotten rang"
        host.set_clock(-set_ms)
    assert ask(host, "get_credit", "g")["credit"] == 2


@pytest.mark.parametrize("set_ms", [HOUR_MS, -HOUR_MS, 365 * 24 * HOUR_MS])
def test_a_clock_that_was_set_does_not_make_it_remember_for_good(set_ms: int) -> None:
    """What was handled before, meanwhile and after is forgotten, an hour later at most by a clock
    that was an hour ahead."""
    host = Hosted()
    ask(host, "create_user", "c")
    host.set_clock(set_ms)
    for number in range(CHUNK + 1):
        host.pass_time(host.now_ms + MINUTE_MS)
        ask(host, "add_credit", f"meanwhile{number}", amount=1)
    host.set_clock(-set_ms)
    ask(host, "add_credit", "after", amount=1)
    end_ms = host.now_ms + HOUR_MS + 2 * WINDOW.kept_ms
    while host.now_ms < end_ms:
        host.pass_time(host.now_ms + MINUTE_MS)
        ask(host, "get_credit", f"g{host.now_ms}")
    assert not host.maps["user_in/e"]
    assert ask(host, "get_credit", "g")["credit"] == CHUNK + 2


def test_what_is_from_a_time_ahead_stays_with_what_came_after() -> None:
    """Its id is in its minute again an hour later: it must not be new then."""
    host = Hosted()
    ask(host, "create_user", "c")
    host.set_clock(HOUR_MS)
    ahead = minted(host.now_ms, 1)
    ask(host, "add_credit", ahead, amount=1)
    host.set_clock(-HOUR_MS)
    ask(host, "add_credit", minted(host.now_ms, 2), amount=1)
    for minute in range(61):
        host.pass_time(host.now_ms + MINUTE_MS)
        ask(host, "get_credit", f"g{minute}")
    ask(host, "add_credit", ahead, amount=1)
    assert ask(host, "get_credit", "g")["credit"] == 2


@pytest.mark.parametrize("set_ms", [HOUR_MS, -HOUR_MS, 365 * 24 * HOUR_MS])
def test_nor_does_a_broker_s_clock_that_is_set_alone(set_ms: int) -> None:
    host = Hosted()
    ask(host, "create_user", "c")
    ids = ["own", minted(host.now_ms, 1)]
    answers = [ask(host, "add_credit", each, amount=1) for each in ids]
    for broker_ms in [set_ms] * 11 + [0] * 3:
        host.pass_time(host.now_ms + MINUTE_MS)
        logged_ms = host.now_ms + broker_ms
        again = [ask(host, "add_credit", each, amount=1, logged_ms=logged_ms) for each in ids]
        assert again == answers
    assert ask(host, "get_credit", "g")["credit"] == 2


def test_an_alarm_of_a_clock_that_was_ahead_rings_once_the_key_is_looked_at() -> None:
    host = Hosted()
    create = Request("c", SINK, "create_order", {"order_id": "e", "user_id": "u"})
    host.take("order_in", b"e", encode_request(create))
    kept = orjson.loads(host.values["order_in/e"])
    host.values["order_in/e"] = orjson.dumps([kept[0], host.now_ms + 365 * 24 * HOUR_MS, *kept[2:]])
    host.restart()
    before = min(host.timers["order_in/e"])
    ask(host, "find_order", "f", topic="order_in")
    assert min(host.timers["order_in/e"]) <= host.now_ms + SWEEP_AGAIN_MS < before


def test_a_timer_that_was_mended_by_a_read_is_so_when_its_key_comes_back() -> None:
    host = Hosted(keys_max=1)
    host.set_clock(HOUR_MS)
    ask(host, "create_user", "c")
    ask(host, "find_order", "o", topic="order_in")
    host.set_clock(-HOUR_MS)
    written = host.writes
    ask(host, "find_user", "f")
    assert host.writes == written + 1
    ask(host, "find_order", "p", topic="order_in")
    ask(host, "find_user", "g")
    assert host.writes == written + 1


def test_a_backlog_is_as_good_as_an_outage() -> None:
    """A job that was down for hours reads for long what was written before: who undoes what was
    done before comes behind it."""
    host = Hosted()
    ask(host, "create_user", "c")
    ask(host, "add_credit", "funds", amount=10)

    def step(method: str, **params: object) -> None:
        params |= {"user_id": "e", "order_id": "o", "participant": "user"}
        request = Request("k", SINK, method, params)
        host.take("user_in", b"e", encode_request(request), NOW_MS)

    step("attach_order")
    step("charge", amount=4)
    assert ask(host, "get_credit", "g")["credit"] == 6
    host.now_ms += 3 * HOUR_MS
    host.restart()
    host.rings = 0
    for minute in range(0, 180, 3):
        ask(host, "get_credit", f"g{minute}", logged_ms=NOW_MS + minute * MINUTE_MS)
        host.pass_time(host.now_ms + MINUTE_MS)
    assert host.rings
    step("uncharge", amount=4)
    assert ask(host, "get_credit", "h")["credit"] == 10


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["r0", "r1", "r2"]), st.integers(0, 15),
                          st.sampled_from([0, 0, 0, 1, 60, -60, 1440]),
                          st.sampled_from(["", "", "here", "elsewhere"])),
                max_size=40))  # fmt: skip
def test_within_the_window_nothing_is_done_twice(
    taken: list[tuple[str, int, int, str]],
) -> None:
    """Whatever is set, restarted, or sent again, for as long as a client may send again by a clock
    that runs on."""
    host = Hosted()
    ask(host, "create_user", "c")
    first_ms: dict[str, int] = {}
    for number, (name, minutes, set_minutes, restarts) in enumerate(taken):
        host.pass_time(host.now_ms + minutes * 60_000)
        if set_minutes:
            host.set_clock(set_minutes * 60_000)
        if restarts:
            host.restart(elsewhere=restarts == "elsewhere")
        real_ms = host.now_ms - host.set_by_ms
        if real_ms - first_ms.setdefault(name, real_ms) > WINDOW.window_ms:
            continue
        ask(host, "add_credit", name, amount=1)
        assert ask(host, "get_credit", f"g{number}")["credit"] == len(first_ms)


def test_a_silent_partition_keeps_what_it_has() -> None:
    host = Hosted()
    ask(host, "create_user", "c")
    for _ in range(20):
        (at_ms,) = host.timers["user_in/e"]
        assert at_ms - host.now_ms >= SWEEP_PAUSE_MS
        host.pass_time(at_ms)
    assert host.maps["user_in/e"]


def test_an_alarm_and_a_sweep_at_the_same_time_both_happen() -> None:
    host = Hosted()
    ask(host, "create_user", "c")
    kept = orjson.loads(host.values["user_in/e"])
    assert kept[2] in host.timers["user_in/e"]
    host.values["user_in/e"] = orjson.dumps([kept[0], kept[2], *kept[2:]])
    host.restart()
    host.pass_time(kept[2])
    assert host.timers["user_in/e"], "the sweep comes again"


@pytest.mark.parametrize(
    ("sent_after_ms", "is_expired"),
    [(0, False), (15 * 60_000, False), (16 * 60_000, False), (16 * 60_000 + 1, True),
     (-60_000, False), (-60_001, True)],
)  # fmt: skip
def test_an_id_of_a_gateway_is_refused_after_the_window(
    sent_after_ms: int, is_expired: bool
) -> None:
    minute = NOW_MS // 60_000
    request_id = f"kf_{minute:07x}_{'r' * 16}_{'f' * 16}"
    host = Hosted()
    ask(host, "create_user", "c")
    logged_ms = minute * 60_000 + sent_after_ms
    for _ in range(2):
        answer = ask(host, "add_credit", request_id, amount=1, logged_ms=logged_ms)
        assert ("error" in answer) is is_expired
    if is_expired:
        assert code(answer) == "idempotency_key_expired"
    assert ask(host, "get_credit", request_id, logged_ms=logged_ms)["credit"] == (not is_expired)
    assert not host.dead


def test_what_was_too_long_on_its_way_between_services_is_refused() -> None:
    host = Hosted()
    ask(host, "create_user", "c")
    request = Request("r", SINK, "add_credit", {"user_id": "e", "amount": 1},
                      at_ms=NOW_MS - TRANSIT_S * 1000 - 1)  # fmt: skip
    (reply,) = host.take("user_in", b"e", encode_request(request))
    assert code(orjson.loads(reply.value)) == "idempotency_key_expired"
    again = request._replace(at_ms=NOW_MS - TRANSIT_S * 1000)
    assert host.take("user_in", b"e", encode_request(again)) == [reply], "refused for good"
    (reply,) = host.take("user_in", b"e", encode_request(again._replace(request_id="q")))
    assert orjson.loads(reply.value)["credit"] == 1
