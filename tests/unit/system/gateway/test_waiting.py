"""Who waits longest is found as if each were looked at, each time."""

from hypothesis import given
from hypothesis import strategies as st

from system.gateway.waiting import SILENT_S, Waiting


class Waiter:
    def __init__(self) -> None:
        self.since_s: float | None = None
        self.looks = 0

    def waits_since_s(self) -> float | None:
        self.looks += 1
        return self.since_s


STEPS = st.lists(
    st.tuples(st.sampled_from(["comes", "waits", "works", "gone", "pop"]), st.integers(0, 9)),
    max_size=100,
)


@given(STEPS)
def test_who_makes_room_is_found_whatever_came_between(steps):
    """Against a look at each. A step takes half of the time that somebody may be silent."""
    waiting: Waiting[Waiter] = Waiting()
    everybody = [Waiter() for _ in range(10)]
    silent: dict[Waiter, float] = {}
    for number, (step, place) in enumerate(steps, 1):
        now_s = number * SILENT_S / 2
        one = everybody[place]
        if step == "comes" and one not in silent:
            everybody[place] = one = Waiter()
            waiting.came(one, now_s)
            silent[one] = now_s
        elif step in ("waits", "works"):
            waiting.forget(one)
            silent.pop(one, None)
            one.since_s = now_s if step == "waits" else None
        elif step == "gone":
            waiting.forget(one)
            silent.pop(one, None)
            everybody[place] = Waiter()
        elif step == "pop":
            newcomer = Waiter()
            waiting.came(newcomer, now_s)
            old = [each for each, came_s in silent.items() if now_s - came_s >= SILENT_S]
            waits = sorted(
                (each.since_s, place)
                for place, each in enumerate(everybody)
                if each.since_s is not None
            )
            expected = (
                old[0] if old else everybody[waits[0][1]] if waits else next(iter(silent), None)
            )
            assert waiting.pop_for(newcomer, everybody, now_s) is expected
            waiting.forget(newcomer)
            if expected is not None:
                waiting.forget(expected)
                silent.pop(expected, None)
                expected.since_s = None


def test_all_are_looked_at_once_for_as_many_as_wait():
    waiting: Waiting[Waiter] = Waiting()
    everybody = [Waiter() for _ in range(1000)]
    for at_s, each in enumerate(everybody):
        each.since_s = float(at_s)
    for expected in everybody:
        assert waiting.pop_for(Waiter(), everybody, 2000.0) is expected
        expected.since_s = None
    assert sum(each.looks for each in everybody) == 2 * len(everybody)
