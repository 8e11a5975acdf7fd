from hypothesis import given
from hypothesis import strategies as st

from system.gateway.memory import Memory


@given(st.lists(st.integers(0, 30).map(str), max_size=100), st.integers(1, 10))
def test_it_is_bounded_and_keeps_the_last_half(ids, half):
    memory = Memory(2 * half, 60)
    for id_ in ids:
        memory.add(id_, f"word of {id_}")
        assert len(memory) <= 2 * half
    assert all(memory.get(id_) == f"word of {id_}" for id_ in ids[-half:])


def test_it_forgets_by_age():
    memory = Memory(100, 10)
    memory.forget(1000)
    memory.add("a", "b")
    memory.forget(1004)
    assert "a" in memory
    memory.forget(1005)
    assert "a" in memory
    memory.forget(1010)
    assert "a" not in memory


def test_what_is_taken_out_is_forgotten():
    memory = Memory(100, 10)
    memory.add("a", "b")
    assert memory.pop("a") == "b"
    assert memory.pop("a") == memory.get("a") == ""
    assert "a" not in memory
