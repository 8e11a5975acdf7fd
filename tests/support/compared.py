"""Compares made-up sets of runs, for the tests of comparisons."""

import argparse
from pathlib import Path
from typing import Any

import jsonschema
import orjson

from bench.cli.compare import COMMANDS, add_commands
from bench.compare.budgets import DEFAULT_FILE, Budgets, read_budgets
from bench.compare.comparison import EXIT_CODES, SCHEMA_FILE, Comparison, compare
from support.made_sets import Change, Run, a_set, write_set

BUDGETS = read_budgets(DEFAULT_FILE)
SCHEMA = orjson.loads(SCHEMA_FILE.read_bytes())
PAIRS = 14
"""Ten to judge six metrics by, and four that must repeat it."""


def compared(
    folder: Path, a: list[Run], b: list[Run], budgets: Budgets = BUDGETS, **more: Any
) -> Comparison:
    """The comparison of two sets, which is as its schema says."""
    a_folder, b_folder = write_set(folder / "a", a), write_set(folder / "b", b)
    found = compare(a_folder, b_folder, budgets, **more)
    jsonschema.validate(orjson.loads(orjson.dumps(found)), SCHEMA)
    assert found["exit_code"] == EXIT_CODES[found["verdict"]]
    assert str(folder) not in orjson.dumps(found).decode()
    return found


def changed(folder: Path, *changes: Change, pairs: int = PAIRS, **more: Any) -> Comparison:
    """The comparison of runs with runs that the changes were made to."""
    return compared(folder, a_set("A", pairs), a_set("B", pairs, *changes), **more)


def metric(found: Comparison, name: str) -> dict[str, Any]:
    return next(metric for metric in found["metrics"] if metric["name"] == name)


def called(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(dest="command", required=True))
    args = parser.parse_args(arguments)
    return COMMANDS[args.command](args)
