"""A remote generator runs for an agent elsewhere; its files grow here as if it ran here."""

import socket
import threading
import time
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from bench.errors import BenchError, progress
from bench.records.run_record import AgentRecord
from bench.remote.clock import (
    ERROR_NS_MAX,
    QUESTIONS,
    QUESTIONS_MAX,
    Bounds,
    Reckoning,
    bounds,
    narrowest,
)
from bench.remote.frames import (
    GREETING_BYTES_MAX,
    SILENT_S,
    Link,
    LinkError,
    heard,
    refusal,
    respond,
)

CONNECT_TIMEOUT_S = 5.0
"""An agent that takes no connection for so long is not there."""
LEADER = uuid4().hex
"""This process is known to agents by this."""
WELL = "exit code 0"
"""So ends a generator that could do all that it was to."""
ASK_INTERVAL_S = 0.5
"""The agent is asked for its clock this often: whoever lives answers."""


class Mirror(Protocol):
    """A mirror writes the files of a generator, by this machine's clock; see `bench.remote.mirror`.
    It raises `OSError`, and what malformed content raises."""

    @property
    def kinds(self) -> frozenset[bytes]: ...

    def write(self, kind: bytes, content: bytes, offset_ns: int) -> None: ...


def _refuse_loopback(spec: Mapping[str, Any]) -> None:
    """It raises `LinkError` where the agent would load its own machine."""
    brokers = [broker for broker in (spec["kafka"] or "").split(",") if broker]
    for place in (spec["url"], *spec["others"], *brokers):
        host = urlsplit(place if "//" in place else f"//{place}").hostname or ""
        if _is_own(host):
            raise LinkError(
                f"it is on another machine, where {place} is not what it is here: name an address "
                "that all reach, by --target, and by --kafka"
            )


def _is_own(host: str) -> bool:
    """Whether each machine means itself by it: so it is in whatever form, and by whatever name."""
    try:
        found = {str(place[0]) for *_, place in socket.getaddrinfo(host.rstrip("."), None)}
    except (OSError, UnicodeError):  # who sends says so
        return False
    addresses = map(ip_address, found)
    plain = [getattr(each, "ipv4_mapped", None) or each for each in addresses]
    return any(each.is_loopback or each.is_unspecified for each in plain)


class RemoteGenerator:
    """The remote generator is one process on the agent's machine, for one phase.

    A thread takes what the agent sends. All times that are written are of this machine's clock.
    """

    def __init__(
        self,
        name: str,
        address: str,
        token: bytes,
        spec: Mapping[str, Any],
        digests: Mapping[str, str],
        mirror: Mirror,
        here: Mapping[str, str],
    ) -> None:
        """`here` is what a `bench.remote.job.Host` says of this side. The agent has accepted then.
        It raises `BenchError` where the agent can't do it."""
        self.name = f"{name} at {address}"
        self._address = address
        self._mirror = mirror
        self.pids: list[int] = []
        """The processes are known where the agent is on this machine."""
        self._failure: str | None = None
        """The failure says how the generator was lost, or ended too early."""
        self._stopping = False
        self._done = threading.Event()
        self._link: Link | None = None
        self._thread: threading.Thread | None = None
        try:
            self._link = Link(_connect(address))
            respond(self._link, token)
            agent = self._link.hear(GREETING_BYTES_MAX)
            if agent.get("sources") != here["sources"]:
                raise LinkError(
                    "its sources are not the same as here: install one version at both, and start "
                    "the agent again"
                )
            self.is_here = agent.get("machine") == here["machine"]
            if agent.get("network") != here["network"]:
                _refuse_loopback(spec)
            self._reckoning = Reckoning(self._questions())
            self._link.tell(job={"spec": spec, "digests": digests, "leader": LEADER})
            answer = self._link.hear()
            if "accepted" not in answer:
                raise refusal(answer)
        except LinkError as cause:
            self.close()
            raise BenchError(f"{self.name}: {cause}") from None
        self._thread = threading.Thread(target=self._follow, name=self.name, daemon=True)
        self._thread.start()

    def start(self) -> None:
        """`start` lets it prepare, which may load the server."""
        self._tell(start=True)

    def check(self) -> None:
        """`check` raises `BenchError` when it was lost, or has ended by itself."""
        if self._failure is not None:
            raise BenchError(f"{self.name} {self._failure}")

    def go(self, begin_ns: int) -> None:
        """`go` lets it begin at a time of this machine's clock."""
        self._tell(begin_ns=begin_ns + self._reckoning.offset_ns)

    def ask_to_stop(self) -> None:
        self._stopping = True
        self._tell(stop=True)

    def wait(self, timeout_s: float) -> None:
        """`wait` returns when it has ended and all of its files are here, or is lost."""
        if not self._done.wait(timeout_s):
            self._failure = f"did not stop within {timeout_s:g} s"

    def close(self) -> None:
        if self._link is not None:
            self._link.shut()
            if self._thread is not None:
                self._thread.join(SILENT_S)
            self._link.close()

    def record(self) -> AgentRecord:
        """`record` returns what is known of its clock; it is for the end."""
        found = self._reckoning
        possible_ns = found.possible_ns
        return AgentRecord(
            self._address,
            round(found.offset_ns / 1e6, 6),
            round(found.known_ns / 1e6, 6),
            None if possible_ns is None else round(possible_ns / 1e6, 6),
        )

    def _tell(self, **fields: Any) -> None:
        assert self._link is not None
        try:
            self._link.tell(**fields)
        except LinkError as cause:
            self._lost(cause)

    def _lost(self, cause: Exception) -> None:
        self._failure = self._failure or f"was lost: {cause}"
        self._done.set()

    # ---- before and after the load

    def _questions(self) -> list[Bounds]:
        """Asks until the clock is known well enough. Raises `LinkError`."""
        found = [self._ask() for _ in range(QUESTIONS)]
        while narrowest(found).width_ns > 2 * ERROR_NS_MAX:
            if len(found) >= QUESTIONS_MAX:
                width_ms = narrowest(found).width_ns / 2e6
                raise LinkError(
                    f"its clock can only be known to {width_ms:.1f} ms, {ERROR_NS_MAX / 1e6:g} are "
                    "allowed: the network, or a machine, is too busy"
                )
            found.append(self._ask())
        return found

    def _ask(self) -> Bounds:
        assert self._link is not None
        asked_ns = time.monotonic_ns()
        self._link.tell(ask=True)
        fields = self._link.hear(GREETING_BYTES_MAX)
        return _told(asked_ns, fields, time.monotonic_ns())

    # ---- during the load: a thread of its own

    def _follow(self) -> None:
        try:
            self._take_all()
            self._reckoning.finish(self._ask() for _ in range(QUESTIONS))
        except LinkError as cause:
            self._lost(cause)
        except (OSError, ValueError, KeyError, IndexError, TypeError) as cause:
            self._lost(LinkError(f"its files can't be written here: {cause}"))
        self._done.set()

    def _take_all(self) -> None:
        """Returns when it has ended, and nothing is on its way any more."""
        link = self._link
        assert link is not None
        asked_ns, heard_s, next_s = 0, time.monotonic(), time.monotonic()
        is_asked = is_over = False
        while not is_over or is_asked:
            if not is_asked and time.monotonic() >= next_s:
                asked_ns, is_asked = time.monotonic_ns(), True
                link.tell(ask=True)
                next_s = time.monotonic() + ASK_INTERVAL_S
            if not link.is_readable(ASK_INTERVAL_S):
                if time.monotonic() - heard_s > SILENT_S:
                    raise LinkError(f"it was silent for {SILENT_S:g} s")
                continue
            kind, content = link.receive()
            now_ns, heard_s = time.monotonic_ns(), time.monotonic()
            if kind in self._mirror.kinds:
                self._mirror.write(kind, content, self._reckoning.offset_ns)
                continue
            fields = heard(kind, content)
            if "told_ns" in fields:
                is_asked = False
                self._reckoning.see(_told(asked_ns, fields, now_ns))
            elif "pids" in fields:
                self.pids = [int(pid) for pid in fields["pids"]] if self.is_here else []
            elif "ended" in fields:
                is_over = True
                if not self._stopping:
                    self._failure = f"ended: {fields['ended']}"
                elif fields["ended"] != WELL:
                    progress(f"{self.name} ended: {fields['ended']}")
            else:
                raise refusal(fields)


def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        return socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S)
    except TimeoutError:
        raise LinkError(f"nobody answers within {CONNECT_TIMEOUT_S:g} s") from None
    except OSError as cause:
        why = (cause.strerror or str(cause)).lower()
        raise LinkError(f"{why}: start `python -m bench agent --listen HOST:PORT` there") from None


def _told(asked_ns: int, fields: Mapping[str, Any], answered_ns: int) -> Bounds:
    told_ns = fields.get("told_ns")
    if not isinstance(told_ns, int):
        raise refusal(fields)
    return bounds(asked_ns, told_ns, answered_ns)
