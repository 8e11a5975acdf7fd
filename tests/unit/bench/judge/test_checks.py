"""Three states, of which unknown never passes as holds."""

from hypothesis import given
from hypothesis import strategies as st

from bench.judge.checks import Check, State, at_most, doubts, worst

STATES = st.lists(st.sampled_from(["holds", "broken", "unknown"]))


@given(STATES)
def test_all_must_hold(states: list[State]) -> None:
    assert (worst(states) == "holds") == (set(states) <= {"holds"})
    assert (worst(states) == "broken") == ("broken" in states)


@given(STATES)
def test_whatever_does_not_hold_is_told(states: list[State]) -> None:
    checks = [Check(str(index), state, f"why {index}") for index, state in enumerate(states)]
    expected = [f"why {index}" for index, state in enumerate(states) if state != "holds"]
    assert doubts(checks) == expected


def test_a_value_at_its_limit() -> None:
    assert at_most("x", 1.0, 1.0, "too much", "not known") == Check("x", "holds")
    assert at_most("x", 1.1, 1.0, "too much", "not known") == Check("x", "broken", "too much")
    assert at_most("x", None, 1.0, "too much", "not known") == Check("x", "unknown", "not known")
