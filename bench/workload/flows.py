"""Sequences of a workload file are played in an open loop, and answers are checked."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from bench.records.samples import UNEXPECTED, kind_of
from bench.workload.address import Address
from bench.workload.answer import Answer, NoValueError, Show, each_text, excerpt, forget, texts
from bench.workload.draws import Draws
from bench.workload.template import Template


class Step(NamedTuple):
    """A step is a request of a sequence that is under way."""

    steps: tuple[Template, ...]
    """The steps are this one and those after it."""
    values: dict[str, str]
    """The values are by place; what is captured is added."""
    captured: tuple[str, ...] = ()
    """The names are those of what has been captured."""


class Flows:
    """Each intended time gets the next request of a sequence that can go on, else of a new one. So
    no answer is waited for; a sequence ends at an answer that is not as expected."""

    def __init__(
        self,
        draws: Draws,
        address: Address,
        label: Callable[[str, str], int],
        show: Show = forget,
    ) -> None:
        self._draws = draws
        self._address = address
        self._label = label
        self._show = show
        self._secrets = {
            secret
            for flow in draws.workload.flows
            for step in flow.steps
            for secret in step.secrets
        }
        self._shown: set[int] = set()
        """The labels are those of which an answer has been shown."""
        self._block = draws.block()
        self._ready: deque[Step] = deque()

    def prepare(self) -> int:
        return 0

    def next_prepared(self) -> None:
        return None

    def next(self) -> tuple[Step, bytes]:
        step = self._ready.popleft() if self._ready else self._begin()
        return step, step.steps[0].request(self._address, step.values)

    def answered(self, context: Step, answer: Answer, times_ns: tuple[int, int, int]) -> int:
        template = context.steps[0]
        outcome = template.outcome(answer.status)
        if template.is_expected(answer.status):
            problem = template.check.problem(answer)
            if problem is None:
                problem = self._go_on(context, answer)
            if problem is not None:
                outcome = f"{UNEXPECTED} {answer.status} {problem}"
        label = self._label(template.operation, outcome)
        if label not in self._shown and kind_of(outcome) == "failed":
            self._shown.add(label)
            captured = [context.values[name] for name in context.captured]
            captured += each_text(template.capture, answer.parts)
            secrets = (*self._secrets, *captured)
            self._show(template.operation, outcome, excerpt(answer, secrets))
        return label

    def failed(self, context: Step, outcome: str, times_ns: tuple[int, int, int]) -> int:
        return self._label(context.steps[0].operation, outcome)

    def close(self) -> None:
        pass

    def _begin(self) -> Step:
        while True:
            for chosen, values in self._block:
                return Step(self._draws.workload.flows[chosen].steps, dict(values))
            self._block = self._draws.block()

    def _go_on(self, step: Step, answer: Answer) -> str | None:
        """Makes the next request ready; returns what is wrong with the answer to this one."""
        template, *following = step.steps
        if template.capture:
            try:
                step.values.update(texts(template.capture, answer.parts))
            except NoValueError:
                return "capture"
        if following:
            captured = (*step.captured, *template.capture)
            self._ready.append(Step(tuple(following), step.values, captured))
        return None
