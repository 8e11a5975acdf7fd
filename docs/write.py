"""This program writes what the documents say of the code, from the code:

``nox -s docs``.

docs/limits.md names every limit with its value and the docstring that stands below it;
docs/layout.md has the tree of the sources with the first sentence of each module; docs/commands.md
has the exit codes. A test fails where a page is stale.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("machine", "system", "bench", "locustfiles")
GATEWAY_OPTIONS = "system/gateway/limits.py"

LIMIT = re.compile(r"(^|[_.])(MAX|MIN|S|MS|NS|BYTES|MIB)$")
"""A name that limits something ends like this: in its bound or its unit."""


class Limit(NamedTuple):
    """A limit is a named number of the code; `why` is the docstring below it, empty where there is
    none."""

    file: str
    name: str
    value: int | float
    why: str

    def __str__(self) -> str:
        value = f"{self.value:,}" if isinstance(self.value, int) else f"{self.value:g}"
        return f"| `{self.name}` | {value} | {self.why} |"


# ---- limits


def limits(root: Path = ROOT) -> list[Limit]:
    """`limits` returns every limit of the sources, a file's in the order of its lines."""
    found = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            file = path.relative_to(root).as_posix()
            found += gateway_options(path, file) if file == GATEWAY_OPTIONS else of_file(path, file)
    return found


def of_file(path: Path, file: str) -> list[Limit]:
    known = constants(path)
    return [
        Limit(file, name, value, why)
        for name, why in own_constants(ast.parse(path.read_text()).body, "")
        if isinstance(value := known.get(name), int | float) and LIMIT.search(name)
    ]


def own_constants(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    """`own_constants` yields the names of constants with their docstrings; a class's as
    Class.NAME."""
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef):
            yield from own_constants(node.body, f"{node.name}.")
        elif (name := _assigned(node) or "").isupper():
            yield prefix + name, _docstring(after)


def gateway_options(path: Path, file: str) -> list[Limit]:
    """`gateway_options` returns the fields of `Limits`: options of the gateway's command, each with
    its help."""
    known = constants(path)
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call):
            default, why = (evaluate(argument, known) for argument in node.value.args)
            found.append(Limit(file, ast.unparse(node.target), default, f"{why}."))
    return found


@cache
def constants(path: Path) -> dict[str, Any]:
    """`constants` returns what of a module can be worked out without running it; a class's as
    Class.NAME."""
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
        elif (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and node.value is not None
            and (name := _assigned(node) or "").isupper()
        ):
            known[prefix + name] = evaluate(node.value, known)


def evaluate(node: ast.expr, known: dict[str, Any]) -> Any:
    """`evaluate` returns the value, or None for what is more than arithmetic with known
    constants."""
    allowed = {"len": len, "str": str} | {n: v for n, v in known.items() if v is not None}
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    parts = (ast.Attribute, ast.Lambda, ast.Dict, ast.Subscript, ast.GeneratorExp)
    if names <= allowed.keys() and not any(isinstance(part, parts) for part in ast.walk(node)):
        return eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}, **allowed})
    return None


def _assigned(node: ast.stmt) -> str | None:
    target = None
    if isinstance(node, ast.Assign):
        target = node.targets[0]
    elif isinstance(node, ast.AnnAssign):
        target = node.target
    return target.id if isinstance(target, ast.Name) else None


def _docstring(node: ast.stmt | None) -> str:
    """On one line, fit for a table's cell."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return " ".join(str(node.value.value).split()).replace("|", "\\|")
    return ""


def limits_tables(root: Path = ROOT) -> str:
    """`limits_tables` returns a table for each file, under its path."""
    tables: dict[str, list[str]] = {}
    for limit in limits(root):
        head = [f"### `{limit.file}`", "", "| name | value | why |", "| --- | --- | --- |"]
        tables.setdefault(limit.file, head).append(str(limit))
    return "\n\n".join("\n".join(table) for table in tables.values())


# ---- exit codes


def exits_table(root: Path = ROOT) -> str:
    """`exits_table` lists the members of `bench.errors.ExitCode`, each with the docstring below
    it."""
    path = root / "bench" / "errors.py"
    known, lines = constants(path), ["| exit code | name | meaning |", "| --- | --- | --- |"]
    for name, why in own_constants(ast.parse(path.read_text()).body, ""):
        kind, _, member = name.partition(".")
        if kind == "ExitCode":
            lines.append(f"| {known[name]} | {member.lower().replace('_', ' ')} | {why} |")
    return "\n".join(lines)


# ---- the tree


def tree(root: Path = ROOT) -> str:
    """`tree` draws packages and modules with the first line of their docstrings; other sources by
    name."""
    lines: list[str] = []
    for package in PACKAGES:
        _draw(root / package, 0, lines)
    return "\n".join(["```text", *lines, "```"])


def _draw(folder: Path, depth: int, lines: list[str]) -> None:
    lines.append(_line(f"{folder.name}/", depth, _summary(folder / "__init__.py")))
    files = [path for path in sorted(folder.iterdir()) if _is_source(path)]
    for path in files:
        if path.is_file() and path.name != "__init__.py":
            lines.append(_line(path.name, depth + 1, _summary(path)))
    for path in files:
        if path.is_dir():
            _draw(path, depth + 1, lines)


def _is_source(path: Path) -> bool:
    return not path.name.startswith((".", "__pycache__"))


def _line(name: str, depth: int, summary: str) -> str:
    return f"{'  ' * depth}{name:<{26 - 2 * depth}} {summary}".rstrip()


def _summary(path: Path) -> str:
    if path.suffix != ".py" or not path.exists():
        return ""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


# ---- pages


def page(text: str, **parts: str) -> str:
    """`page` returns the text with what stands between ``<!-- NAME:begin -->`` and its end made
    anew."""
    for name, content in parts.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"no {begin} with its end")
        text = f"{before}{begin}\n{content}\n{end}{after}"
    return text


def pages(root: Path = ROOT) -> dict[Path, str]:
    """`pages` returns each generated page → its text as the code is now."""
    made = {
        "limits.md": {"limits": limits_tables(root)},
        "layout.md": {"tree": tree(root)},
        "commands.md": {"exits": exits_table(root)},
    }
    files = {root / "docs" / name: parts for name, parts in made.items()}
    return {path: page(path.read_text(), **parts) for path, parts in files.items()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
