"""What a task knows of its keys is never more than Flink has, and never too much."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.flink_job.state_cache import Knowledge

KEYS_MAX, STEPS_MAX = 3, 4
keys, steps = st.sampled_from("abcde"), st.sampled_from("123456789")
actions = st.one_of(
    st.tuples(st.just("handle"), keys, steps),
    st.tuples(st.just("forget"), keys, steps),
)


@given(st.lists(actions, max_size=80))
def test_it_lacks_no_step_that_flink_remembers(taken: list[tuple[str, str, str]]) -> None:
    knowledge, flink = Knowledge(KEYS_MAX, STEPS_MAX), defaultdict[str, set[str]](set)
    for action, key, step in taken:
        knowledge.of(key, lambda key=key: (None, 0, not flink[key]))
        assert not any(knowledge.lacks(key, remembered) for remembered in flink[key])
        if action == "handle":
            flink[key].add(step)
            knowledge.remember(key, step)
        else:
            flink[key] = {kept for kept in flink[key] if kept > step}
            knowledge.learn(key, flink[key])
        assert len(knowledge) <= KEYS_MAX


def test_a_new_key_needs_no_look_at_its_steps() -> None:
    knowledge = Knowledge()
    assert not knowledge.lacks("a", "1"), "nothing is known"
    knowledge.of("a", lambda: (None, 0, True))
    assert knowledge.lacks("a", "1")
    knowledge.remember("a", "1")
    assert not knowledge.lacks("a", "1")
    assert knowledge.lacks("a", "2")


def test_a_key_with_steps_is_known_once_they_are_learned() -> None:
    knowledge = Knowledge()
    knowledge.of("a", lambda: (None, 0, False))
    assert not knowledge.lacks("a", "2")
    knowledge.learn("a", ["1"])
    assert knowledge.lacks("a", "2")
    assert not knowledge.lacks("a", "1")


def test_what_was_not_used_for_longest_is_left_out() -> None:
    knowledge, read = Knowledge(2, 8), list[str]()

    def use(key: str) -> None:
        knowledge.of(key, lambda: read.append(key) or (None, 0, True))  # type: ignore[func-returns-value]

    for key in "abacba":
        use(key)
    assert read == ["a", "b", "c", "b", "a"]


@pytest.mark.parametrize(("more", "is_known"), [(2 * STEPS_MAX, True), (2 * STEPS_MAX + 1, False)])
def test_a_key_is_unknown_when_a_filter_with_its_steps_is_emptied(
    more: int, is_known: bool
) -> None:
    knowledge = Knowledge(KEYS_MAX, STEPS_MAX)
    for key in "ab":
        knowledge.of(key, lambda: (None, 0, True))
    for step in range(more):
        knowledge.remember("b", str(step))
    never = map(str, range(-100, 0))
    assert any(knowledge.lacks("a", step) for step in never) == is_known
