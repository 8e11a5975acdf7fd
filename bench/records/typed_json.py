"""Frozen dataclasses become JSON, and JSON becomes them again.

A field's key is its name, or the ``key`` of its metadata where that is no name of Python. One whose
metadata say ``optional`` may be missing; where it is, it has its default. What is read has been
checked against a schema before, so nothing is checked here.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import orjson

from bench.errors import UnreadableError

T = TypeVar("T")


def key_of(one: "Field[Any]") -> str:
    return str(one.metadata.get("key", one.name))


def is_optional(one: "Field[Any]") -> bool:
    return bool(one.metadata.get("optional"))


def to_plain(value: Any) -> Any:
    """`to_plain` returns what JSON knows: objects, lists and scalars."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            key_of(each): to_plain(found)
            for each in fields(value)
            if not _is_default(each, found := getattr(value, each.name))
        }
    if isinstance(value, Mapping):
        return {name: to_plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    return value


def _is_default(one: "Field[Any]", value: Any) -> bool:
    if not is_optional(one):
        return False
    default = one.default if one.default_factory is MISSING else one.default_factory()
    return bool(value == default)


def of_plain(kind: type[T], plain: Any) -> T:
    """`of_plain` returns the `kind` that `to_plain` made `plain` of."""
    found: T = _read(kind, plain)
    return found


def read_plain(kind: type[T], path: Path, error: type[UnreadableError], what: str) -> T:
    """`read_plain` reads the `kind` in a JSON file that no schema has checked. It raises `error`,
    which says `what` the file is where it holds none."""
    try:
        return of_plain(kind, orjson.loads(path.read_bytes()))
    except OSError as cause:
        raise error(f"cannot read {path}: {cause.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise error(f"{path} {what}") from None


def _read(kind: Any, plain: Any) -> Any:
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return kind(
            **{
                each.name: _read(hints[each.name], plain[key_of(each)])
                for each in fields(kind)
                if key_of(each) in plain or not is_optional(each)
            }
        )
    origin, parts = get_origin(kind), get_args(kind)
    if origin is UnionType:
        (only,) = (part for part in parts if part is not NoneType)
        return None if plain is None else _read(only, plain)
    if origin in (list, tuple):
        return origin(_read(parts[0], each) for each in plain)
    if origin is dict:
        return {name: _read(parts[1], each) for name, each in plain.items()}
    return plain


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)
