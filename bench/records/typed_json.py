"""Frozen dataclasses become JSON, and JSON becomes them again.

A field's key is its name, or the ``key`` of its metadata where that is no name of Python. One whose
metadata say ``optional`` may be missing; where it is, it has its default. What is read has been
checked against a schema before, so nothing is checked here.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

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
    found: T = _reader(cast(Any, kind))(plain)
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


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """What makes a value of the kind: it looks at the type once, and a run has thousands of
    values."""
    if isinstance(kind, type) and is_dataclass(kind):
        return _record_reader(kind)
    origin, parts = get_origin(kind), get_args(kind)
    if origin is UnionType:
        (only,) = (_reader(part) for part in parts if part is not NoneType)
        return lambda plain: None if plain is None else only(plain)
    if origin in (list, tuple):
        item = _reader(parts[0])
        return lambda plain: origin(map(item, plain))
    if origin is dict:
        item = _reader(parts[1])
        return lambda plain: {name: item(each) for name, each in plain.items()}
    return _as_it_is


def _record_reader(kind: type) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    parts = [
        (each.name, key_of(each), is_optional(each), _reader(hints[each.name]))
        for each in fields(kind)
    ]

    def read(plain: Any) -> Any:
        given = {
            name: part(plain[key])
            for name, key, may_be_missing, part in parts
            if key in plain or not may_be_missing
        }
        return kind(**given)

    return read


def _as_it_is(plain: Any) -> Any:
    return plain
