from hypothesis import given
from hypothesis import strategies as st

from system.gateway.memory import Memory


@given(st.lists(st.integers(0, 30).map(str), max_size=100), st.integers(1, 10))
def test_it_is_bounded_and_keeps_the_last_half(ids, half):
    memory = Memory(2 * half, 60)
    for id_ in ids:
        memory.add(id_)
        assert len(memory) <= 2 * half
    assert all(id_ in memory for id_ in ids[-half:])


def test_it_forgets_by_age():
    memory = Memory(100, 10)
    memory.forget(1000)
    memory.add("a")
    memory.forget(1004)
    assert "a" in memory
    memory.forget(1005)
    assert "a" in memory
    memory.forget(1010)
    assert "a" not in memory


def test_discard():
    memory = Memory(100, 10)
    memory.add("a")
    memory.discard("a")
    memory.discard("b")
    assert "a" not in memory
