"""The router leads from an HTTP verb and target to a route and its validated parameters."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from system.routes import AMOUNT, OWN, Integer, Route
from system.wire import AMOUNT_MAX, ID_PATTERN, RefusedError

AMOUNT_DIGITS_MAX = len(str(AMOUNT_MAX))
"""The largest amount has this many digits; longer numbers are refused before they are parsed."""
_SCHEME = re.compile(r"https?://[^/]+/?", re.IGNORECASE)


class Match(NamedTuple):
    route: Route
    params: dict[str, Any]


Named = tuple[Route, list[str]]
"""A route has names for the parameters of its path, in their order."""


class _Node:
    """A place in the tree of path segments."""

    __slots__ = ("children", "parameter", "routes")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.routes: dict[str, Named] = {}

    def of(self, verb: str) -> Named | None:
        found = self.routes.get(verb)
        return self.routes.get("GET") if found is None and verb == "HEAD" else found


def _search(node: _Node, segments: list[str], verb: str) -> tuple[Named | None, list[str]]:
    """The route and its values, where the literal segments lead to none: an id may be a word that
    another route has there."""
    if not segments:
        return node.of(verb), []
    first, *rest = segments
    for child, value in ((node.children.get(first), []), (node.parameter, [first])):
        if child is not None:
            found, values = _search(child, rest, verb)
            if found is not None:
                return found, value + values
    return None, []


class Router:
    """The router keeps the routes as a tree: a level for each segment, the verbs at its ends."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            node, names = self._root, []
            for segment in route.path.removeprefix("/").split("/"):
                if segment.startswith("{"):
                    names.append(segment[1:-1])
                    node.parameter = node.parameter or _Node()
                    node = node.parameter
                else:
                    node = node.children.setdefault(segment, _Node())
            if route.verb in node.routes:
                raise ValueError(f"two routes for {route.verb} {route.path}")
            node.routes[route.verb] = (route, names)

    def match(self, verb: str, target: str) -> Match:
        """`match` returns the route and its validated parameters; it raises `RefusedError`:
        not_found without a route, bad_request for a parameter.

        `target` is a path and query, or a whole URL. What is percent-encoded in a path is decoded
        after it was split, so that an encoded slash is a character of its segment.
        """
        path, _, query = target.partition("?")
        if path[:1] != "/":
            path = "/" + absolute_path(path)
        node, values = self._root, []
        segments = path[1:].split("/")
        if "%" in path:
            segments = [*map(unquote, segments)]
        for segment in segments:
            child = node.children.get(segment)
            if child is None:
                child = node.parameter
                if child is None:
                    break
                values.append(segment)
            node = child
        else:
            child = node
        found = None if child is None else child.of(verb)
        if found is None:
            found, values = _search(self._root, segments, verb)
        if found is None:
            raise RefusedError("not_found", "no such route")
        route, names = found
        params: dict[str, Any] = {}
        for name, value in zip(names, values, strict=True):
            if name == AMOUNT:
                params[name] = integer(name, value, 1)
            elif ID_PATTERN.fullmatch(value):
                params[name] = value
            else:
                raise RefusedError(
                    "bad_request", f"{name} is not 1 to 64 characters of [A-Za-z0-9_-]"
                )
        if (query or route.query) and route.service != OWN:
            params.update(query_params(route.query, query))
        return Match(route, params)


def absolute_path(target: str) -> str:
    """`absolute_path` returns the path of a whole URL, without its first slash: what clients send
    to a proxy.

    It raises `RefusedError` for what is neither a path nor a URL.
    """
    scheme = _SCHEME.match(target)
    if scheme is None:
        raise RefusedError("not_found", "no such route")
    return target[scheme.end() :]


def query_params(declared: Mapping[str, Integer], query: str) -> dict[str, int]:
    """`query_params` returns all declared parameters, given or default. It raises `RefusedError`
    for any other query."""
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=len(declared)
        )
    except ValueError:
        pairs = [("", "")]
    given = dict(pairs)
    if len(given) < len(pairs) or not given.keys() <= declared.keys():
        allowed = ", ".join(declared) or "none"
        raise RefusedError(
            "bad_request", f"malformed query; parameters, each at most once: {allowed}"
        )
    return {
        name: integer(name, given[name], kind.minimum) if name in given else kind.default
        for name, kind in declared.items()
    }


def integer(name: str, text: str, minimum: int) -> int:
    """An integer is plain ASCII digits only: what `int` also takes (signs, spaces, underscores) is
    refused."""
    if text.isascii() and text.isdigit() and len(text) <= AMOUNT_DIGITS_MAX:
        value = int(text)
        if minimum <= value <= AMOUNT_MAX:
            return value
    raise RefusedError("bad_request", f"{name} is not an integer from {minimum} to {AMOUNT_MAX}")
