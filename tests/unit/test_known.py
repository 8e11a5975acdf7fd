"""What a task knows of its keys is never more than Flink has, and never too much."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from system.services.known import Knowledge, Known

KEYS_MAX, STEPS_MAX = 3, 8
keys, steps = st.sampled_from("abcde"), st.sampled_from("123456789")
actions = st.one_of(
    st.tuples(st.just("handle"), keys, steps),
    st.tuples(st.just("forget"), keys, steps),
)


@given(st.lists(actions, max_size=80))
def test_it_lacks_no_step_that_flink_remembers(taken: list[tuple[str, str, str]]) -> None:
    knowledge, flink = Knowledge(KEYS_MAX, STEPS_MAX), defaultdict[str, set[str]](set)
    for action, key, step in taken:
        known = knowledge.of(key, lambda key=key: Known(steps=None if flink[key] else set()))
        assert not any(known.lacks(remembered) for remembered in flink[key])
        if action == "handle":
            flink[key].add(step)
            knowledge.remember(key, step)
        else:
            flink[key] = {kept for kept in flink[key] if kept > step}
            knowledge.learn(key, set(flink[key]))
        assert len(knowledge) <= KEYS_MAX
        assert knowledge.steps <= STEPS_MAX


def test_a_new_key_needs_no_look_at_its_steps() -> None:
    knowledge = Knowledge()
    known = knowledge.of("a", lambda: Known(steps=set()))
    assert known.lacks("1")
    knowledge.remember("a", "1")
    assert not known.lacks("1")
    assert known.lacks("2")
    assert not Known().lacks("1")  # nothing is known


def test_what_was_not_used_for_longest_is_left_out() -> None:
    knowledge, read = Knowledge(2, 8), list[str]()

    def use(key: str) -> None:
        knowledge.of(key, lambda: read.append(key) or Known(steps=set()))  # type: ignore[func-returns-value]

    for key in "abacba":
        use(key)
    assert read == ["a", "b", "c", "b", "a"]


def test_a_key_with_too_many_steps_leaves_itself_out() -> None:
    knowledge = Knowledge(2, 3)
    knowledge.of("a", lambda: Known(steps=set()))
    for step in "12345":
        knowledge.remember("a", step)
    assert (len(knowledge), knowledge.steps) == (0, 0)
    knowledge.learn("a", {"1"})
    assert knowledge.steps == 0
