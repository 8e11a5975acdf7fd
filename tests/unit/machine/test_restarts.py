"""What dies is started anew, later each time and not for ever; the clock is the test's."""

from pathlib import Path

import pytest

from machine import restarts
from machine.errors import StackError
from machine.processes import Child, Supervisor
from machine.restarts import Restarts

S = 10**9


class Dying(Supervisor):
    """Children are names; `dead` are those that have died since."""

    def __init__(self) -> None:
        super().__init__()
        self.dead: list[str] = []

    def ended(self) -> list[Child]:
        dead, self.dead = self.dead, []
        return [Dead(name) for name in dead]


class Dead(Child):
    def __init__(self, name: str) -> None:
        self.name = name
        self.log = Path(name)

    def describe_exit(self) -> str:
        return f"{self.name} ended (SIGKILL) [log]"

    def kill(self) -> None:
        pass


class Stage:
    """A stack whose parts die when told to."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.is_ready = True
        self.started: list[str] = []
        self.said: list[str] = []
        self.supervisor = Dying()
        self.restarts = Restarts(
            self.supervisor,
            self.started.append,
            lambda: self.is_ready,
            self.said.append,
            lambda: self.now_ns,
        )

    def kill(self, *names: str) -> bool:
        self.supervisor.dead += names
        return self.restarts.step()

    def pass_s(self, seconds: float) -> bool:
        self.now_ns += int(seconds * S)
        return self.restarts.step()


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_nothing_died(stage: Stage) -> None:
    assert not stage.restarts.step()
    assert (stage.started, stage.said, stage.restarts.events) == ([], [], [])


def test_the_first_death_is_mended_at_once_and_told(stage: Stage) -> None:
    stage.is_ready = False
    assert stage.kill("kafka")
    assert stage.started == ["kafka"]
    assert not stage.pass_s(3)
    stage.is_ready = True
    assert stage.pass_s(0.25)
    assert not stage.restarts.step()
    assert [(e.at_ns, e.part, e.kind) for e in stage.restarts.events] == [
        (0, "kafka", "ended"),
        (0, "kafka", "started"),
        (3.25 * S, "stack", "ready"),
    ]
    assert stage.said == [
        "kafka ended (SIGKILL) [log]",
        "kafka is started anew",
        "ready again, 3.2 s after the first end",
    ]


def test_all_at_once(stage: Stage) -> None:
    stage.kill("kafka", "gateway")
    assert stage.started == ["kafka", "gateway"]
    assert [event.kind for event in stage.restarts.events].count("ready") == 1


def test_each_start_in_a_row_waits_twice_as_long_as_the_one_before(stage: Stage) -> None:
    stage.kill("kafka")
    for pause_s in (0.5, 1, 2, 4, 8, 10, 10, 10, 10):
        starts = len(stage.started)
        stage.kill("kafka")
        assert f"to be started anew in {pause_s:g} s" in stage.said[-1]
        assert not stage.pass_s(pause_s - 0.01)
        assert len(stage.started) == starts
        stage.pass_s(0.01)
        assert len(stage.started) == starts + 1
    stage.kill("gateway")  # another part has a count of its own
    with pytest.raises(StackError, match=r"^kafka ended .* 11 times within 300 s, it is not star"):
        stage.kill("kafka")


def test_deaths_of_long_ago_are_forgotten(stage: Stage) -> None:
    for _ in range(3 * restarts.RESTARTS_MAX):
        stage.kill("kafka")
        stage.pass_s(restarts.WINDOW_S + 0.001)
    assert "in" not in stage.said[-3].split()


@pytest.mark.parametrize("cause", [StackError("cannot start it"), OSError(28, "No space left")])
def test_a_start_that_fails_is_a_death(stage: Stage, cause: Exception) -> None:
    start = stage.restarts._start

    def fail(name: str) -> None:
        raise cause

    stage.restarts._start = fail
    assert stage.kill("kafka")
    assert stage.said[-1] == (
        f"kafka was not started ({cause}), to be started anew in {restarts.PAUSE_S_MIN:g} s"
    )
    stage.restarts._start = start
    assert stage.pass_s(restarts.PAUSE_S_MIN)
    assert stage.started == ["kafka"]


def test_a_first_start_that_fails_is_tried_again(stage: Stage) -> None:
    start = stage.restarts._start

    def fail(name: str) -> None:
        if name == "kafka":
            raise OSError(28, "No space left")
        start(name)

    stage.restarts._start = fail
    stage.restarts.start("kafka", "gateway")
    assert stage.started == ["gateway"]
    assert [(each.part, each.kind) for each in stage.restarts.events] == [("kafka", "ended")]
    stage.restarts._start = start
    assert stage.restarts.step()
    assert stage.started == ["gateway", "kafka"]


def test_what_can_never_be_started_is_given_up(stage: Stage) -> None:
    def fail(name: str) -> None:
        raise OSError(28, "No space left")

    stage.restarts._start = fail
    stage.kill("kafka")
    for _ in range(restarts.RESTARTS_MAX - 2):
        stage.pass_s(restarts.PAUSE_S_MAX)
    with pytest.raises(StackError, match=r"^kafka was not started .* 11 times within 300 s"):
        stage.pass_s(restarts.PAUSE_S_MAX)


def test_what_is_given_up_is_not_started_anew(stage: Stage) -> None:
    stage.kill("gateway")
    stage.kill("gateway")  # due in half a second
    stage.restarts.forget(["gateway", "kafka"])
    stage.pass_s(1.0)
    assert stage.started == ["gateway"]
    stage.kill("gateway")  # the first death of a new one
    assert stage.started == ["gateway", "gateway"]


def test_until_something_holds_what_dies_is_mended(stage: Stage, monkeypatch) -> None:
    monkeypatch.setattr(restarts, "STEP_INTERVAL_S", 0.0)
    stage.supervisor.dead.append("kafka")
    assert stage.restarts.until(lambda: stage.started == ["kafka"], 5.0)
    assert stage.restarts.until(lambda: True, 0.0)


def test_what_never_holds_is_given_up(stage: Stage, monkeypatch) -> None:
    monkeypatch.setattr(restarts, "STEP_INTERVAL_S", 0.0)

    def never() -> bool:
        stage.now_ns += S
        return False

    assert not stage.restarts.until(never, 5.0)
    assert stage.now_ns == 6 * S
