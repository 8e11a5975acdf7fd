"""Which tests run in turns, because they share what is started once in a run.

pytest-xdist's controller knows tests by their ids only, so this reads the tests' sources. (Its own
groups are written into the ids, which pytest 9.2 does not allow any more.)
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

SHARED = ("stack", "bootstrap_servers", "browser", "worktrees")
"""Fixtures of which there is one in a whole run. All tests that use it, be it through other
fixtures, are a group of its name. Any other test shares nothing: what it starts is its own."""

Parameters = Mapping[str, tuple[str, ...]]
"""The parameters of each function of a file, which are the fixtures that it uses."""


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """The scheduler: the largest group first, then the tests that share nothing, as they come."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """`group_of` returns a test's group, which is its own id where it shares nothing."""
    file, *_, test = nodeid.split("[")[0].split("::")
    used = set(_fixtures(test, _visible(Path(file))))
    return next((name for name in SHARED if name in used), nodeid)


def _fixtures(name: str, functions: Parameters) -> Iterator[str]:
    for parameter in functions.get(name, ()):
        yield parameter
        if parameter not in SHARED:
            yield from _fixtures(parameter, functions)


@cache
def _visible(file: Path) -> Parameters:
    """Of a test file, and of the conftest.py of each folder above it."""
    above = [parent / "conftest.py" for parent in reversed(file.parents)]
    found: dict[str, tuple[str, ...]] = {}
    for path in [*above, file]:
        found |= _parameters(path)
    return found


@cache
def _parameters(path: Path) -> Parameters:
    if not path.exists():
        return {}
    return {
        node.name: tuple(argument.arg for argument in node.args.args)
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
