"""The types of a run's record are those of its schema."""

from copy import deepcopy
from typing import Any

import orjson
import pytest
from support.schema_form import of_schema, of_type

from bench.records.run_files import SCHEMA_FILE
from bench.records.run_record import PERCENTS, SCHEMA_VERSION, Latency, RunRecord

SCHEMA = orjson.loads(SCHEMA_FILE.read_bytes())


def test_the_types_are_those_of_the_schema() -> None:
    assert of_type(RunRecord) == of_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION


def removed(schema: Any) -> None:
    del schema["properties"]["seed"]


def misspelt(schema: Any) -> None:
    schema["$defs"]["latency"]["oneOf"][1]["properties"]["p95"] = {"type": "number"}


def never_null(schema: Any) -> None:
    schema["properties"]["capacity"] = schema["properties"]["capacity"]["oneOf"][1]


def other_type(schema: Any) -> None:
    schema["$defs"]["window"]["properties"]["length_s"]["type"] = "integer"


def not_required(schema: Any) -> None:
    schema["$defs"]["window"]["required"].remove("length_s")


@pytest.mark.parametrize(
    "change",
    [removed, misspelt, never_null, other_type, not_required],
    ids=lambda each: each.__name__,
)
def test_a_schema_that_differs_is_found(change: Any) -> None:
    schema = deepcopy(SCHEMA)
    change(schema)
    assert of_type(RunRecord) != of_schema(schema)


def test_each_quantile_has_its_name() -> None:
    latency = Latency(1, 2, 3, 4, 5, at_least=[])
    assert [latency.of(name) for name in PERCENTS] == [1, 2, 3, 4, 5]
