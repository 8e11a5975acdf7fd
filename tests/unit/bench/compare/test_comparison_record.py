"""The types of a comparison are those of its schema."""

from support.compared import SCHEMA
from support.schema_form import of_schema, of_type

from bench.compare.comparison_record import SCHEMA_VERSION, VERDICTS, Comparison


def test_the_types_are_those_of_the_schema() -> None:
    assert of_type(Comparison) == of_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION


def test_each_verdict_has_a_word() -> None:
    assert set(VERDICTS) == set(SCHEMA["properties"]["verdict"]["enum"])
