"""What a JSON Schema and a dataclass have in common, in one form: so that the two can be compared.

A form is a scalar's name, {"enum": …}, {"items": form}, {"values": form}, or
{"fields": {key: form}, "required": keys}; one that may be null is {"nullable": form}.
"""

from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from bench.records.typed_json import is_optional, key_of

SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}

Form = Any


def of_type(kind: Any) -> Form:
    if kind in SCALARS:
        return SCALARS[kind]
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        own = fields(kind)
        return {
            "fields": {key_of(each): of_type(hints[each.name]) for each in own},
            "required": {key_of(each) for each in own if not is_optional(each)},
        }
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": set(parts)}
    if origin is UnionType:
        (only,) = (part for part in parts if part is not NoneType)
        return {"nullable": of_type(only)}
    if origin in (list, tuple):
        return {"items": of_type(parts[0])}
    if origin is dict:
        assert parts[0] is str
        return {"values": of_type(parts[1])}
    raise AssertionError(f"{kind} has no place in JSON")


def of_schema(schema: Any, whole: Any = None) -> Form:
    """Raises `AssertionError` for what a dataclass can't say, as keys that are not named."""
    whole = whole or schema
    if "$ref" in schema:
        return of_schema(whole["$defs"][schema["$ref"].removeprefix("#/$defs/")], whole)
    if "const" in schema:
        return of_type(type(schema["const"]))
    if "enum" in schema:
        return {"enum": set(schema["enum"])}
    if "oneOf" in schema:
        null, only = schema["oneOf"]
        assert null == {"type": "null"}
        return {"nullable": of_schema(only, whole)}
    if isinstance(schema["type"], list):
        only, null = schema["type"]
        assert null == "null"
        return {"nullable": of_schema({**schema, "type": only}, whole)}
    if schema["type"] == "array":
        return {"items": of_schema(schema["items"], whole)}
    if "properties" in schema:
        assert schema["additionalProperties"] is False
        parts = schema["properties"].items()
        return {
            "fields": {name: of_schema(part, whole) for name, part in parts},
            "required": set(schema["required"]),
        }
    if schema["type"] == "object":
        return {"values": of_schema(schema["additionalProperties"], whole)}
    assert schema["type"] in SCALARS.values()
    return schema["type"]
