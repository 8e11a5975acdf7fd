"""What the documents say, compared with what the code does."""

import ast
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from system.gateway.limits import Limits
from system.gateway.router import Router
from system.routes import ROUTES, Integer, Route
from system.services import echo
from system.services.service import handle
from system.wire import HTTP_STATUS, Request, decode

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]

LIMIT = re.compile(r"(^|[_.])(MAX|MIN|S|MS|NS|BYTES|MIB)$")
"""The end of a name that limits something: its bound or its unit."""


def code_blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def rows(page: str) -> Iterator[list[str]]:
    """The cells of each row of each table."""
    for line in (DOCS / page).read_text().splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


# ---- every limit


@cache
def constants(path: Path) -> dict[str, Any]:
    """A module's constants that can be worked out without running it; a class's as Class.NAME."""
    known: dict[str, Any] = {}
    _collect(ast.parse(path.read_text()).body, "", known)
    return known


def _collect(body: list[ast.stmt], prefix: str, known: dict[str, Any]) -> None:
    for node in body:
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            source = ROOT / (node.module.replace(".", "/") + ".py")
            if source.is_file():
                known |= {a.name: constants(source).get(a.name) for a in node.names}
        elif isinstance(node, ast.ClassDef):
            _collect(node.body, f"{node.name}.", known)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id.isupper():
                known[prefix + target.id] = evaluate(node.value, known)


def evaluate(node: ast.expr, known: dict[str, Any]) -> Any:
    """None for what is more than arithmetic with known constants."""
    allowed = {"len": len, "str": str} | {n: v for n, v in known.items() if v is not None}
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    parts = (ast.Attribute, ast.Lambda, ast.Dict, ast.Subscript, ast.GeneratorExp)
    if names <= allowed.keys() and not any(isinstance(part, parts) for part in ast.walk(node)):
        return eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}, **allowed})
    return None


def numbers() -> dict[tuple[str, str], int | float]:
    """(file, name) → value of every number that the code names."""
    found = {
        ("system/gateway/limits.py", field.name): field.default
        for field in Limits.__dataclass_fields__.values()
    }
    for package in ("machine", "system", "bench"):
        for path in sorted((ROOT / package).rglob("*.py")):
            own = {name for name in constants(path) if not _is_imported(path, name)}
            for name in sorted(own):
                value = constants(path)[name]
                if isinstance(value, int | float) and not isinstance(value, bool):
                    found[str(path.relative_to(ROOT)), name] = value
    return found


@cache
def _imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}


def _is_imported(path: Path, name: str) -> bool:
    return name in _imported(path)


def shown(value: int | float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def described() -> dict[tuple[str, str], str]:
    return {
        (where.strip("`"), name.strip("`")): value
        for name, value, where, *_ in rows("limits.md")
        if name.startswith("`")
    }


def test_every_limit_is_described_with_its_value():
    table = described()
    limits = {
        (file, name): shown(value)
        for (file, name), value in numbers().items()
        if file == "system/gateway/limits.py" or LIMIT.search(name)
    }
    missing = [
        f"| `{name}` | {value} | `{file}` | why |"
        for (file, name), value in limits.items()
        if table.get((file, name)) != value
    ]
    assert not missing, "rows for docs/limits.md:\n" + "\n".join(missing)


def test_every_described_limit_is_one():
    found = {place: shown(value) for place, value in numbers().items()}
    assert [place for place, value in described().items() if found.get(place) != value] == []


def test_every_described_limit_has_a_reason():
    assert [row for row in rows("limits.md") if len(row) != 4 or len(row[3]) < 3] == []


# ---- the worked example


def example() -> tuple[ModuleType, Route]:
    """The service and the route of docs/add-a-service.md, loaded from its text."""
    source, line = code_blocks("add-a-service.md", "python")[2:4]
    module = ModuleType("greeting")
    exec(source, module.__dict__)
    route = eval(line.strip().rstrip(","), {"Route": Route, "Integer": Integer})
    assert isinstance(route, Route)
    return module, route


def test_the_echo_service_is_as_printed():
    source, line, *_ = code_blocks("add-a-service.md", "python")
    assert source == inspect.getsource(echo)
    assert line in inspect.getsource(importlib.import_module("system.routes"))


def test_the_example_works():
    module, route = example()
    service = getattr(module, route.service.upper())
    assert service.name == route.service
    router = Router((*ROUTES, route))
    entity, memory = None, {}

    def ask(request_id: str, target: str) -> dict[str, Any]:
        nonlocal entity
        found, params = router.match(route.verb, target)
        assert found is route
        request = Request(request_id, "gateway_out_test", found.method, params)
        effect = handle(service, entity, memory.get, request)
        entity = effect.entity
        memory.update(effect.memory)
        (record,) = effect.records
        assert record.topic == "gateway_out_test"
        return decode(record.value)

    first = ask("r1", "/greetings/ada/2")
    assert first == {"request_id": "r1", "name": "ada", "greetings": 2}
    assert ask("r1", "/greetings/ada/2") == first
    assert ask("r2", "/greetings/ada/1") == {"request_id": "r2", "name": "ada", "greetings": 3}
    assert ask("r3", "/greetings/ada/1000")["error"]["code"] == "limit_reached"
    assert ask("r4", "/greetings/ada/1")["greetings"] == 4


# ---- dependencies, errors, links


def test_every_dependency_is_described_with_its_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    table = {cells[0].strip("`"): cells for cells in rows("dependencies.md")}
    names = {re.split("[=><]", wish)[0]: wish.partition("==")[2] for wish in wanted}
    assert sorted(names.keys() - table.keys()) == []
    assert {name: version for name, version in names.items() if version} == {
        name: table[name][1] for name, version in names.items() if version
    }


def fixed_text(message: ast.expr) -> list[str]:
    """The parts of an error message that do not depend on a value, the words of each."""
    parts = ast.walk(message)
    texts = [p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)]
    return [text.strip(" :,;([])") for text in texts if len(text.split()) > 1]


def error_texts() -> Iterator[tuple[str, str]]:
    """What each StackError and StartError of the sources says."""
    for path in sorted((ROOT / "system").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("StackError", "StartError")
                and node.args
            ):
                yield from ((path.name, text) for text in fixed_text(node.args[0]))


def test_every_error_of_a_start_has_its_remedy():
    page = " ".join((DOCS / "troubleshooting.md").read_text().split())
    missing = [text for text in error_texts() if " ".join(text[1].split()) not in page]
    assert not missing, f"rows for docs/troubleshooting.md: {missing}"


def test_every_error_code_is_described():
    page = (DOCS / "semantics.md").read_text()
    assert [code for code in HTTP_STATUS if f"`{code}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_the_readme_has_one_place_for_results():
    text = (ROOT / "README.md").read_text()
    assert text.count("<!-- result:begin -->") == text.count("<!-- result:end -->") == 1
    assert text.index("<!-- result:begin -->") < text.index("<!-- result:end -->")


def test_every_page_is_linked_from_the_readme():
    text = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES[1:] if f"(docs/{page.name})" not in text] == []


def test_the_limits_table_would_show_a_wrong_value(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("A_MAX = 2**3\nB_S = A_MAX * 1.5\nclass C:\n    D_MIN = 4\nE = object()\n")
    assert constants(path) == {"A_MAX": 8, "B_S": 12.0, "C.D_MIN": 4, "E": None}
