"""The table of requests in flight knows who waits for which reply, and what each that arrives is.

Every reply is exactly one of
    matched    somebody waited for it
    late       its request was answered 504 before
    duplicate  its request was answered with a reply before
    unknown    none of these: not a request of this gateway, or one it no longer remembers
"""

from asyncio import Future
from collections.abc import Callable
from typing import Generic, TypeVar

from system.gateway.limits import Limits
from system.gateway.memory import Memory
from system.wire import RefusedError

TICK_S = 0.01
"""A 504 may be this late, on an idle machine. One timer serves all requests."""
REST_S = 1.0
"""The timer rings after this time at the latest: what is remembered has an age, too."""
REPLY_KINDS = ("matched", "late", "duplicate", "unknown")
Answer = TypeVar("Answer")


class _Entry(Generic[Answer]):
    __slots__ = ("deadline_s", "fingerprint", "future", "waiters")

    def __init__(self, future: "Future[Answer]", fingerprint: str, deadline_s: float) -> None:
        self.future = future
        self.fingerprint = fingerprint
        self.deadline_s = deadline_s
        self.waiters = 1


class Pending(Generic[Answer]):
    """A request_id leads to the future that all its waiters share.

    The timeout is the same for all, so the order of insertion is the order of the deadlines: the
    table is its own deadline wheel, and one timer that calls `expire` serves every request.
    """

    def __init__(self, limits: Limits, create_future: "Callable[[], Future[Answer]]") -> None:
        self._limits = limits
        self._create_future = create_future
        self._entries: dict[str, _Entry[Answer]] = {}
        # With the fingerprint of the request that an id is bound to.
        self._answered = Memory(limits.remembered_max, limits.remembered_s)
        self._timed_out = Memory(limits.remembered_max, limits.remembered_s)

    def __len__(self) -> int:
        return len(self._entries)

    def futures(self) -> "list[Future[Answer]]":
        return [entry.future for entry in self._entries.values()]

    def register(
        self, request_id: str, fingerprint: str, now_s: float
    ) -> "tuple[Future[Answer], bool]":
        """`register` returns the future of the answer, and whether the request is new (else it
        joins one in flight).

        It raises `RefusedError`: overloaded at a limit, idempotency_key_reused for another request:
        of one that came before, a reply may still be on its way, and would be taken for this one's.
        """
        entry = self._entries.get(request_id)
        if entry is not None:
            bound = entry.fingerprint
        else:
            bound = self._timed_out.get(request_id) or self._answered.get(request_id)
        if bound and bound != fingerprint:
            raise RefusedError(
                "idempotency_key_reused", "this key belongs to another request", request_id
            )
        if entry is not None:
            if entry.waiters >= self._limits.waiters_max:
                raise RefusedError("overloaded", "too many requests wait for this key", request_id)
            entry.waiters += 1
            return entry.future, False
        if len(self._entries) >= self._limits.in_flight_max:
            raise RefusedError("overloaded", "too many requests in flight")
        entry = _Entry(self._create_future(), fingerprint, now_s + self._limits.timeout_s)
        self._entries[request_id] = entry
        return entry.future, True

    def settle(self, request_id: str, answer: Answer, *, binds: bool = True) -> str:
        """`settle` takes a reply that arrived, and returns its kind, one of `REPLY_KINDS`.

        Not `binds`: the services say that the id belongs to a request that is not this one.
        """
        entry = self._entries.pop(request_id, None)
        if entry is not None:
            self._answered.add(request_id, entry.fingerprint if binds else "")
            entry.future.set_result(answer)
            return "matched"
        if request_id in self._timed_out:
            fingerprint = self._timed_out.pop(request_id)
            self._answered.add(request_id, fingerprint if binds else "")
            return "late"
        return "duplicate" if request_id in self._answered else "unknown"

    def withdraw(self, request_id: str, future: "Future[Answer]", answer: Answer) -> bool:
        """`withdraw` takes back this very future, whose record was not sent, and returns whether
        its request still waited: it may have been answered 504 before, and a resend may have taken
        its place since."""
        entry = self._entries.get(request_id)
        if entry is None or entry.future is not future:
            return False
        del self._entries[request_id]
        future.set_result(answer)
        return True

    def next_look_s(self, now_s: float) -> float:
        """`next_look_s` returns when `expire` is to be called again: as the first request is due,
        also of those that are registered from now on."""
        entry = next(iter(self._entries.values()), None)
        due_s = now_s + self._limits.timeout_s if entry is None else entry.deadline_s
        return max(now_s + TICK_S, min(due_s, now_s + REST_S))

    def expire(self, now_s: float, answer: Callable[[str], Answer]) -> int:
        """`expire` answers what is past its deadline with `answer(request_id)`, and returns how
        many there were."""
        expired = []
        for request_id, entry in self._entries.items():
            if entry.deadline_s > now_s:
                break
            expired.append(request_id)
        for request_id in expired:
            entry = self._entries.pop(request_id)
            self._timed_out.add(request_id, entry.fingerprint)
            entry.future.set_result(answer(request_id))
        self._answered.forget(now_s)
        self._timed_out.forget(now_s)
        return len(expired)
