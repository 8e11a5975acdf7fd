"""The values of a workload file are a pure function of n: which one request number n gets.

Nothing is kept of what was drawn: not of a range of a billion, nor of a run of days. Generators
that share a load take every so-manieth number, so no two of them draw the same.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]
RANGE_MAX = 2**62
"""A range has at most this many values: twice as many bits are shuffled as it needs at most, and
they must fit 64."""
ROUNDS = 4
"""The Feistel network has so many rounds: with fewer, neighbours stay near each other."""
_GOLDEN = 0x9E3779B97F4A7C15


class Values(NamedTuple):
    """The values of one name are texts, rows of a file, or a range of integers."""

    rows: Sequence[tuple[str, ...]] = ()
    """A list has rows of one text."""
    columns: tuple[str, ...] = ()
    """The names are those of a row's texts; none for a list."""
    first: int = 0
    size: int = 0
    each_once: bool = False
    """The flag says whether each comes once in as many numbers in a row, shuffled; else each
    draw is independent of those before."""

    def draw(self, numbers: Numbers, key: int) -> list[int]:
        """`draw` returns which value each of these request numbers gets, as an index."""
        if self.each_once:
            drawn = shuffled(numbers, self.size, key)
        else:
            drawn = mix(numbers, key) % np.uint64(self.size)
        return [int(index) for index in drawn.tolist()]

    def texts(self, name: str, index: int) -> Mapping[str, str]:
        """`texts` returns what to write for each place of `name`."""
        if not self.rows:
            return {name: str(self.first + index)}
        if not self.columns:
            return {name: self.rows[index][0]}
        names = (f"{name}.{column}" for column in self.columns)
        return dict(zip(names, self.rows[index], strict=True))


def key_of(seed: int, name: str) -> int:
    """`key_of` returns 64 bits that are another's for any other seed or name."""
    return int.from_bytes(blake2b(f"{seed} {name}".encode(), digest_size=8).digest(), "big")


def mix(numbers: Numbers, key: int | Numbers) -> Numbers:
    """`mix` returns 64 random-looking bits of each number (SplitMix64: Steele, Lea, Flood,
    2014)."""
    bits: Numbers = numbers * np.uint64(_GOLDEN) + np.asarray(key, dtype=np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def fractions(numbers: Numbers, key: int) -> NDArray[np.float64]:
    """`fractions` returns a float from 0 to below 1 for each number."""
    return (mix(numbers, key) >> np.uint64(11)) * 2.0**-53


def shuffled(numbers: Numbers, size: int, key: int) -> Numbers:
    """`shuffled` returns a value below `size` for each number: a permutation of each `size` numbers
    in a row.

    A Feistel network over the next even number of bits, walked until it is inside (Black and
    Rogaway, "Ciphers with Arbitrary Finite Domains", 2002).
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    mask = np.uint64((1 << int(half)) - 1)
    keys = mix(numbers // np.uint64(size), key)
    found = numbers % np.uint64(size)
    outside = np.ones(len(numbers), dtype=bool)
    while outside.any():
        left, right = found[outside] >> half, found[outside] & mask
        for turn in range(ROUNDS):
            left, right = right, left ^ (mix(right, keys[outside] + np.uint64(turn)) & mask)
        found[outside] = left << half | right
        outside = found >= np.uint64(size)
    return found
