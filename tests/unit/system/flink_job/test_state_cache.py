"""What a task knows of its keys is never more than Flink has, and never too much."""

from collections import defaultdict
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.flink_job.state_cache import Kept, Knowledge

KEYS_MAX, STEPS_MAX = 3, 4
ENOUGH = 2**30
"""So many bytes are room for all keys of a test."""
keys, steps = st.sampled_from("abcde"), st.sampled_from("123456789")
actions = st.one_of(
    st.tuples(st.just("handle"), keys, steps),
    st.tuples(st.just("chunk"), keys, steps),
    st.tuples(st.just("drop"), keys, steps),
)


@given(
    st.lists(actions, max_size=80), st.sampled_from((0, ENOUGH)), st.sampled_from((1, 120, ENOUGH))
)
def test_it_lacks_no_step_that_flink_remembers(
    taken: list[tuple[str, str, str]], packed_bytes_max: int, at_hand_bytes_max: int
) -> None:
    knowledge = Knowledge(packed_bytes_max, KEYS_MAX, STEPS_MAX, at_hand_bytes_max)
    remembered = defaultdict[str, set[str]](set)
    flink: dict[str, bytes | None] = {}
    for action, key, step in taken:
        kept = knowledge.of(key, lambda key=key: flink.get(key))
        assert kept.to_bytes() == flink.get(key)
        assert not any(knowledge.lacks(key, found) for found in remembered[key])
        if action == "handle":
            remembered[key].add(step)
            knowledge.remember(key, step)
            kept.names.append(step)
        elif action == "chunk" and kept.names:
            kept.end, kept.names = kept.end + 1, []
        elif action == "drop":
            knowledge.drop(key)
        flink[key] = kept.changed()
        assert len(knowledge) <= KEYS_MAX


def test_what_is_kept_of_a_key_comes_back_as_it_was() -> None:
    kept = Kept({"credit": 1}, 7, 8, 3, 1, 4, 9, ["a:b"])
    assert Kept.from_bytes(kept.to_bytes()) == kept
    kept.generation = 2
    assert Kept.from_bytes(kept.packed()) == kept
    assert Kept.from_bytes(None) == Kept()
    assert Kept().to_bytes() is None


def test_steps_are_kept_of_a_key_that_has_no_entity() -> None:
    kept = Kept(names=["a"])
    assert kept.to_bytes() is not None
    kept.names = []
    assert kept.to_bytes() is None
    kept.end = 1
    assert kept.to_bytes() is not None


def value(*names: str, chunks: int = 0) -> bytes | None:
    return Kept(names=[*names], end=chunks).to_bytes()


def test_a_new_key_needs_no_look_at_its_steps() -> None:
    knowledge = Knowledge(0)
    assert not knowledge.lacks("a", "1"), "nothing is known"
    knowledge.of("a", lambda: None)
    assert knowledge.lacks("a", "1")
    knowledge.remember("a", "1")
    assert not knowledge.lacks("a", "1")
    assert knowledge.lacks("a", "2")


def test_a_key_whose_steps_all_have_names_is_known() -> None:
    knowledge = Knowledge(0)
    knowledge.of("a", lambda: value("1"))
    knowledge.of("b", lambda: value("1", chunks=1))
    assert knowledge.lacks("a", "2")
    assert not knowledge.lacks("a", "1")
    assert not knowledge.lacks("b", "2"), "it may be in the chunk"


def test_of_large_keys_fewer_are_at_hand() -> None:
    """Ten thousand orders of a hundred lines each took a task 0.3 GB, whatever it was given."""
    flink = {str(number): Kept({"text": "x" * 1_000}).to_bytes() for number in range(20)}
    size = len(flink["0"] or b"") + len(",null")  # packed, it has its generation too
    knowledge = Knowledge(ENOUGH, at_hand_bytes_max=5 * size)
    for key in [*flink, *flink]:
        assert knowledge.of(key, lambda key=key: flink[key]).to_bytes() == flink[key]
        assert len(knowledge) <= 5
    assert len(knowledge) == 5, "at the edge"
    kept = knowledge.of("19", lambda: flink["19"])
    kept.entity = {"text": "y" * 3 * size}
    flink["19"] = kept.changed()
    assert knowledge.of("19", lambda: None) is kept
    assert len(knowledge) == 2, "what it grew by is counted when it is used again"
    kept.entity = {"text": ""}
    flink["19"] = kept.changed()
    knowledge.drop("18")
    for key in map(str, range(18)):
        knowledge.of(key, lambda: None)
    assert len(knowledge) == 5
    alone = Knowledge(ENOUGH, at_hand_bytes_max=1)
    assert all(alone.of(key, lambda key=key: flink[key]).to_bytes() == flink[key] for key in flink)
    assert len(alone) == 1, "whoever is handled is at hand"


def test_what_was_not_used_for_longest_is_left_out() -> None:
    knowledge, read = Knowledge(0, 2, 8), list[str]()

    def use(key: str) -> None:
        knowledge.of(key, lambda: read.append(key))  # type: ignore[func-returns-value]

    for key in "abacba":
        use(key)
    assert read == ["a", "b", "c", "b", "a"]


def used(knowledge: Knowledge, read: list[str], key: str) -> Kept:
    """A key that was used, which is a user's; it is in `read` if it was."""
    kept = knowledge.of(key, lambda: read.append(key))  # type: ignore[func-returns-value]
    kept.entity = kept.entity or {"credit": 0}
    return kept


def test_what_is_packed_is_not_read_again_and_its_steps_are_known() -> None:
    knowledge, read = Knowledge(ENOUGH, 2, 8), list[str]()
    use = partial(used, knowledge, read)
    use("a").entity = {"credit": 1}
    knowledge.remember("a", "1")
    assert not use("a").is_packed
    for key in "bcb":
        use(key)
    assert not knowledge.lacks("a", "2"), "it is packed"
    assert use("a").entity == {"credit": 1}
    assert use("a").is_packed
    use("a").entity = {"credit": 2}
    assert use("a").changed()
    for key in "bc":
        use(key)
    assert use("a").entity == {"credit": 2}
    assert read == ["a", "b", "c"]
    assert not knowledge.lacks("a", "1")
    assert knowledge.lacks("a", "2")


def test_a_key_that_was_dropped_is_read_again() -> None:
    knowledge, read = Knowledge(ENOUGH, 1, 8), list[str]()
    use = partial(used, knowledge, read)
    for key in "aba":
        use(key)
    knowledge.drop("a")
    use("b")
    use("a")
    assert read == ["a", "b", "a"]


@pytest.mark.parametrize(("more", "is_known"), [(2 * STEPS_MAX, True), (2 * STEPS_MAX + 1, False)])
def test_a_key_is_unknown_when_a_filter_with_its_steps_is_emptied(
    more: int, is_known: bool
) -> None:
    knowledge = Knowledge(0, KEYS_MAX, STEPS_MAX)
    for key in "ab":
        knowledge.of(key, lambda: None)
    for step in range(more):
        knowledge.remember("b", str(step))
    never = map(str, range(-100, 0))
    assert any(knowledge.lacks("a", step) for step in never) == is_known


@pytest.mark.parametrize("packed_bytes_max", [0, ENOUGH])
@pytest.mark.parametrize("keys_max", [1, KEYS_MAX])
def test_a_key_without_chunks_is_known_again_when_it_is_used(
    packed_bytes_max: int, keys_max: int
) -> None:
    """Else each step of a key that came before 8 million others would be asked for."""
    knowledge = Knowledge(packed_bytes_max, keys_max, STEPS_MAX)
    flink: dict[str, bytes | None] = {}

    def use(key: str) -> Kept:
        return knowledge.of(key, lambda: flink.get(key))

    use("a").names.append("1")
    knowledge.remember("a", "1")
    flink["a"] = use("a").changed()
    for step in range(3 * STEPS_MAX):
        use("b")
        knowledge.remember("b", str(step))
    use("a")
    assert not knowledge.lacks("a", "1")
    never = map(str, range(-100, 0))
    assert any(knowledge.lacks("a", step) for step in never)


def test_of_a_key_that_has_nothing_nothing_is_packed() -> None:
    knowledge, read = Knowledge(ENOUGH, 1, 8), list[str]()

    def use(key: str) -> Kept:
        return knowledge.of(key, lambda: read.append(key))  # type: ignore[func-returns-value]

    use("a").entity = {"credit": 1}
    use("b")
    assert use("a").entity == {"credit": 1}
    use("a").entity = None
    assert use("a").changed() is None
    use("b")
    assert use("a").entity is None
    assert read == ["a", "b", "b", "a"]
