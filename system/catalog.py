"""The catalog says which services there are: this project's own, and what installed packages bring.

A package brings one by an entry point, ``greeting = "greeting_service"``, of the group
`kaflinkshop.services`. That module has the service under its own name in capitals, as a module of
`system.services` does, and its routes as ROUTES.
"""

import importlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import NamedTuple

from machine.errors import StackError
from system.routes import AMOUNT, OWN, OWN_ROUTES, ROUTES, SERVICES, Integer, Route
from system.service import Service
from system.wire import AMOUNT_MAX

GROUP = "kaflinkshop.services"
"""Packages bring services by entry points of this group."""
NAME_CHARACTERS_MAX = 48
"""A service's name has at most so many characters: with a prefix it is the name of a topic, which
has 249 at most."""
NAME = re.compile(rf"(?!{OWN})[a-z][a-z0-9_]{{0,{NAME_CHARACTERS_MAX - 1}}}")
"""The names of services have this form. Those of reply topics begin as the gateway's name does."""
TAKEN = (*SERVICES, "routes")
"""A package's service has another name: ROUTES is not a service but its routes."""
NAME_RULE = (
    f"1 to {NAME_CHARACTERS_MAX} characters of [a-z0-9_], the first a letter, not {OWN}… and not "
    f"one of {', '.join(TAKEN)}"
)
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+|\{[a-z][a-z0-9_]*\}")


class CatalogError(StackError):
    """A package brings a service that can't be hosted; the message names the package."""


class Catalog(NamedTuple):
    """The catalog has all services by name, and the routes of those that HTTP can reach."""

    brought: Mapping[str, str]
    """Services that packages bring lead to their modules."""
    services: tuple[str, ...]
    routes: tuple[Route, ...]

    def load(self, name: str) -> Service:
        """`load` returns the service of this name; this project's own are imported by and by."""
        module = self.brought.get(name, f"system.services.{name}")
        return _service(importlib.import_module(module), name)

    def folders(self) -> list[Path]:
        """`folders` returns those from which the modules of `brought` were imported: an editable
        install may be known to this process only."""
        tops = [sys.modules[module.partition(".")[0]] for module in self.brought.values()]
        places = {[*getattr(top, "__path__", [top.__file__])].pop() for top in tops}
        return sorted(Path(place).resolve().parent for place in places)


@cache
def catalog() -> Catalog:
    """`catalog` returns the one of this process. It raises `CatalogError`."""
    return read(entry_points(group=GROUP))


def read(points: Iterable[EntryPoint]) -> Catalog:
    """`read` returns the catalog with what the entry points bring. It raises `CatalogError`."""
    brought: dict[str, str] = {}
    packages: dict[str, str] = {}
    routes = [*ROUTES]
    found = [("unknown" if point.dist is None else point.dist.name, point) for point in points]
    for package, point in sorted(found, key=lambda each: each[0]):
        try:
            if point.name in packages:
                raise _FaultError(f"the package {packages[point.name]} brings one of this name too")
            service, own_routes = _brought(point)
            _check(own_routes, service, [*OWN_ROUTES, *routes])
        except _FaultError as fault:
            raise CatalogError(
                f"the service {point.name} of the package {package}: {fault}; "
                f"mend it, or uninstall {package}"
            ) from None
        brought[point.name], packages[point.name] = point.value, package
        routes += own_routes
    return Catalog(brought, tuple(sorted((*SERVICES, *brought))), tuple(routes))


class _FaultError(Exception):
    """The message says what is wrong with a service."""


def _brought(point: EntryPoint) -> tuple[Service, tuple[Route, ...]]:
    """The service and the routes of the module. Raises `_FaultError`."""
    if not is_name(point.name):
        raise _FaultError(f"a name is {NAME_RULE}")
    if not re.fullmatch(r"[\w.]+", point.value):
        raise _FaultError(f"its entry point is {point.value!r}, not a module")
    try:
        module = importlib.import_module(point.value)
    except (Exception, SystemExit) as cause:  # noqa: BLE001 (whatever it is, it is the package's)
        what = " ".join(f"{type(cause).__name__}: {cause}".split())
        raise _FaultError(f"{point.value} can't be imported ({what})") from None
    return _service(module, point.name), _routes(module)


def refusal(name: str, module: object) -> str | None:
    """`refusal` returns why a package of the module would break every stack that has it; None where
    all that there is already leaves room for it."""
    if name in catalog().brought:
        return "a package brings one of this name"
    try:
        service = _service(module, name)
        _check(_routes(module), service, [*OWN_ROUTES, *catalog().routes])
    except _FaultError as fault:
        return str(fault)
    return None


def is_name(text: str) -> bool:
    """`is_name` returns whether a package may bring a service of this name."""
    return NAME.fullmatch(text) is not None and text not in TAKEN


def _routes(module: object) -> tuple[Route, ...]:
    routes = getattr(module, "ROUTES", None)
    if not isinstance(routes, tuple) or not all(map(_is_route, routes)):
        where = getattr(module, "__name__", module)
        raise _FaultError(f"{where}.ROUTES is not a tuple of routes")
    return routes


def _service(module: object, name: str) -> Service:
    service = getattr(module, name.upper(), None)
    if not isinstance(service, Service) or service.name != name:
        where = getattr(module, "__name__", module)
        raise _FaultError(f"{where}.{name.upper()} is not a service named {name}")
    return service


def _check(routes: Iterable[Route], service: Service, others: Sequence[Route]) -> None:
    """Raises `_FaultError` for the first route that is wrong, or not the service's own."""
    taken = {_segments(route.path)[0] for route in others}
    methods = {route.method for route in others}
    seen = set()
    for route in routes:
        first, *_ = segments = _segments(route.path)
        names = [segment for segment in [*segments, *(f"{{{name}}}" for name in route.query)]
                 if segment.startswith("{")]  # fmt: skip
        shape = (route.verb, *("{}" if segment[:1] == "{" else segment for segment in segments))
        wrong = {
            f"its verb is not one of {', '.join(VERBS)}": route.verb not in VERBS,
            f"its service is not {service.name}": route.service != service.name,
            f"there is no method {route.method}": route.method not in service.methods,
            "another service has a method of this name": route.method in methods,
            f"its key is not {service.key}": route.key != service.key,
            "a parameter is named twice": len({*names}) < len(names),
            f"its key {route.key} is no id": route.key in (AMOUNT, "request_id", *route.query),
            "a parameter's name is not one": not all(map(_SEGMENT.fullmatch, names)),
            "a limit of its query is not one": not all(map(_is_query, route.query.values())),
            "its path begins with a parameter": first.startswith("{"),
            f"another service has paths that begin with /{first}": first in taken,
            "it is there twice": shape in seen,
        }  # fmt: skip
        for why, holds in wrong.items():
            if holds:
                raise _FaultError(f"the route {route.verb} {route.path}: {why}")
        seen.add(shape)


def _segments(path: str) -> list[str]:
    segments = path.removeprefix("/").split("/")
    if path != "/" and not (path[:1] == "/" and all(map(_SEGMENT.fullmatch, segments))):
        raise _FaultError(f"the path {path!r} is not /segments of [A-Za-z0-9._~-] or {{names}}")
    return segments


def _is_route(found: object) -> bool:
    if not isinstance(found, Route) or not isinstance(found.query, Mapping):
        return False
    return all(isinstance(text, str) for text in (*found[:-1], *found.query))


def _is_query(found: object) -> bool:
    if not isinstance(found, Integer) or not all(type(each) is int for each in found):
        return False
    return 0 <= found.minimum <= found.default <= AMOUNT_MAX
