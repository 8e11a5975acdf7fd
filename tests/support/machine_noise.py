"""Made-up noise of a machine, as the logarithm of what its runs take: shape (simulations, runs)."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.regression.stopping_rule import turns

Floats = NDArray[np.float64]


def autocorrelated(random: np.random.Generator, shape: tuple[int, int], phi: float) -> Floats:
    """Of first order, with variance 1: a machine that stays slow or fast for a while."""
    steps = random.standard_normal(shape)
    noise = np.empty(shape)
    noise[:, 0] = steps[:, 0]
    for place in range(1, shape[1]):
        noise[:, place] = phi * noise[:, place - 1] + (1 - phi**2) ** 0.5 * steps[:, place]
    return noise


def paired(noise: Floats, seed: int = 1) -> Floats:
    """B minus A of each pair of runs that take turns: (simulations, runs) to (…, runs / 2)."""
    simulations, runs = noise.shape
    signs = np.array([_signs(runs // 2, seed + index) for index in range(simulations)])
    differences: Floats = signs * (noise[:, 1::2] - noise[:, ::2])
    return differences


@cache  # thousands of simulations begin with the same seed
def _signs(rounds: int, seed: int) -> list[float]:
    return [1.0 if order[0] == "A" else -1.0 for order in turns("AB", rounds, seed)]


def quiet_machine(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Nobody else is on it: 0.8 % from run to run, 0.8 % that lasts, few outliers of 3 to 8 %."""
    heavy = random.standard_t(3, shape) / 3**0.5
    spikes = (random.random(shape) < 0.02) * random.uniform(0.03, 0.08, shape)
    noise: Floats = 0.008 * heavy + 0.008 * autocorrelated(random, shape, 0.5) + spikes
    return noise


def machine(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Like CPU time per request on a shared machine of two cores, one start of a stack a row.

    A spread of 2 % from run to run with heavy tails, 2 % that lasts for a while, and one run in
    fifty that something else makes 5 to 15 % slower.
    """
    heavy = random.standard_t(3, shape) / 3**0.5
    spikes = (random.random(shape) < 0.02) * random.uniform(0.05, 0.15, shape)
    noise: Floats = 0.02 * heavy + 0.02 * autocorrelated(random, shape, 0.7) + spikes
    return noise
