"""Who waits longest is found as if each were looked at, each time."""

from hypothesis import given
from hypothesis import strategies as st

from system.gateway.waiting import Waiting


class Waiter:
    def __init__(self) -> None:
        self.since_s: float | None = None
        self.looks = 0

    def waits_since_s(self) -> float | None:
        self.looks += 1
        return self.since_s


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("waits"), st.integers(0, 9)),
        st.tuples(st.just("works"), st.integers(0, 9)),
        st.tuples(st.just("gone"), st.integers(0, 9)),
        st.just(("pop", 0)),
    ),
    max_size=80,
)


@given(STEPS)
def test_the_longest_is_popped_whatever_came_between(steps):
    waiting: Waiting[Waiter] = Waiting()
    everybody = [Waiter() for _ in range(10)]
    for now_s, (step, number) in enumerate(steps):
        if step == "waits" and number < len(everybody):
            everybody[number].since_s = float(now_s)
        elif step == "works" and number < len(everybody):
            everybody[number].since_s = None
        elif step == "gone" and number < len(everybody):
            everybody[number] = Waiter()
        elif step == "pop":
            those = [each for each in everybody if each.since_s is not None]
            expected = min(those, key=lambda each: each.since_s or 0.0, default=None)
            assert waiting.pop_longest(everybody) is expected
            if expected is not None:
                expected.since_s = None


def test_all_are_looked_at_once_for_as_many_as_wait():
    waiting: Waiting[Waiter] = Waiting()
    everybody = [Waiter() for _ in range(1000)]
    for at_s, each in enumerate(everybody):
        each.since_s = float(at_s)
    for expected in everybody:
        assert waiting.pop_longest(everybody) is expected
        expected.since_s = None
    assert sum(each.looks for each in everybody) == 2 * len(everybody)
