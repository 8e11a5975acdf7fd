"""The agent runs generators for leaders on other machines: ``python -m bench agent``.

Each connection is one generator. When the connection ends, however it does, its generator ends too.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, NamedTuple, NoReturn

import orjson

from bench.errors import BenchError
from bench.project import PROJECT_DIR
from bench.records.samples import SAMPLE_BYTES
from bench.remote.frames import FRAME_BYTES_MAX, SILENT_S, Link, LinkError, challenge
from bench.remote.job import LAST_S, Job, digests, this_host
from bench.remote.mirror import HISTORY, MARKS, SAMPLES
from machine.processes import Child, Supervisor, telling_line
from machine.whole_files import write

CONNECTIONS_MAX = 64
"""An agent has at most this many connections; no machine here has more cores."""
POLL_S = 0.05
"""The agent looks this often for what its generator has written; a question for the clock is
answered at once."""
UNPROVEN_MAX = 16
"""So many connections may be open whose side has not proven itself yet; the oldest makes room: who
has no token keeps nobody out."""
BACKLOG = 16
GENERATOR = "the generator"
OTHERS = "the generators of another leader run here: wait until they have ended"
END_TIMEOUT_S = 15.0
"""An agent that ends waits for its generators' end so long, beyond what SIGKILL takes."""


def serve(host: str, port: int, token: bytes, progress: Callable[[str], object]) -> None:
    """`serve` runs generators until Ctrl-C. It raises `BenchError` where it can't listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as cause:
        raise BenchError(f"{host} port {port}: {cause.strerror}") from None
    served: list[_Served] = []
    leaders = _Leaders()
    own = this_host().sources
    with listener:
        port = listener.getsockname()[1]
        progress(f"agent on {f'[{host}]' if ':' in host else host}:{port}")
        try:
            while True:
                connection, (peer, *_) = listener.accept()
                served = [each for each in served if each.thread.is_alive()]
                unproven = [each for each in served if not each.proven.is_set()]
                if len(unproven) >= UNPROVEN_MAX:
                    unproven[0].link.shut()
                if len(served) - len(unproven) >= CONNECTIONS_MAX:
                    progress(f"{peer}: refused, {CONNECTIONS_MAX} connections are open")
                    connection.close()
                    continue
                link, proven = Link(connection), threading.Event()
                thread = threading.Thread(
                    target=_serve,
                    args=(link, proven, peer, token, own, leaders, progress),
                    daemon=True,
                )
                served.append(_Served(link, thread, proven))
                thread.start()
        finally:
            for each in served:
                each.link.shut()
            for each in served:
                each.thread.join(END_TIMEOUT_S)


class _Served(NamedTuple):
    """A connection, its thread, and whether its side has proven itself."""

    link: Link
    thread: threading.Thread
    proven: threading.Event


def _serve(
    link: Link,
    proven: threading.Event,
    peer: str,
    token: bytes,
    own: str,
    leaders: "_Leaders",
    progress: Callable[[str], object],
) -> None:
    """`own` are the sources of which the agent itself was started."""
    try:
        with closing(link):
            challenge(link, token)
            proven.set()
            progress(f"{peer}: a generator")
            host = this_host()
            if host.sources != own:
                host = host._replace(sources="changed since the agent began")
            link.tell(**host._asdict())
            _Service(link, leaders).run()
        progress(f"{peer}: done")
    except LinkError as cause:
        progress(f"{peer}: {cause}")
    except Exception as bug:  # noqa: BLE001 (the agent serves others all the same)
        progress(f"{peer}: {type(bug).__name__}: {bug}")


class _Leaders:
    """The generators of one leader alone run at a time: two loads would slow each other down, and
    neither would know."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leader = ""
        self._count = 0

    def begin(self, leader: str) -> bool:
        """`begin` is False while another leader's generators run."""
        with self._lock:
            if self._count and leader != self._leader:
                return False
            self._leader = leader
            self._count += 1
            return True

    def end(self) -> None:
        with self._lock:
            self._count -= 1


class _Service:
    """One connection: a generator at most."""

    def __init__(self, link: Link, leaders: _Leaders) -> None:
        self._link = link
        self._leaders = leaders
        self._job: Job | None = None
        self._running: _Running | None = None
        self._has_begun = False

    def run(self) -> None:
        """Returns when the leader has closed the connection after the end. Raises `LinkError`."""
        try:
            self._run()
        except OSError as cause:  # a full disk, or one that can't be written to
            self._refuse(f"{cause.filename or 'its machine'}: {cause.strerror or cause}")

    def _run(self) -> None:
        with TemporaryDirectory(prefix="generator-") as folder, ExitStack() as ends:
            supervisor = ends.enter_context(closing(Supervisor()))
            ends.callback(self._end, supervisor)
            heard_s = time.monotonic()
            while True:
                if self._link.is_readable(POLL_S):
                    try:
                        fields = self._link.hear()
                    except LinkError:
                        if self._running is not None and self._running.has_ended:
                            return
                        raise
                    heard_s = time.monotonic()
                    self._obey(fields, Path(folder), supervisor)
                elif time.monotonic() - heard_s > SILENT_S:
                    raise LinkError(f"it was silent for {SILENT_S:g} s")
                if self._running is not None:
                    self._running.send_on(self._link)

    def _end(self, supervisor: Supervisor) -> None:
        """What a generator made elsewhere, as its reply topic, it removes where it can."""
        supervisor.stop([GENERATOR], LAST_S)
        if self._has_begun:
            self._leaders.end()

    def _obey(self, fields: Any, folder: Path, supervisor: Supervisor) -> None:
        running = self._running
        if "ask" in fields:
            self._link.tell(told_ns=time.monotonic_ns())
        elif "job" in fields and self._job is None:
            self._job = Job.of(fields["job"])
            self._has_begun = self._leaders.begin(self._job.leader)
            why = _differs(self._job) if self._has_begun else OTHERS
            if why is not None:
                self._refuse(why)
            self._link.tell(accepted=True)
        elif "start" in fields and self._job is not None and running is None:
            self._running = _Running(self._job, folder, supervisor)
            self._link.tell(pids=self._running.pids)
        elif "begin_ns" in fields and running is not None:
            running.begin(fields["begin_ns"])
        elif "stop" in fields and running is not None:
            running.stop()
        else:
            raise LinkError("it asks for what this version does not know")

    def _refuse(self, why: str) -> NoReturn:
        self._link.tell(refused=why)
        raise LinkError(why)


def _differs(job: Job) -> str | None:
    for name, wanted in job.digests.items():
        try:
            (found,) = digests([Path(name)]).values()
        except OSError as cause:
            return f"{name}: {cause.strerror}"
        if found != wanted:
            return f"{name} is not the leader's"
    return None


class _Running:
    """A generator process, and its files as far as they were sent."""

    def __init__(self, job: Job, folder: Path, supervisor: Supervisor) -> None:
        self._go = folder / "go"
        samples, history = folder / "samples.bin", folder / "history.jsonl"
        spec = {
            **job.spec,
            "samples": str(samples),
            "history": str(history),
            "traces": str(folder / "traces.jsonl"),
            "go": str(self._go),
            "is_elsewhere": True,
        }
        (folder / "spec.json").write_bytes(orjson.dumps(spec))
        self._tails = [
            # Names before the samples that have them: read after those, sent before them.
            _Tail(SAMPLES, samples),
            _Tail(MARKS, samples.with_suffix(".jsonl")),
            _Tail(HISTORY, history),
        ]
        self._child: Child = supervisor.start(
            GENERATOR,
            [sys.executable, "-m", "bench.generator.process", str(folder / "spec.json")],
            log=folder / "generator.log",
            cwd=PROJECT_DIR,
        )
        self.has_ended = False

    @property
    def pids(self) -> list[int]:
        return [os.getpid(), self._child.pid]

    def begin(self, begin_ns: object) -> None:
        if not isinstance(begin_ns, int):
            raise LinkError("it does not say when to begin")
        write(self._go, str(begin_ns).encode())

    def stop(self) -> None:
        self._child.terminate()

    def send_on(self, link: Link) -> None:
        """Sends what was written since the last call, and once that the generator has ended."""
        if self.has_ended:
            return
        code = self._child.exit_code()
        while self._send_part(link):
            pass
        if code is not None:
            self.has_ended = True
            why = "" if code == 0 else f": {telling_line(self._child.log)}"
            link.tell(ended=f"exit code {code}{why}")

    def _send_part(self, link: Link) -> bool:
        parts = [(tail.kind, tail.read()) for tail in self._tails]
        parts[0], parts[1] = parts[1], parts[0]
        for kind, content in parts:
            if content:
                link.send(kind, content)
        return any(content for _, content in parts)


class _Tail:
    """What a growing file has more of, in whole samples or lines."""

    def __init__(self, kind: bytes, path: Path) -> None:
        self.kind = kind
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def read(self) -> bytes:
        if self._file is None:
            with suppress(FileNotFoundError):
                self._file = self._path.open("rb", buffering=0)
        if self._file is None:
            return b""
        content = self._rest + (self._file.read(FRAME_BYTES_MAX - len(self._rest)) or b"")
        whole = len(content) // SAMPLE_BYTES * SAMPLE_BYTES
        if self.kind != SAMPLES:
            whole = content.rfind(b"\n") + 1
        content, self._rest = content[:whole], content[whole:]
        return content
