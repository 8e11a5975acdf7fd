"""Verdicts: their rules, and how often they are wrong on simulated machines."""

from collections import Counter
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from support.machine_noise import Floats, machine, paired

from bench.compare.verdict import (
    ALPHA,
    Finding,
    MetricVerdict,
    Rule,
    Why,
    aa_spread_of,
    holm_levels,
    judge,
    overall,
    without_interleaving,
)

RULE = Rule(threshold=0.05)
NOISE = [-0.004, -0.003, -0.002, -0.001, 0.001, 0.002, 0.003, 0.004]


def around(shift: float, noise: float = 1.0) -> list[float]:
    return [shift + noise * difference for difference in NOISE]


def find(
    batch: list[float], fresh: list[float] | None = None, rule: Rule = RULE, others: int = 0
) -> Finding:
    """The finding of one metric, among others that do not change."""
    names = ["cpu", *map(str, range(others))]
    batches = {name: batch if name == "cpu" else around(0)[: len(batch)] for name in names}
    rules = dict.fromkeys(names, rule)
    return judge(batches, rules, {"cpu": fresh} if fresh else None)["cpu"]


@pytest.mark.parametrize(
    ("batch", "fresh", "verdict", "why"),
    [
        (around(0), None, "same", "within the threshold"),
        (around(0.02), None, "same", "within the threshold"),
        (around(0.03), None, "inconclusive", "below the threshold"),
        (around(0.03), around(0.03), "inconclusive", "below the threshold"),
        (around(0, 20), None, "inconclusive", "too wide"),
        (around(0.06, 20), None, "inconclusive", "too wide"),
        (around(0.06, 20), around(0.06), "inconclusive", "too wide"),
        (around(0.1), None, "inconclusive", "no fresh batch"),
        (around(0.1), around(0.1)[:3], "inconclusive", "no fresh batch"),
        (around(0.1), around(0.049), "inconclusive", "not repeated"),
        (around(0.1), around(-0.1), "inconclusive", "not repeated"),
        (around(0.1), around(0.07), "regression", "repeated"),
        (around(0.1), around(0.07, 20)[2:6], "regression", "repeated"),
        (around(0.1)[:5], around(0.1), "inconclusive", "too few pairs"),
        (around(0.1)[:1], None, "inconclusive", "too few pairs"),
        ([0.0] * 8, None, "same", "within the threshold"),
        ([0.4] * 8, [0.4] * 4, "regression", "repeated"),
    ],
)
def test_each_way_to_a_verdict(
    batch: list[float], fresh: list[float] | None, verdict: MetricVerdict, why: str
) -> None:
    found = find(batch, fresh)
    assert (found.verdict, found.why) == (verdict, why)
    mirrored = find([-d for d in batch], [-d for d in fresh] if fresh else None)
    opposite = {"regression": "faster", "faster": "regression"}
    assert (mirrored.verdict, mirrored.why) == (opposite.get(verdict, verdict), why)


def test_more_metrics_need_more_pairs() -> None:
    assert find(around(0.1)[:6]).why == "no fresh batch"
    assert find(around(0.1)[:6], others=1).why == "too few pairs"
    assert find(around(0.1)[:8], others=5).why == "no fresh batch"
    assert find(around(0.1)[:8], others=6).why == "too few pairs"


def test_an_alarm_lies_beyond_twice_what_a_commit_differs_from_itself() -> None:
    noisy = Rule(threshold=0.05, aa_spread=0.06)
    assert noisy.alarm == 0.12
    assert find(around(0.11), around(0.11), noisy).why == "below the threshold"
    assert find(around(0.13), around(0.13), noisy).verdict == "regression"
    assert Rule(0.05, 0.01).alarm == 0.05


@pytest.mark.parametrize(
    ("aa_spread", "noise", "why"),
    [
        (0.0, 16, "within the threshold"),
        (0.0, 17, "too wide"),
        (0.02, 9, "within the threshold"),
        (0.02, 11, "too wide"),
        (0.06, 0.1, "too wide"),
    ],
)
def test_a_metric_that_each_start_changes_is_harder_to_call_the_same(
    aa_spread: float, noise: float, why: str
) -> None:
    assert find(around(0.0, noise), rule=Rule(0.05, aa_spread)).why == why


def test_the_spread_of_comparisons_of_a_commit_with_itself() -> None:
    estimates = np.random.default_rng(1).normal(0, 0.02, 4000)
    assert aa_spread_of(list(estimates)) == pytest.approx(0.02, rel=0.05)
    assert aa_spread_of([0.01, -0.01, 0.01, 5.0]) == pytest.approx(0.014826)


@pytest.mark.parametrize(
    ("batch", "why"),
    [
        (around(0.1), "not interleaved"),
        (around(0, 20), "not interleaved"),
        (around(0), "within the threshold"),
        (around(0.1)[:2], "too few pairs"),
    ],
)
def test_without_turns_nothing_but_the_same_can_be_said(batch: list[float], why: str) -> None:
    found = without_interleaving(find(batch, around(0.1)))
    assert found.why == why
    assert (found.verdict == "same") == (why == "within the threshold")


# ---- Holm


def test_a_published_example_of_holm() -> None:
    """p of 0.01, 0.04, 0.03, 0.005: the first and the last are rejected at 5 %."""
    levels = holm_levels([0.01, 0.04, 0.03, 0.005], 0.05)
    assert levels == pytest.approx([1 - 0.05 / 3, 1 - 0.05 / 2, 1 - 0.05 / 2, 1 - 0.05 / 4])


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.sampled_from([0.01, 0.05, 0.2]))
def test_it_is_holms_procedure(sizes: list[int], alpha: float) -> None:
    p_values = [size / 24.5 * alpha for size in sizes]
    rejected = {
        place
        for place, level in enumerate(holm_levels(p_values, alpha))
        if p_values[place] <= (1 - level) * (1 + 1e-9)
    }
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    expected = set()
    for rank, place in enumerate(order):
        if p_values[place] > alpha / (len(order) - rank) * (1 + 1e-9):
            break
        expected.add(place)
    assert rejected == expected


@given(st.lists(st.lists(st.floats(-0.5, 0.5), min_size=8, max_size=8), min_size=1, max_size=6))
def test_metrics_in_another_order_are_judged_alike(batches: list[list[float]]) -> None:
    names = [str(index) for index in range(len(batches))]
    batch = dict(zip(names, batches, strict=True))
    rules = dict.fromkeys(names, RULE)
    backwards = dict(reversed(batch.items()))
    ours, theirs = judge(batch, rules, batch), judge(backwards, rules, backwards)
    if len({found.p_value for found in ours.values()}) == len(ours):
        assert ours == theirs


# ---- all metrics together


def found_as(*verdicts: MetricVerdict) -> dict[str, Finding]:
    finding = find(around(0))
    return {str(n): finding._replace(verdict=verdict) for n, verdict in enumerate(verdicts)}


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        (["same", "same"], "same"),
        (["same", "faster"], "faster"),
        (["same", "inconclusive"], "inconclusive"),
        (["faster", "inconclusive"], "inconclusive"),
        (["regression", "inconclusive"], "regression"),
        (["regression", "faster"], "regression"),
        ([], "inconclusive"),
    ],
)
def test_the_verdict_on_all(verdicts: list[MetricVerdict], verdict: MetricVerdict) -> None:
    findings = found_as(*verdicts)
    assert overall(findings, findings) == verdict


def test_what_is_faster_got_nowhere_surely_worse() -> None:
    found = found_as("faster", "inconclusive")
    for low, verdict in ((-0.01, "faster"), (0.001, "inconclusive")):
        beside = found["1"]._replace(low=low, high=0.3)
        assert overall({"0": found["0"], "1": beside}, ["0"]) == verdict
    same = found["1"]._replace(verdict="same", low=0.001, high=0.002)
    assert overall({"0": found["0"], "1": same}, ["0"]) == "faster", "a change that counts as none"


@pytest.mark.parametrize(
    ("why", "low", "verdict"),
    [
        ("no fresh batch", 0.2, "inconclusive"),
        ("base unknown", 0.2, "inconclusive"),
        ("not interleaved", 0.2, "inconclusive"),
        ("not interleaved", -0.2, "same"),
        ("no fresh batch", -0.2, "same"),  # surely better
        ("not repeated", 0.2, "same"),
        ("below the threshold", 0.2, "same"),
        ("base moved", 0.2, "same"),  # it did as much by itself
    ],
)
def test_nothing_is_the_same_beside_an_alarm_that_nobody_has_refuted(
    why: Why, low: float, verdict: MetricVerdict
) -> None:
    """A median latency of twice as much, where no time was left for a fresh batch."""
    found = found_as("same", "inconclusive")
    alarm = found["1"]._replace(why=why, low=low, high=low + 0.1)
    assert overall({"0": found["0"], "1": alarm}, ["0"]) == verdict


def test_a_metric_that_only_alarms_does_not_keep_the_others_from_deciding() -> None:
    assert overall(found_as("same", "inconclusive"), ["0"]) == "same"
    assert overall(found_as("same", "regression"), ["0"]) == "regression"


# ---- error rates on simulated machines; the measured ones are in docs/regressions.md

COMPARISONS = 1000
METRICS, PAIRS, FRESH_PAIRS = 6, 10, 6
RULES = {str(metric): Rule(log(1.05), aa_spread=0.02) for metric in range(METRICS)}
START_SPREAD = 0.01
"""Each start of a process makes it a little faster or slower, for as long as it lives."""


def batches(
    random: np.random.Generator, pairs: int, slower: float, start_spread: float = START_SPREAD
) -> Floats:
    """Shape (comparisons, metrics, pairs); only the first metric is slower.

    The metrics of a run share half of its noise.
    """
    shape = (COMPARISONS, 2 * pairs)
    shared = paired(machine(random, shape))
    own = np.stack([paired(machine(random, shape)) for _ in range(METRICS)], axis=1)
    starts = random.normal(0, start_spread * 2**0.5, (COMPARISONS, METRICS, 1))
    found = (shared[:, None, :] + own) / 2**0.5 + starts
    found[:, 0, :] += np.log1p(slower)
    return found


def verdicts_of(slower: float, seed: int = 1) -> Counter[str]:
    """Of comparisons whose batches are on freshly started processes each."""
    random = np.random.default_rng(seed)
    first, second = batches(random, PAIRS, slower), batches(random, FRESH_PAIRS, slower)
    counted: Counter[str] = Counter()
    for batch, fresh in zip(first, second, strict=True):
        findings = judge(_named(batch), RULES, _named(fresh))
        counted[overall(findings, ["0"])] += 1
    return counted


def _named(batch: Floats) -> dict[str, list[float]]:
    return {str(metric): list(differences) for metric, differences in enumerate(batch)}


def test_a_commit_is_not_slower_than_itself() -> None:
    counted = verdicts_of(slower=0.0)
    assert counted["regression"] <= 0.02 * COMPARISONS
    assert counted["faster"] <= 0.02 * COMPARISONS


def test_ten_percent_more_cpu_are_found() -> None:
    counted = verdicts_of(slower=0.10)
    assert counted["regression"] >= 0.95 * COMPARISONS
    assert counted["faster"] == 0


def test_five_percent_more_cpu_are_never_the_same() -> None:
    counted = verdicts_of(slower=0.05)
    assert counted["same"] <= 0.01 * COMPARISONS
    assert counted["regression"] + counted["inconclusive"] >= 0.99 * COMPARISONS


def test_few_intervals_of_unchanged_metrics_exclude_zero() -> None:
    """What Holm promises, before a fresh batch and thresholds make it rarer still."""
    random, wrong = np.random.default_rng(1), 0
    for batch in batches(random, PAIRS, slower=0.0, start_spread=0.0):
        findings = judge(_named(batch), RULES).values()
        wrong += any(found.low > 0 or found.high < 0 for found in findings)
    assert wrong <= stats.binom(COMPARISONS, ALPHA).isf(1e-6)
