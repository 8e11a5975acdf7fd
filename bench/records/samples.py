"""A generator's recorded samples say when each request should have been sent, was, and ended.

Two files for each process. NAME.bin: four little-endian 64-bit integers for each request,

    label, intended_ns, sent_ns, done_ns          label = operation index << 16 | outcome index

and NAME.jsonl, which names the indexes in the order in which they came up, and ends with a footer:

    {"schema_version": 1, "monotonic_ns": ..., "wall_ns": ...}
    {"operation": "find_user"}
    {"outcome": "200"}
    {"answer": "Not here", "of": "find_user: unexpected 500"}
    {"ready": true}                                  a generator, or one of its users, is prepared
    {"watch": {"at_ns": ..., "loop_lag_ns": ..., "in_flight": ..., "cpu_ns": ...,
               "sent": ...}}
    {"replies": {"matched": 990}}                    read from a topic, where records went to Kafka
    {"scheduled": 1000, "sent": 990}

All times are ns of the machine's monotonic clock. A file without its footer is of a generator that
was killed. An outcome is "200", "409 out_of_stock", "503 overloaded", or one of the words below.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from struct import pack
from time import monotonic_ns, process_time_ns, time_ns
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.errors import UnreadableError

SCHEMA_VERSION = 1
FIELDS = 4
SAMPLE_BYTES = FIELDS * 8
"""A recorded sample takes so many bytes: a label and three times."""
FIRST_ANSWERS_MAX = 20
"""One generator keeps the first answer of at most this many kinds that failed: a person reads no
more, and the first ones are nearly always the cause of the others."""
LABELS_MAX = 1 << 16
"""One generator has at most this many operations, and as many outcomes."""

TIMEOUT = "timeout"
"""The generator gave the request up: no answer in time."""
CONNECTION = "connection"
"""The connection could not be made or broke; the kind of failure follows."""
DROPPED_IN_FLIGHT = "dropped in_flight"
"""The request was not sent: as many requests as are allowed were under way."""
DROPPED_LATE = "dropped late"
"""The request was not sent: the generator itself was too late."""
DROPPED_LIMIT = "dropped limit"
"""The request was not sent: the generator's machine had no port, file or memory left for a
connection."""
UNEXPECTED = "unexpected"
"""The workload does not expect this answer; its status follows."""

EXPECTED = "expected"
"""The workload expects this 5xx; its status follows."""
REDIRECT = "redirect"
"""The word follows the status of a redirect that nobody asked for: it was not followed."""

Kind = Literal["ok", "refused", "failed", "censored", "dropped"]
Ints = NDArray[np.int64]
Watched = Sequence[Mapping[str, int]]
"""These are the watch marks of one generator process."""


class SamplesError(UnreadableError):
    """Samples can't be read; the message says which and why."""


def kind_of(outcome: str) -> Kind:
    """`kind_of` returns what an outcome says about the latency.

    ok and refused: an answer, and a sample of latency. failed: an answer that says that the system
    did not do it, however quick. censored: no answer; the latency is only known to be longer than
    the wait was. dropped: never sent.
    """
    word, _, rest = outcome.partition(" ")
    if word == EXPECTED or rest == REDIRECT:
        return "refused"
    if word in (TIMEOUT, CONNECTION, "504"):
        return "censored"
    if word in ("dropped", UNEXPECTED):
        return "dropped" if word == "dropped" else "failed"
    if word[:1] in ("1", "2", "3"):
        return "ok"
    return "refused" if word[:1] == "4" else "failed"


class Writer:
    """The writer appends to new files. `add((label, intended_ns, sent_ns, done_ns))` costs 0.1 µs,
    and the flush as much: a batch is packed for less than its samples one by one."""

    def __init__(self, path: Path) -> None:
        """The `path` ends in .bin. The writer raises `OSError`."""
        self.scheduled = 0
        self.sent = 0
        self._buffer: list[int] = []
        self.add: Callable[[Iterable[int]], object] = self._buffer.extend
        self._operations: dict[str, int] = {}
        self._outcomes: dict[str, int] = {}
        self._answers = 0
        self._samples: BinaryIO = path.open("xb", buffering=0)
        self._marks: BinaryIO = path.with_suffix(".jsonl").open("xb", buffering=0)
        self._mark(schema_version=SCHEMA_VERSION, monotonic_ns=monotonic_ns(), wall_ns=time_ns())

    def label(self, operation: str, outcome: str) -> int:
        """`label` returns the label of a sample; keep it where it is needed often."""
        return (
            self._index(self._operations, "operation", operation) << 16
            | self._index(self._outcomes, "outcome", outcome)
        )  # fmt: skip

    def first_answer(self, operation: str, outcome: str, text: str) -> None:
        """`first_answer` keeps how the first answer of a kind began, for at most
        `FIRST_ANSWERS_MAX` kinds."""
        self._answers += 1
        if self._answers <= FIRST_ANSWERS_MAX:
            self._mark(answer=text, of=f"{operation}: {outcome}")

    def operation_of(self, label: int) -> str:
        return list(self._operations)[label >> 16]

    def replies(self, counts: Mapping[str, int]) -> None:
        """`replies` writes how many replies were read from a topic, by kind."""
        self._mark(replies=dict(counts))

    def ready(self) -> None:
        """`ready` says that all that comes before the load is done, for one more user."""
        self.flush()
        self._mark(ready=True)

    def watch(self, **figures: int) -> None:
        """`watch` writes how the generator itself fares, and flushes what was added."""
        self.flush()
        self._mark(watch=figures)

    def flush(self) -> None:
        if self._buffer:
            self._samples.write(pack(f"<{len(self._buffer)}q", *self._buffer))
            self._buffer.clear()

    def close(self) -> None:
        self.flush()
        self._mark(scheduled=self.scheduled, sent=self.sent)
        self._samples.close()
        self._marks.close()

    def _index(self, known: dict[str, int], what: str, name: str) -> int:
        index = known.get(name)
        if index is None:
            index = known[name] = len(known)
            if index >= LABELS_MAX:
                raise SamplesError(f"more than {LABELS_MAX} different names of an {what}")
            self._mark(**{what: name})
        return index

    def _mark(self, **fields: Any) -> None:
        self._marks.write(orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE))


class Alternating(Writer):
    """This writer keeps samples from each second flush to the next one alone, to measure what
    keeping costs.

    Each flush writes a mark, whose `kept` says how it was until then (1: samples were kept).
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._keeping = True
        keep = self._buffer.extend

        def add(sample: Iterable[int]) -> None:
            if self._keeping:
                keep(sample)

        self.add = add

    def flush(self) -> None:
        super().flush()
        figures = {"at_ns": monotonic_ns(), "cpu_ns": process_time_ns(), "sent": self.sent}
        self._mark(watch={**figures, "kept": int(self._keeping)})
        self._keeping = not self._keeping


class Footer(NamedTuple):
    scheduled: int
    """So many requests were due."""
    sent: int
    """So many requests were sent; the rest was dropped."""


class Samples(NamedTuple):
    """The columns are all of one length; `operation` and `outcome` index the names."""

    operations: list[str]
    outcomes: list[str]
    operation: Ints
    outcome: Ints
    intended_ns: Ints
    sent_ns: Ints
    done_ns: Ints

    def __len__(self) -> int:
        return len(self.done_ns)

    def where(self, mask: NDArray[np.bool_]) -> "Samples":
        return Samples(self.operations, self.outcomes, *(column[mask] for column in self[2:]))

    def of_kind(self, *kinds: Kind) -> NDArray[np.bool_]:
        wanted = [kind_of(name) in kinds for name in self.outcomes]
        return np.array(wanted, dtype=bool)[self.outcome] if wanted else np.zeros(0, dtype=bool)

    def count(self, outcome: str) -> int:
        if outcome not in self.outcomes:
            return 0
        return int((self.outcome == self.outcomes.index(outcome)).sum())

    @property
    def response_ns(self) -> Ints:
        """The response time counts from when a request should have been sent."""
        return self.done_ns - self.intended_ns

    @property
    def service_ns(self) -> Ints:
        """The service time counts from when it was sent."""
        return self.done_ns - self.sent_ns

    @property
    def schedule_lag_ns(self) -> Ints:
        return self.sent_ns - self.intended_ns

    def latencies_ns(self, waiting: "Samples | None" = None) -> tuple[Ints, Ints]:
        """`latencies_ns` returns the response times of what was answered, and the waits of what was
        not: those too of what is `waiting`, where it has waited longer than any answer took."""
        response_ns = self.response_ns
        known_ns = response_ns[self.of_kind("ok", "refused")]
        waited_ns = response_ns[self.of_kind("censored")]
        if waiting is not None and len(known_ns):
            longer = waiting.response_ns > known_ns.max()
            waited_ns = np.concatenate([waited_ns, waiting.response_ns[longer]])
        return known_ns, waited_ns


class Window(NamedTuple):
    """A window lasts from `opened_ns` until before `closed_ns`, on the machine's monotonic clock.

    A request of a closed loop belongs to the window in which it ended, and to that in which it was
    under way at the end where it then fails: short windows close before anything can time out. One
    of an open loop belongs to that for which it was intended: those that a stall pushes past the
    end count too.
    """

    opened_ns: int
    closed_ns: int
    is_open_loop: bool = False

    @property
    def length_s(self) -> float:
        return (self.closed_ns - self.opened_ns) / 1e9

    def of(self, samples: Samples) -> Samples:
        if self.is_open_loop:
            return samples.where(self.holds(samples.intended_ns))
        fails = self._is_left(samples) & samples.of_kind("failed", "censored")
        return samples.where(self.holds(samples.done_ns) | fails)

    def left_by(self, samples: Samples) -> Samples:
        """`left_by` returns the requests of a closed loop that were under way as the window closed,
        with their wait so far: in no window, they say how slow a system had become. Those that fail
        later are in it, as those of an open loop all are."""
        fails = samples.of_kind("failed", "censored")
        found = samples.where(self._is_left(samples) & ~fails & (not self.is_open_loop))
        return Samples(*found[:6], np.full(len(found), self.closed_ns))

    def _is_left(self, samples: Samples) -> NDArray[np.bool_]:
        return (samples.sent_ns < self.closed_ns) & (samples.done_ns >= self.closed_ns)

    def holds(self, times_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (self.opened_ns <= times_ns) & (times_ns < self.closed_ns)


class Reader:
    """The reader follows the files of one generator while they are written, or reads them whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._marks_offset = 0
        self._marks_read = 0
        self.operations: list[str] = []
        self.outcomes: list[str] = []
        self.watched: list[dict[str, int]] = []
        self.answers: dict[str, str] = {}
        """The first answers are by operation and outcome, "find_user: unexpected 500"."""
        self.replies: dict[str, int] | None = None
        """The replies that were read from a topic, by kind; None where none was written to one, or
        the generator did not come to its end."""
        self.ready = 0
        self.monotonic_ns = 0
        self.wall_ns = 0
        """The wall clock stood here at the same moment as `monotonic_ns`, in the header."""
        self.footer: Footer | None = None

    def read(self) -> Samples:
        """`read` returns what came since the last call; nothing where there is no file yet.

        It raises `SamplesError`.
        """
        content = _rest(self._path, self._offset)
        content = content[: len(content) // SAMPLE_BYTES * SAMPLE_BYTES]
        self._offset += len(content)
        self.read_marks()  # after the samples: their names were written before them
        table = np.frombuffer(content, dtype="<i8").reshape(-1, FIELDS)
        operation, outcome = table[:, 0] >> 16, table[:, 0] & LABELS_MAX - 1
        known = len(self.operations), len(self.outcomes)
        if len(table) and (operation.max() >= known[0] or outcome.max() >= known[1]):
            raise SamplesError(f"{self._path} has a label without a name")
        times = (table[:, column] for column in (1, 2, 3))
        return Samples(self.operations, self.outcomes, operation, outcome, *times)

    def read_marks(self) -> None:
        """`read_marks` takes in what came in the smaller file alone. It raises `SamplesError`."""
        path = self._path.with_suffix(".jsonl")
        content = _rest(path, self._marks_offset)
        content = content[: content.rfind(b"\n") + 1]
        self._marks_offset += len(content)
        for line in content.splitlines():
            self._marks_read += 1
            try:
                mark = orjson.loads(line)
                self._take(mark)
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
                raise SamplesError(f"{path} line {self._marks_read} is not a mark") from None

    def _take(self, mark: dict[str, Any]) -> None:
        if self._marks_read == 1:
            if mark.get("schema_version") != SCHEMA_VERSION:
                raise SamplesError(f"{self._path} is not of schema {SCHEMA_VERSION}")
            self.monotonic_ns, self.wall_ns = mark["monotonic_ns"], mark["wall_ns"]
        elif "operation" in mark:
            self.operations.append(mark["operation"])
        elif "outcome" in mark:
            self.outcomes.append(mark["outcome"])
        elif "watch" in mark:
            self.watched.append(mark["watch"])
        elif "replies" in mark:
            self.replies = mark["replies"]
        elif "answer" in mark:
            self.answers.setdefault(mark["of"], mark["answer"])
        elif "ready" in mark:
            self.ready += 1
        else:
            self.footer = Footer(mark["scheduled"], mark["sent"])


def _rest(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:
        return b""


def merge(parts: Sequence[Samples]) -> Samples:
    """`merge` makes one set of columns of several generators', which number the same names
    differently."""
    operations = _names(part.operations for part in parts)
    outcomes = _names(part.outcomes for part in parts)
    columns: list[list[Ints]] = [[np.zeros(0, dtype=np.int64)] for _ in range(5)]
    for part in parts:
        translated = (
            np.array([operations[name] for name in part.operations], np.int64)[part.operation],
            np.array([outcomes[name] for name in part.outcomes], np.int64)[part.outcome],
        ) if len(part) else (part.operation, part.outcome)  # fmt: skip
        for column, values in zip(columns, (*translated, *part[4:]), strict=True):
            column.append(values)
    return Samples(list(operations), list(outcomes), *map(np.concatenate, columns))


def _names(groups: Iterable[Iterable[str]]) -> dict[str, int]:
    known: dict[str, int] = {}
    for group in groups:
        for name in group:
            known.setdefault(name, len(known))
    return known


def read(paths: Sequence[Path]) -> Samples:
    """`read` returns all samples of some generators. It raises `SamplesError`."""
    for path in paths:
        if not path.exists():
            raise SamplesError(f"{path} is missing")
    return merge([Reader(path).read() for path in paths])
