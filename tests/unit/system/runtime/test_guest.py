"""The job on a Flink that exists: what it begins from, and when it must not. Flink is played."""

import json
from pathlib import Path

import pytest

from machine.errors import StackError
from machine.http import HttpError
from system.runtime.data_folder import form_of
from system.runtime.flink_rest import Rest
from system.runtime.guest import GuestJob, _read, check_elsewhere, reserved_topics
from system.runtime.newest_state import FILE, JOB_FILE, State, check, note

NAME = "kaflinkshop cluster"
FORM = form_of("thread", 900)


class Flink(Rest):
    """Runs `jobs`, id → state, all of one name; `refusal` is why it makes no savepoint."""

    def __init__(self, checkpoints: Path) -> None:
        super().__init__("127.0.0.1:1")
        self.jobs: dict[str, str] = {}
        self.checkpoints = checkpoints
        self.refusal: str | None = None
        self.cancelled: list[str] = []

    def unended(self, name: str) -> list[str]:
        assert name == NAME
        return [job_id for job_id, state in self.jobs.items() if state == "RUNNING"]

    def state(self, job_id: str) -> str | None:
        return self.jobs.get(job_id)

    def configuration(self) -> dict[str, str]:
        return {"execution.checkpointing.dir": self.checkpoints.as_uri()}

    def stop_with_savepoint(self, job_id: str, directory: str | None) -> str:
        assert directory is not None
        self.directory = directory
        if self.refusal:
            raise HttpError(self.refusal, 400)
        self.jobs[job_id] = "FINISHED"
        return "trigger"

    def savepoint(self, job_id: str, trigger: str) -> str | None:
        return f"{self.directory}/savepoint-{job_id[:4]}"

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)


@pytest.fixture
def flink(tmp_path: Path) -> Flink:
    (tmp_path / "checkpoints").mkdir()
    return Flink(tmp_path / "checkpoints")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def job(flink: Flink, tmp_path: Path, told: list[str]) -> GuestJob:
    return GuestJob(flink, NAME, FORM, tmp_path, told.append)


def submitted(job: GuestJob, flink: Flink) -> str:
    """The id of a first job that runs."""
    assert job.prepare(None, has_records=False) is None
    job.submit(lambda: flink.jobs.update({job.job_id: "RUNNING"}), lambda: False)
    return job.job_id


def test_a_job_that_was_stopped_is_resumed(job, flink, told):
    first = submitted(job, flink)
    job.leave(was_up=True)
    begin = job.prepare(None, has_records=True)
    assert begin.endswith(f"/savepoints/savepoint-{first[:4]}")
    assert told == [f"the job is stopped, with the savepoint {begin}"]
    assert job.job_id != first


def test_a_job_that_outlived_its_stack_is_stopped_first(job, flink, told, tmp_path):
    first = submitted(job, flink)
    begin = GuestJob(flink, NAME, FORM, tmp_path, told.append).prepare(None, has_records=True)
    assert begin.endswith(f"savepoint-{first[:4]}")
    assert told[0] == f"the job {first} has outlived its stack: stopping it"
    assert flink.jobs[first] == "FINISHED"


def test_a_job_that_flink_lost_goes_on_from_its_newest_checkpoint(job, flink):
    first = submitted(job, flink)
    flink.jobs.clear()
    newest = flink.checkpoints / first / "chk-7"
    newest.mkdir(parents=True)
    (newest / "_metadata").touch()
    assert job.prepare(None, has_records=True) == newest.as_uri()


def test_a_stop_that_nobody_saw_end_is_not_forgotten(job, flink, tmp_path, told, monkeypatch):
    """Its stack was killed meanwhile, or waited no longer; the second life of the topics."""
    submitted(job, flink)
    job.leave(was_up=True)
    old = job.prepare(None, has_records=True)
    flink.jobs[job.job_id] = "RUNNING"
    with monkeypatch.context() as patched:
        patched.setattr(flink, "savepoint", lambda *_: None)
        patched.setattr("system.runtime.guest.SAVEPOINT_TIMEOUT_S", 0.0)
        job.leave(was_up=True)
    assert "it takes longer than 0 s; it goes on running" in told[-1]
    made = flink.savepoint(job.job_id, "trigger")
    another = GuestJob(flink, NAME, FORM, tmp_path, told.append)
    with monkeypatch.context() as patched:

        def forgotten(*_: str) -> str:
            raise HttpError("404")

        patched.setattr(flink, "savepoint", forgotten)
        with pytest.raises(StackError, match=r"that is not known: name it with --savepoint; with"):
            another.prepare(None, has_records=True)
        assert another.prepare("hdfs://s/1", has_records=True) == "hdfs://s/1"
    job._write(_read(job._file)._replace(job_id=job.job_id, begin=old, stopping="trigger"))
    assert another.prepare(None, has_records=True) == made != old


def test_another_machines_job_is_left_alone(job, flink):
    flink.jobs["f" * 32] = "RUNNING"
    with pytest.raises(StackError, match=r"^the job f{32} runs on these topics already, and no st"):
        job.prepare(None, has_records=True)
    assert flink.jobs == {"f" * 32: "RUNNING"}


def test_records_need_the_state_that_belongs_to_them(job, flink, tmp_path):
    with pytest.raises(StackError, match="the topics hold records of an earlier job, whose state"):
        job.prepare(None, has_records=True)
    assert job.prepare("hdfs://s/1", has_records=True) == "hdfs://s/1"
    # Of a lost job whose checkpoints are out of sight, the savepoint it began from is too old.
    flink.checkpoints.rmdir()
    with pytest.raises(StackError, match="whose state is not known"):
        job.prepare(None, has_records=True)


@pytest.mark.parametrize("configured", [{}, {"execution.checkpointing.dir": ""}])
def test_a_job_that_keeps_its_checkpoints_in_memory_leaves_none(
    job, flink, monkeypatch, configured
):
    """The savepoint that it began from is too old: what came since may have left the topics."""
    submitted(job, flink)
    job.leave(was_up=True)
    job.prepare(None, has_records=True)
    flink.jobs.clear()
    monkeypatch.setattr(flink, "configuration", lambda: configured)
    with pytest.raises(StackError, match="whose state is not known"):
        job.prepare(None, has_records=True)


def test_a_job_that_ran_is_not_begun_anew_where_its_checkpoints_are_gone(job, flink):
    """As after `flink stop`: it went on from the savepoint of the day before."""
    submitted(job, flink)
    job.leave(was_up=True)
    begin = job.prepare(None, has_records=True)
    flink.jobs.clear()
    assert job.prepare(None, has_records=True) == begin, "it never ran"
    flink.jobs[job.job_id] = "RUNNING"
    job.check()
    flink.jobs.clear()
    assert job.prepare(None, has_records=True) == begin, "it made no checkpoint"
    flink.jobs[job.job_id] = "RUNNING"
    newest = flink.checkpoints / job.job_id / "chk-1"
    newest.mkdir(parents=True)
    (newest / "_metadata").touch()
    job.check()
    flink.jobs.clear()
    (newest / "_metadata").unlink()
    told = f"has run, and none of its checkpoints is in .* --savepoint; it began from {begin}"
    with pytest.raises(StackError, match=told):
        job.prepare(None, has_records=True)
    assert job.prepare(begin, has_records=True) == begin, "who names it knows"


def test_a_stop_whose_answer_was_lost_is_not_forgotten(job, flink, monkeypatch):
    submitted(job, flink)
    job.leave(was_up=True)
    job.prepare(None, has_records=True)
    flink.jobs[job.job_id] = "RUNNING"

    def accepted(job_id: str, directory: str | None) -> str:
        flink.jobs[job_id] = "FINISHED"
        raise HttpError("no answer within 5 s")

    monkeypatch.setattr(flink, "stop_with_savepoint", accepted)
    job.leave(was_up=True)
    with pytest.raises(StackError, match="stopped with a savepoint that is not known"):
        job.prepare(None, has_records=True)


ELSEWHERE = "127.0.0.1:2"


@pytest.mark.parametrize(
    ("left", "why"),
    [
        (True, r"runs on these topics already, on the Flink at 127\.0\.0\.1:1: stop it"),
        (None, r"was left on the Flink at 127\.0\.0\.1:1, which does not answer: stop it there"),
        (False, "whose state is not known"),
    ],
)
def test_a_job_that_was_left_on_another_flink(job, flink, tmp_path, told, monkeypatch, left, why):
    """On a Flink that exists, and on a stack's own."""
    first = submitted(job, flink)
    other = Flink(flink.checkpoints)
    other.address = ELSEWHERE

    def unended(rest: Rest, name: str) -> list[str]:
        assert (rest.address, name) == (flink.address, NAME)
        if left is None:
            raise HttpError("nobody there")
        return [first] if left else []

    monkeypatch.setattr(Rest, "unended", unended)
    second = GuestJob(other, NAME, FORM, tmp_path, told.append)
    with pytest.raises(StackError, match=why):
        second.prepare(None, has_records=True)
    if left is False:
        check_elsewhere(tmp_path, NAME)
    else:
        with pytest.raises(StackError, match=why):
            check_elsewhere(tmp_path, NAME)
    if left:
        with pytest.raises(StackError, match=why):
            second.prepare("hdfs://s/1", has_records=True)
    else:
        assert second.prepare("hdfs://s/1", has_records=True) == "hdfs://s/1"


def test_a_flink_by_another_name_is_the_same_where_it_has_the_job(job, flink, tmp_path, told):
    first = submitted(job, flink)
    flink.address = "localhost:1"
    begin = GuestJob(flink, NAME, FORM, tmp_path, told.append).prepare(None, has_records=True)
    assert begin.endswith(f"savepoint-{first[:4]}")


def test_a_job_that_was_stopped_is_resumed_on_any_flink(job, flink, tmp_path, told):
    submitted(job, flink)
    job.leave(was_up=True)
    check_elsewhere(tmp_path, NAME)
    other = Flink(flink.checkpoints)
    other.address = ELSEWHERE
    assert GuestJob(other, NAME, FORM, tmp_path, told.append).prepare(None, has_records=True)


def test_a_job_that_can_t_be_stopped_goes_on_running(job, flink, told):
    first = submitted(job, flink)
    flink.refusal = "no checkpoint can be made"
    job.leave(was_up=True)
    assert told == [
        f"warning: the job {first} is not stopped with a savepoint: no checkpoint can be made; "
        "it goes on running"
    ]
    assert flink.cancelled == []
    job.leave(was_up=False)
    assert flink.cancelled == [first]
    # Flink has said no: nothing was begun, and nothing is to be named.
    flink.jobs.clear()
    assert job.prepare(None, has_records=False) is None


@pytest.mark.parametrize("how", ["not begun", "refused", "no answer"])
def test_a_start_that_came_to_nothing_leaves_what_was_known(job, flink, told, tmp_path, how):
    """A savepoint was mistyped, say. Where nobody knows what Flink made of it, it may run yet."""
    own = State("own", "that in /data")
    note(tmp_path, own)
    assert job.prepare("file:/mistyped", has_records=True) == "file:/mistyped"
    begun = _read(tmp_path / JOB_FILE)

    def submission() -> None:
        raise StackError("job_submission ended")

    if how != "not begun":
        with pytest.raises(StackError):
            job.submit(submission, lambda: how == "refused")
    flink.refusal = "no such job"
    job.leave(was_up=False)
    if how == "no answer":
        assert flink.cancelled == [job.job_id]
        assert _read(tmp_path / JOB_FILE) == begun
        with pytest.raises(StackError, match="the newest state of these topics is that of the job"):
            check(tmp_path, own)
        return
    assert flink.cancelled == []
    assert not (tmp_path / JOB_FILE).exists()
    check(tmp_path, own)
    flink.refusal = None
    first = submitted(job, flink)
    job.leave(was_up=True)
    known = _read(tmp_path / JOB_FILE)
    again = GuestJob(flink, NAME, FORM, tmp_path, told.append)
    again.prepare("file:/mistyped", has_records=True)
    again.leave(was_up=False)
    assert _read(tmp_path / JOB_FILE) == known
    assert known.job_id == first


def test_what_is_known_is_left_alone_where_it_can_t_be_read(job, flink, tmp_path):
    (tmp_path / FILE).write_text("{")
    with pytest.raises(StackError, match="is damaged"):
        job.prepare("file:/s", has_records=True)
    job.leave(was_up=False)
    assert (tmp_path / FILE).read_text() == "{"
    assert not (tmp_path / JOB_FILE).exists()


def test_nothing_is_left_where_nothing_was_submitted(job, flink, told):
    job.leave(was_up=False)
    assert (told, flink.cancelled) == ([], [])


@pytest.mark.parametrize(("state", "expected"), [("CANCELED", "CANCELED"), (None, "unknown")])
def test_a_job_that_is_over_is_told(job, flink, state, expected):
    first = submitted(job, flink)
    job.check()
    flink.jobs = {} if state is None else {first: state}
    with pytest.raises(StackError, match=rf"is no longer there \(its state is {expected}\)"):
        job.check()


def test_a_state_of_another_form_is_left_alone(job, flink, told, tmp_path):
    first = submitted(job, flink)
    other = GuestJob(flink, NAME, form_of("process", 900), tmp_path, told.append)
    for savepoint in (None, "hdfs://s/1"):
        with pytest.raises(StackError, match=r"another form \(layout \d+ in thread mode, not lay"):
            other.prepare(savepoint, has_records=True)
    older = {"job_id": first, "begin": None, "is_stopped": False}
    (tmp_path / "job.json").write_text(json.dumps(older))
    with pytest.raises(StackError, match=r"another form \(that of an older version, not layout"):
        job.prepare(None, has_records=True)
    assert flink.jobs == {first: "RUNNING"}, "it goes on"


def test_a_savepoint_of_another_form_is_refused(job, flink, told, tmp_path):
    submitted(job, flink)
    job.leave(was_up=True)
    other = GuestJob(flink, NAME, form_of("process", 900), tmp_path, told.append)
    with pytest.raises(StackError, match="another form"):
        other.prepare(None, has_records=True)
    assert other.prepare("hdfs://s/1", has_records=True) == "hdfs://s/1", "Flink looks at that"


def test_where_nothing_was_kept_any_form_will_do(job, flink, told, tmp_path):
    submitted(job, flink)
    flink.jobs.clear()
    other = GuestJob(flink, NAME, form_of("process", 900), tmp_path, told.append)
    assert other.prepare(None, has_records=False) is None


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"job_id": 1}'])
def test_what_is_known_may_be_damaged(job, tmp_path, content):
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(StackError, match=r"job\.json is damaged: remove it"):
        job.prepare(None, has_records=False)


def test_topics_are_one_stacks(tmp_path, monkeypatch):
    monkeypatch.setenv("KAFLINKSHOP_CACHE", str(tmp_path))
    with (
        reserved_topics("cluster", ""),
        reserved_topics("cluster", "shop1."),
        pytest.raises(StackError, match="another stack uses the topics of Kafka's cluster"),
        reserved_topics("cluster", ""),
    ):
        pass
    with reserved_topics("cluster", ""):
        pass
