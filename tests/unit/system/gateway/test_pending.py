from asyncio import Future
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from system.gateway.limits import Limits
from system.gateway.pending import REPLY_KINDS, Pending
from system.wire import RefusedError

LIMITS = Limits(
    in_flight_max=3, waiters_max=2, timeout_s=5, remembered_max=10_000, remembered_s=10_000
)
IDS = st.sampled_from("abcdef")


class FakeFuture(Future):
    """A future without an event loop; the second result raises as a real one's does."""

    def __init__(self):
        self.results = []

    def set_result(self, result):
        assert not self.results, "a waiter was answered twice"
        self.results.append(result)

    def __del__(self):
        pass


class PendingMachine(RuleBasedStateMachine):
    """Any order of requests, replies, failed sends and time."""

    def __init__(self):
        super().__init__()
        self.pending = Pending(LIMITS, FakeFuture)
        self.now_s = 1.0
        self.open = {}  # request_id → (future, fingerprint, waiters, deadline)
        self.timed_out, self.answered = {}, {}  # request_id → fingerprint
        self.replies = Counter()

    @rule(id_=IDS, print_=st.sampled_from("xy"))
    def request(self, id_, print_):
        known = self.open.get(id_)
        full = len(self.open) == LIMITS.in_flight_max
        bound = known[1] if known else self.timed_out.get(id_) or self.answered.get(id_)
        if bound and bound != print_:
            refusal = "idempotency_key_reused"
        else:
            crowded = known[2] == LIMITS.waiters_max if known else full
            refusal = "overloaded" if crowded else None
        if refusal:
            with pytest.raises(RefusedError) as refused:
                self.pending.register(id_, print_, self.now_s)
            assert refused.value.code == refusal
            return
        future, is_new = self.pending.register(id_, print_, self.now_s)
        assert is_new == (known is None)
        if known:
            assert future is known[0]
            self.open[id_] = (future, print_, known[2] + 1, known[3])
        else:
            self.open[id_] = (future, print_, 1, self.now_s + LIMITS.timeout_s)

    @rule(id_=IDS, binds=st.booleans())
    def reply(self, id_, binds):
        kind = self.pending.settle(id_, "reply", binds=binds)
        self.replies[kind] += 1
        if id_ in self.open:
            assert kind == "matched"
            future, print_, *_ = self.open.pop(id_)
            assert future.results == ["reply"]
        elif id_ in self.timed_out:
            assert kind == "late"
            print_ = self.timed_out.pop(id_)
        else:
            assert kind == ("duplicate" if id_ in self.answered else "unknown")
        if kind in ("matched", "late"):
            self.answered[id_] = print_ if binds else None

    @rule(id_=IDS)
    def not_sent(self, id_):
        if id_ in self.open:
            future = self.open.pop(id_)[0]
            self.pending.withdraw(id_, FakeFuture(), "another's")
            assert not future.results
            self.pending.withdraw(id_, future, "not sent")
            assert future.results == ["not sent"]

    @rule(passed_s=st.sampled_from([0, 1, 4.999, 5]))
    def time(self, passed_s):
        self.now_s += passed_s
        due = {id_ for id_, entry in self.open.items() if entry[3] <= self.now_s}
        assert self.pending.expire(self.now_s, lambda id_: f"timeout {id_}") == len(due)
        for id_ in due:
            future, print_, *_ = self.open.pop(id_)
            assert future.results == [f"timeout {id_}"]
            self.timed_out[id_] = print_

    @invariant()
    def nothing_is_lost(self):
        assert len(self.pending) == len(self.open) <= LIMITS.in_flight_max
        assert all(not entry[0].results for entry in self.open.values())
        assert set(self.replies) <= set(REPLY_KINDS)

    @invariant()
    def it_is_looked_at_as_the_first_is_due(self):
        due_s = min((entry[3] for entry in self.open.values()), default=self.now_s + 5)
        look_s = self.pending.next_look_s(self.now_s)
        assert look_s == min(max(due_s, self.now_s + 0.01), self.now_s + 1)


PendingMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
TestPending = PendingMachine.TestCase


@pytest.mark.parametrize(("timeout_s", "look_s"), [(5, 101), (0.3, 100.3), (0.001, 100.01)])
def test_what_is_registered_between_two_looks_is_answered_in_time(timeout_s, look_s):
    pending = Pending(Limits(timeout_s=timeout_s), FakeFuture)
    assert pending.next_look_s(100) == pytest.approx(look_s)
    pending.register("a", "x", 100)
    assert pending.next_look_s(100) == pytest.approx(look_s)


def test_what_is_remembered_expires():
    pending = Pending(Limits(remembered_s=10), FakeFuture)
    pending.register("a", "x", 0)
    assert pending.settle("a", "reply") == "matched"
    assert pending.settle("a", "reply") == "duplicate"
    for now_s in (10, 20):
        pending.expire(now_s, str)
    assert pending.settle("a", "reply") == "unknown"


def test_a_reply_of_another_request_with_the_key_finds_nobody():
    """It was answered 504; its reply is on its way when the key comes with another request."""
    pending = Pending(LIMITS, FakeFuture)
    pending.register("key", "first", 0)
    pending.expire(5, str)
    with pytest.raises(RefusedError, match="belongs to another request"):
        pending.register("key", "second", 6)
    assert pending.settle("key", "of the first") == "late"
    with pytest.raises(RefusedError, match="belongs to another request"):
        pending.register("key", "second", 6)
    assert pending.register("key", "first", 6)[1]


def test_a_key_that_the_services_refuse_is_not_bound():
    pending = Pending(LIMITS, FakeFuture)
    pending.register("key", "second", 0)
    pending.settle("key", "it came with another request before", binds=False)
    assert pending.register("key", "first", 1)[1]


@pytest.mark.parametrize("name", ["timeout_s", "in_flight_max", "retry_after_s"])
def test_limits_are_positive(name):
    with pytest.raises(ValueError, match=name):
        Limits(**{name: 0})
