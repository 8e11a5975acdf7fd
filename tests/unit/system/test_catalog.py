"""What packages may bring, and the one line for each that they may not."""

import re
import sys
from pathlib import Path

import pytest
from support.packages import GREETING, install, points

from system.catalog import NAME_CHARACTERS_MAX, Catalog, CatalogError, catalog, is_name, read
from system.routes import ROUTES, SERVICES


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for packages, forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return tmp_path


def brought(folder: Path) -> Catalog:
    return read(points(folder))


def test_without_packages_there_is_what_this_project_has():
    assert catalog() == ({}, SERVICES, ROUTES)
    assert [catalog().load(name).name for name in SERVICES] == [*SERVICES]


def test_a_package_brings_a_service(folder):
    install(folder, "my-greeting")
    found = brought(folder)
    assert found.services == tuple(sorted((*SERVICES, "greeting")))
    assert [route.path for route in found.routes[len(ROUTES) :]] == ["/greetings/{name}"]
    assert found.load("greeting").methods.keys() == {"greet"}
    assert found.load("user").name == "user"
    assert found.folders() == [folder]


def test_a_module_may_be_one_of_many(folder):
    install(folder, "my-greeting", value="parts.inner.greeting")
    inner = folder / "parts" / "inner"
    inner.mkdir(parents=True)
    (folder / "my_greeting.py").rename(inner / "greeting.py")
    assert brought(folder).folders() == [folder]


def test_two_packages_bring_services_of_their_own(folder):
    install(folder, "my-greeting")
    install(folder, "my-parting", "parting", source=renamed(GREETING))
    assert {"greeting", "parting"} <= {*brought(folder).services}


def renamed(source: str) -> str:
    return re.sub(r"\bgreet\b", "part", source.replace("GREETING", "PARTING")).replace(
        "greeting", "parting"
    )


ROUTE = 'Route("POST", "/greetings/{name}", "greeting", "greet", "name")'


def routes(*written: str) -> str:
    return GREETING.replace(f"({ROUTE},)", f"({', '.join(written)},)")


@pytest.mark.parametrize(
    ("service", "value", "source", "told"),
    [
        ("user", "", GREETING, "not one of claim, echo"),
        ("Greeting", "", GREETING, "the first a letter"),
        ("gateway_out_x", "", GREETING, "not gateway…"),
        ("g" * (NAME_CHARACTERS_MAX + 1), "", GREETING, f"1 to {NAME_CHARACTERS_MAX} characters"),
        ("greeting", "my_greeting:GREETING", GREETING, "not a module"),
        ("greeting", "no_such_module", GREETING, "no_such_module can't be imported (ModuleNot"),
        ("greeting", "", "1 / 0", "can't be imported (ZeroDivisionError: division by zero)"),
        ("greeting", "", "raise ValueError('a\\nb')", "can't be imported (ValueError: a b)"),
        ("greeting", "", "raise SystemExit('set X')", "can't be imported (SystemExit: set X)"),
        ("greeting", "", GREETING.replace("ROUTES", "WAYS"), "ROUTES is not a tuple of routes"),
        ("greeting", "", routes("1"), "ROUTES is not a tuple of routes"),
        ("greeting", "", routes('Route("GET", 1, "a", "b", "c")'), "is not a tuple of routes"),
        ("greeting", "", routes(ROUTE[:-1] + ", 1)"), "ROUTES is not a tuple of routes"),
        ("greeting", "", GREETING.replace("GREETING", "HELLO"), ".GREETING is not a service"),
        ("greeting", "", GREETING.replace('("greeting"', '("hello"'), "service named greeting"),
        ("parting", "", renamed(GREETING).replace('g", "part"', 'g", "go"'), "no method go"),
        ("greeting", "", routes(ROUTE.replace("POST", "get")), "verb is not one of GET"),
        ("greeting", "", routes(ROUTE.replace('"greeting"', '"user"')), "is not greeting"),
        ("greeting", "", routes(ROUTE.replace('"name")', '"id")')), "its key is not name"),
        ("greeting", "", GREETING.replace('"name"', '"amount"'), "its key amount is no id"),
        ("greeting", "", GREETING.replace('"name"', '"request_id"'), "request_id is no id"),
        ("greeting", "", routes(ROUTE[:-1] + ', {"N": Integer(0, 0)})'), "name is not one"),
        ("greeting", "", re.sub(r"\bgreet\b", "pay", GREETING), "another service has a method"),
        ("greeting", "", routes(ROUTE.replace("{name}", "{n}/{n}")), "named twice"),
        ("greeting", "", routes(ROUTE[:-1] + ', {"name": Integer(0, 0)})'), "named twice"),
        ("greeting", "", routes(ROUTE[:-1] + ', {"n": Integer(2, 1)})'), "a limit of its query"),
        ("greeting", "", routes(ROUTE[:-1] + ', {"n": Integer("1", 1)})'), "a limit of its query"),
        ("greeting", "", routes(ROUTE[:-1] + ', {"n": Integer(0.5, 1)})'), "a limit of its query"),
        ("greeting", "", routes(ROUTE.replace("/greetings/", "/")), "begins with a parameter"),
        ("greeting", "", routes(ROUTE.replace("/greetings", "/users")), "begin with /users"),
        ("greeting", "", routes(ROUTE.replace("/greetings", "/health")), "begin with /health"),
        ("greeting", "", routes(ROUTE.replace("/greetings/{name}", "/")), "begin with /"),
        ("greeting", "", routes(ROUTE.replace("/greetings", "greetings")), "is not /segments"),
        ("greeting", "", routes(ROUTE.replace("{name}", "x{name}")), "is not /segments"),
        ("greeting", "", routes(ROUTE, ROUTE.replace("{name}", "{n}")), "it is there twice"),
    ],
)
def test_what_can_not_be_hosted_is_one_line(folder, service, value, source, told):
    source = source.replace("import Route", "import Integer, Route")
    install(folder, "my-greeting", service, value, source)
    with pytest.raises(CatalogError) as failed:
        brought(folder)
    line = str(failed.value)
    assert told in line
    assert line.startswith(f"the service {service} of the package my-greeting: ")
    assert line.endswith("; mend it, or uninstall my-greeting")
    assert "\n" not in line


def test_two_packages_with_one_name_are_told_of_both(folder):
    install(folder, "my-greeting")
    install(folder, "other-greeting", value="my_greeting")
    with pytest.raises(CatalogError, match=r"other-greeting: the package my-greeting brings one"):
        brought(folder)


def test_two_packages_with_one_path_are_told(folder):
    install(folder, "my-greeting")
    install(
        folder, "parting", "parting", source=renamed(GREETING).replace("/partings", "/greetings")
    )
    with pytest.raises(CatalogError, match=r"package parting: .* paths that begin with /greetings"):
        brought(folder)


def test_a_name_has_a_longest_form():
    assert is_name("g" * NAME_CHARACTERS_MAX)
    assert not is_name("g" * (NAME_CHARACTERS_MAX + 1))
    assert not any(map(is_name, ("", "1a", "a-b", "gateway", "gateways", "claim", "routes")))
