"""This memory of ids is bounded, and also forgets by age."""


class Memory:
    """It remembers at least the last `size_max / 2` ids, at most `size_max`. What is over `age_s`
    old goes as somebody calls `forget`.

    With each id it remembers a word. Two generations instead of a queue: adding is one insertion
    into a dictionary, and forgetting drops half of the memory at once.
    """

    __slots__ = ("_age_s", "_new", "_old", "_size_max", "_turn_s")

    def __init__(self, size_max: int, age_s: float) -> None:
        self._size_max = size_max
        self._age_s = age_s
        self._new: dict[str, str] = {}
        self._old: dict[str, str] = {}
        self._turn_s = 0.0

    def __len__(self) -> int:
        return len(self._new.keys() | self._old.keys())

    def __contains__(self, id_: str) -> bool:
        return id_ in self._new or id_ in self._old

    def get(self, id_: str) -> str:
        """`get` returns the word that came with an id; "" where there was none."""
        return self._new.get(id_) or self._old.get(id_, "")

    def add(self, id_: str, word: str) -> None:
        if 2 * len(self._new) >= self._size_max:
            self._turn()
        self._old.pop(id_, None)
        self._new[id_] = word

    def pop(self, id_: str) -> str:
        """`pop` forgets an id, and returns its word."""
        word = self.get(id_)
        self._new.pop(id_, None)
        self._old.pop(id_, None)
        return word

    def forget(self, now_s: float) -> None:
        """`forget` drops what is older than `age_s`; somebody must call it now and then."""
        if now_s - self._turn_s >= self._age_s / 2:
            self._turn_s = now_s
            self._turn()

    def _turn(self) -> None:
        self._old, self._new = self._new, {}
