"""The gateway's own echo, on an event loop whose time only the test moves."""

import asyncio

import orjson
import pytest

from system.gateway.readiness import INTERVAL_S, PREFIX, SILENCE_S, Readiness
from system.wire import RefusedError


class Loop:
    """As much of an event loop as there is use for."""

    def __init__(self):
        self.now_s = 100.0
        self.due = []

    def time(self):
        return self.now_s

    def call_later(self, delay_s, callback):
        self.due.append([self.now_s + delay_s, callback])
        return Timer(self.due, self.due[-1])

    def forward(self, s):
        end_s = self.now_s + s
        while self.due and min(self.due)[0] <= end_s:
            at_s, callback = first = min(self.due)
            self.due.remove(first)
            self.now_s = at_s
            callback()
        self.now_s = end_s


class Timer:
    def __init__(self, due, entry):
        self.cancel = lambda: entry in due and due.remove(entry)


@pytest.fixture
def loop(monkeypatch):
    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    return loop


def test_ready_while_the_services_answer(loop):
    sent = []
    readiness = Readiness("gw", "echo_in", "gateway_out_gw", lambda *record: sent.append(record))
    assert readiness.silent() == "the services have not answered yet"
    readiness.begin()
    for _ in range(10):
        assert readiness.settle(sent[-1][3])
        assert readiness.silent() is None
        loop.forward(INTERVAL_S)
    assert len(sent) == 11
    topic, key, record, request_id = sent[0]
    assert (topic, key) == ("echo_in", "gw")
    assert orjson.loads(record) == {
        "request_id": request_id,
        "sink": "gateway_out_gw",
        "method": "echo",
        "params": {"echo_id": "gw"},
    }
    assert len({record[3] for record in sent}) == len(sent)


def test_unready_within_3_s_of_the_last_answer(loop):
    sent = []
    readiness = Readiness("gw", "echo_in", "out", lambda *record: sent.append(record))
    readiness.begin()
    readiness.settle(sent[-1][3])
    loop.forward(SILENCE_S)
    assert readiness.silent() is None
    loop.forward(0.01)
    assert readiness.silent() == "the services have not answered for 2.5 s"
    assert SILENCE_S < 3
    readiness.settle(sent[0][3])  # a late answer is one
    assert readiness.silent() is None


def test_an_answer_to_an_earlier_gateway_says_nothing(loop):
    readiness = Readiness("gw", "echo_in", "out", lambda *record: None)
    assert readiness.settle(f"{PREFIX}0123456789abcdef_1")
    assert readiness.silent() == "the services have not answered yet"
    assert not readiness.settle("kf_a")


def test_it_goes_on_without_kafka_and_ends_when_told(loop):
    tried = []

    def refuse(*record):
        tried.append(record)
        raise RefusedError("unavailable", "Kafka is not reachable")

    readiness = Readiness("gw", "echo_in", "out", refuse)
    readiness.begin()
    loop.forward(3 * INTERVAL_S)
    assert len(tried) == 4
    readiness.end()
    loop.forward(3 * INTERVAL_S)
    assert len(tried) == 4
    assert loop.due == []
