"""Compares made-up sets of runs, for the tests of comparisons."""

from pathlib import Path
from typing import Any

import jsonschema
import orjson

from bench.compare.budgets import DEFAULT_FILE, Budgets, read_budgets
from bench.compare.comparability import Folders
from bench.compare.comparison import SCHEMA_FILE, compare
from bench.compare.comparison_record import Comparison, MetricRecord
from bench.errors import COMPARISON_EXITS
from bench.records.typed_json import of_plain, to_plain
from support.made_sets import Change, Run, a_set, write_set

BUDGETS = read_budgets(DEFAULT_FILE)
SCHEMA = orjson.loads(SCHEMA_FILE.read_bytes())
jsonschema.Draft202012Validator.check_schema(SCHEMA)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
PAIRS = 14
"""Ten to judge six metrics by, and four that must repeat it."""


def compared(
    folder: Path, a: list[Run], b: list[Run], budgets: Budgets = BUDGETS, **more: Any
) -> Comparison:
    """The comparison of two sets, which is as its schema says."""
    batch = Folders(write_set(folder / "a", a), write_set(folder / "b", b))
    found = compare(batch, budgets, **more)
    written = to_plain(found)
    VALIDATOR.validate(written)
    assert of_plain(Comparison, written) == found
    assert found.exit_code == COMPARISON_EXITS[found.verdict]
    assert str(folder) not in orjson.dumps(written).decode()
    return found


def changed(folder: Path, *changes: Change, pairs: int = PAIRS, **more: Any) -> Comparison:
    """The comparison of runs with runs that the changes were made to."""
    return compared(folder, a_set("A", pairs), a_set("B", pairs, *changes), **more)


def metric(found: Comparison, name: str) -> MetricRecord:
    return next(metric for metric in found.metrics if metric.name == name)
