"""A Flink that exists has one job for each set of topics, resumed from where it was stopped.

What is known of it is in a file of the cache: its id, written before it is submitted, and the
savepoint that it was stopped with. So a job that has outlived its stack is found again, and no
state is lost because somebody has forgotten where it is.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from machine.cache import LockHeldError, cache_dir, lock
from machine.errors import StackError
from machine.http import HttpError
from machine.ports import HOST
from machine.whole_files import write
from system.runtime.flink_cluster import newest_checkpoint
from system.runtime.flink_rest import ENDED, Rest
from system.runtime.newest_state import GUEST, JOB_FILE, State, check, note, noted
from system.runtime.settings import file_uri

SAVEPOINT_TIMEOUT_S = 60.0
"""A savepoint takes no longer, or the job goes on as it was."""
POLL_S = 0.2
"""This much time passes between looks whether the savepoint is done."""


@contextmanager
def reserved_topics(cluster_id: str, prefix: str) -> Iterator[Path]:
    """`reserved_topics` yields the folder for what is known of the job on these topics; of this
    machine's processes only one has it. It raises `StackError` when another stack has it."""
    folder = cache_dir() / "guests" / (cluster_id + (prefix and f"-{prefix}"))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with lock(folder / "in-use", wait=False):
            yield folder
    except LockHeldError:
        raise StackError(
            f"another stack uses the topics of Kafka's cluster {cluster_id}: two would answer each "
            "other's requests. End that one, or choose another --topic-prefix"
        ) from None


class Known(NamedTuple):
    """This is known of the last job of these topics. `begin` is where it began from, or, once it is
    stopped, where the next one begins from: the URI of a savepoint or checkpoint, None for empty
    topics."""

    job_id: str
    begin: str | None
    is_stopped: bool
    form: str = "that of an older version"
    """The state has this form, see `data_folder.form_of`."""
    stopping: str | None = None
    """Flink calls the savepoint by this name that the job is being stopped with; empty: it was
    asked to, and has not said how."""
    flink: str = ""
    """The job was submitted to the Flink at this address; empty: an older version did not say."""
    ran: bool = False
    """The job has made a checkpoint: where it began from is not where its topics' next one may."""


def check_elsewhere(folder: Path, name: str) -> None:
    """`check_elsewhere` is for a stack whose Flink is its own. It raises `StackError` where the
    last job of these topics was left on a Flink that exists, and runs there, or may."""
    _check_elsewhere(_read(folder / JOB_FILE), name, folder / JOB_FILE)


class GuestJob:
    """A guest job has a `name`, and its state a `form`. `folder` remembers it, `say` is told what
    happens to it."""

    def __init__(
        self, rest: Rest, name: str, form: str, folder: Path, say: Callable[[str], object]
    ) -> None:
        self.name = name
        self.job_id = ""
        self._has_run = False
        self._form = form
        self._rest = rest
        self._file = folder / JOB_FILE
        self._savepoints = folder / "savepoints"
        self._say = say
        self._known: Known | None = None
        self._newest_state: State | None = None
        """Both are of before this job."""
        self._may_run = False

    def prepare(self, savepoint: str | None, *, has_records: bool) -> str | None:
        """`prepare` returns where the new job begins from; from now on `job_id` is its id.

        `savepoint` is what the person said. A job of an earlier stack that still runs is stopped.
        It raises `StackError` when another's runs, when the state has another form, or when nobody
        knows the state that belongs to the records in the topics.
        """
        known = _read(self._file)
        try:
            unended = self._rest.unended(self.name)
            if known and known.job_id not in unended and known.flink != self._rest.address:
                _check_elsewhere(known, self.name, self._file, savepoint)
            is_wanted = unended or (known and savepoint is None and self._left(known))
            if known and known.form != self._form and is_wanted:
                raise StackError(
                    f"the state of these topics' last job has another form ({known.form}, not "
                    f"{self._form}): go on with what it was made with, or choose another "
                    "--topic-prefix"
                )
            for job_id in unended:
                if known is None or job_id != known.job_id:
                    raise StackError(
                        f"the job {job_id} runs on these topics already, and no stack of this "
                        "machine has started it: stop it with a savepoint and name that with "
                        "--savepoint, or choose another --topic-prefix"
                    )
                self._say(f"the job {job_id} has outlived its stack: stopping it")
                known = self._stop(job_id)
            begin = savepoint or (known and self._left(known))
        except HttpError as cause:
            raise StackError(f"Flink does not tell its jobs: {cause}") from None
        if begin is None and has_records:
            raise StackError(
                "the topics hold records of an earlier job, whose state is not known: name its "
                "savepoint or checkpoint with --savepoint, or choose another --topic-prefix"
            )
        flink = self._rest.address
        state = GUEST._replace(where=f"that of the job on the Flink at {flink}")
        if has_records and savepoint is None:
            check(self._file.parent, state)
        self._known, self._newest_state = known, noted(self._file.parent)
        self.job_id, self._has_run = uuid.uuid4().hex, False
        self._write(Known(self.job_id, begin, is_stopped=False, form=self._form, flink=flink))
        note(self._file.parent, state)
        return begin

    def submit(self, submission: Callable[[], object], is_refused: Callable[[], bool]) -> None:
        """`submit` has Flink run the job by this `submission`, which raises `StackError`; then
        `is_refused` tells whether Flink surely does not have it."""
        self._may_run = True
        try:
            submission()
        except StackError:
            self._may_run = not is_refused()
            raise

    def check(self) -> None:
        """`check` raises `StackError` when the job is over; a Flink that does not answer may come
        back."""
        try:
            state = self._rest.state(self.job_id)
        except HttpError:
            return
        if state is None or state in ENDED:
            raise StackError(
                f"the job {self.job_id} is no longer there (its state is {state or 'unknown'}): "
                "see Flink's page; the next start resumes it, where its checkpoints are there"
            )
        if not self._has_run and self._newest():
            self._has_run = True
            if (known := _read(self._file)) is not None:
                self._write(known._replace(ran=True))

    def leave(self, *, was_up: bool) -> None:
        """`leave` stops the job with a savepoint; one that never came up is cancelled where it has
        none, and one that Flink never had is forgotten."""
        if not self.job_id:
            return
        if not self._may_run:
            self._forget()
            return
        try:
            self._stop(self.job_id)
        except StackError as cause:
            if was_up:
                self._say(f"warning: {cause}; it goes on running")
            else:
                self._cancel()

    def _forget(self) -> None:
        """The job never was: all is as it was known before."""
        note(self._file.parent, self._newest_state)
        if self._known is None:
            self._file.unlink(missing_ok=True)
        else:
            self._write(self._known)

    def _stop(self, job_id: str) -> Known:
        try:
            before, directory = _read(self._file), self._savepoint_dir()
            # Who is killed while it is made, or waits no longer, must not go on from an older one.
            if before is not None:
                self._write(before._replace(stopping=""))
            try:
                trigger = self._rest.stop_with_savepoint(job_id, directory)
            except HttpError as cause:
                if cause.status is not None and before is not None:  # it was not begun
                    self._write(before)
                raise
            if before is not None:
                self._write(before._replace(stopping=trigger))
            deadline = time.monotonic() + SAVEPOINT_TIMEOUT_S
            while (savepoint := self._rest.savepoint(job_id, trigger)) is None:
                if time.monotonic() > deadline:
                    raise HttpError(f"it takes longer than {SAVEPOINT_TIMEOUT_S:g} s")
                time.sleep(POLL_S)
        except HttpError as cause:
            raise StackError(f"the job {job_id} is not stopped with a savepoint: {cause}") from None
        known = Known(job_id, savepoint, is_stopped=True, form=self._form)
        self._write(known)
        self._say(f"the job is stopped, with the savepoint {savepoint}")
        return known

    def _cancel(self) -> None:
        try:
            self._rest.cancel(self.job_id)
        except HttpError as cause:
            self._say(f"warning: the job {self.job_id} is not cancelled: {cause}")

    def _savepoint_dir(self) -> str | None:
        """None where the cluster has a place of its own; on this machine ours will do."""
        if self._rest.configuration().get("execution.checkpointing.savepoint-dir"):
            return None
        return file_uri(self._savepoints) if self._rest.host in (HOST, "localhost") else None

    def _left(self, known: Known) -> str | None:
        """What a job left that no longer runs: where nobody stopped it, its newest checkpoint."""
        if known.is_stopped:
            return known.begin
        if known.stopping and (made := self._made(known.job_id, known.stopping)):
            return made
        where = self._place()
        if where is None:
            return None  # it may have made some in the JobManager's memory, or on another machine
        newest = newest_checkpoint(where / known.job_id)
        if newest is None and known.flink not in ("", self._rest.address):
            return None
        if newest is None and known.stopping is not None:  # Flink removes them once one is stopped
            raise StackError(
                f"the job {known.job_id} was stopped with a savepoint that is not known: name it "
                f"with --savepoint; without a place of the cluster's it is in {self._savepoints}"
            )
        if newest is None and known.ran:
            raise StackError(
                f"the job {known.job_id} has run, and none of its checkpoints is in {where}: name "
                f"its newest checkpoint or savepoint with --savepoint; it began from "
                f"{known.begin or 'nothing'}"
            )
        return file_uri(newest) if newest else known.begin

    def _place(self) -> Path | None:
        """Where jobs keep their checkpoints, where that is a folder of this machine."""
        where = self._rest.configuration().get("execution.checkpointing.dir", "")
        place = urlsplit(where)
        is_here = where and place.scheme in ("", "file") and Path(place.path).is_dir()
        return Path(place.path) if is_here else None

    def _newest(self) -> Path | None:
        try:
            where = self._place()
        except HttpError:
            return None
        return None if where is None else newest_checkpoint(where / self.job_id)

    def _made(self, job_id: str, trigger: str) -> str | None:
        """The savepoint, where Flink still knows of it: for some minutes."""
        try:
            return self._rest.savepoint(job_id, trigger)
        except HttpError:
            return None

    def _write(self, known: Known) -> None:
        write(self._file, json.dumps(known._asdict()).encode())


def _read(file: Path) -> Known | None:
    try:
        return Known(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise StackError(f"{file} is damaged: remove it, and name a --savepoint") from None


def _check_elsewhere(
    known: Known | None, name: str, file: Path, savepoint: str | None = None
) -> None:
    """Raises `StackError`: the job runs on the Flink that it was submitted to, or nobody knows.
    Who names a `savepoint` knows that it ended."""
    if known is None or known.is_stopped or not known.flink:
        return
    try:
        runs = known.job_id in Rest(known.flink).unended(name)
    except HttpError:
        if savepoint is not None:
            return
        raise StackError(
            f"the last job of these topics, {known.job_id}, was left on the Flink at "
            f"{known.flink}, which does not answer: stop it there with a savepoint and name that "
            f"with --savepoint, or remove {file} where that Flink is gone"
        ) from None
    if runs:
        raise StackError(
            f"the job {known.job_id} runs on these topics already, on the Flink at {known.flink}: "
            "stop it with a savepoint and name that with --savepoint, or choose another "
            "--topic-prefix"
        )
