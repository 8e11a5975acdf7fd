from collections import Counter

import pytest

from bench.costs.table import GENERATOR, TOTAL, Window, costs, table
from bench.costs.threads import COMPILERS, REST

WINDOW = Window(
    1000,
    2.0,
    Counter(
        {
            ("gateway", REST): 50_000_000,
            ("kafka", REST): 30_000_000,
            ("kafka", COMPILERS): 7_000_000,
            (GENERATOR, REST): 90_000_000,
        }
    ),
)


def scaled(factor: float, requests: int = 1000) -> Window:
    spent = Counter({key: round(ns * factor) for key, ns in WINDOW.spent.items()})
    return Window(requests, 2.0, spent)


def test_compilers_and_the_generator_are_no_part_of_the_total():
    assert costs(WINDOW) == pytest.approx(
        {
            ("gateway", ""): 50,
            ("gateway", REST): 50,
            ("kafka", ""): 30,
            ("kafka", REST): 30,
            ("kafka", COMPILERS): 7,
            (GENERATOR, ""): 90,
            (GENERATOR, REST): 90,
            (TOTAL, ""): 80,
        }
    )


def test_a_table_of_one_stack_has_medians():
    lines = table(["now"], [[scaled(1)], [scaled(3)], [scaled(1.5)]]).splitlines()
    assert lines[0] == "| CPU µs a request | now |"
    assert "| requests/s | 500 |" in lines
    assert "| **kafka** | 45 |" in lines
    assert "| - compilers | 10 |" in lines
    assert lines.index(f"| **{TOTAL}** | 120 |") < lines.index("| **generator** | 135 |")


def test_a_table_of_two_has_the_median_of_the_rounds_own_ratios():
    rounds = [[scaled(1), scaled(0.5)], [scaled(2), scaled(1.2)], [scaled(4), scaled(3.2)]]
    lines = table(["before", "now"], rounds).splitlines()
    assert lines[0] == "| CPU µs a request | before | now | ratio |"
    assert "| **gateway** | 100 | 60 | 0.60 (0.50 to 0.80) |" in lines


def test_the_ratio_to_nothing_is_unknown():
    nothing = Window(10, 1.0, Counter({("kafka", REST): 0}))
    rounds = [[nothing, Window(10, 1.0, Counter({("kafka", REST): 5_000}))]]
    assert "| **kafka** | 0 | 0 | unknown |" in table(["before", "now"], rounds)
