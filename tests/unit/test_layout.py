"""Which part may import which, and how large a file may be. Held by reading the sources only."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_MAX = 400

Names = Callable[[str], bool]


def inside(*packages: str) -> Names:
    return lambda name: any(f"{name}.".startswith(f"{package}.") for package in packages)


def outside(*packages: str) -> Names:
    return lambda name: not inside(*packages)(name)


def both(*conditions: Names) -> Names:
    return lambda name: all(condition(name) for condition in conditions)


# What a rule forbids: importers on the left, what they import on the right.
RULES: dict[str, tuple[Names, Names]] = {
    "the system does not know what measures it": (
        inside("system"),
        inside("bench", "locustfiles", "tests"),
    ),
    "the gateway stands alone": (
        inside("system.gateway"),
        inside("system.services", "system.flink_job", "system.runtime"),
    ),
    "services stand alone": (inside("system.services"), inside("system.gateway", "system.runtime")),
    "the runtime starts the other parts as processes": (
        inside("system.runtime"),
        inside("system.gateway", "system.services"),
    ),
    "a service imports no service": (
        inside("system.services"),
        both(
            inside("system.services"),
            outside("system.services.service", "system.services.saga"),
        ),
    ),
    "one module imports PyFlink": (
        both(inside("system", "bench", "locustfiles"), outside("system.flink_job.pipeline")),
        inside("pyflink", "py4j"),
    ),
    "aiokafka is behind one module of the gateway, one of the runtime and one of the bench": (
        both(
            inside("system", "bench", "locustfiles"),
            outside("system.gateway.kafka", "system.runtime.topics", "bench.probes.kafka_link"),
        ),
        inside("aiokafka"),
    ),
    "Locust patches its whole process": (
        both(
            inside("system", "bench"),
            outside("bench.generator.locust_users", "bench.generator.locust_open_loop"),
        ),
        inside("locust", "gevent", "geventhttpclient"),
    ),
    "the bench sees the wire, the routes and the runtime": (
        inside("bench", "locustfiles"),
        inside("system.gateway", "system.services"),
    ),
}


def modules(root: Path) -> dict[str, Path]:
    """Dotted name → file, of all packages whose imports have rules."""
    found = {}
    for package in ("machine", "system", "bench", "locustfiles"):
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(name: str, path: Path, known: Iterable[str]) -> Iterator[str]:
    """The dotted names that a module imports, at any depth of its code."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in known else base


def broken_rules(root: Path) -> list[str]:
    known = modules(root)
    return [
        f"{importer} imports {target}: {rule}"
        for importer, path in sorted(known.items())
        for target in sorted(set(imports(importer, path, known)))
        for rule, (importers, targets) in RULES.items()
        if importers(importer) and targets(target)
    ]


def too_long(files: Iterable[Path]) -> list[str]:
    counted = {file: len(file.read_text().splitlines()) for file in files if file.suffix == ".py"}
    return [f"{file} has {lines} lines" for file, lines in counted.items() if lines > LINES_MAX]


# Put together from parts, so that this file does not name them either.
HOSTS = [
    r"\.".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("npmjs", "org"),
        ("golang", "org"),
        ("crates", "io"),
        ("debian", "org"),
    )
]
HOMES = [f"/{folder}/" for folder in ("home", "Users", "root", "work")]
FORBIDDEN = re.compile("|".join([*HOSTS, *(rf"(?<![\w.}}])(?:{home})\w" for home in HOMES)]))


def telling_text(files: Iterable[Path]) -> list[str]:
    """Lines that name a package registry's host, or a place on somebody's machine."""
    return [
        f"{file}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]


def project_files() -> list[Path]:
    """What git tracks, or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def test_imports_point_one_way():
    assert broken_rules(ROOT) == []


def test_files_are_short():
    assert too_long(project_files()) == []


def test_no_text_tells_of_a_machine_or_a_registry():
    assert telling_text(project_files()) == []


@pytest.mark.parametrize(
    ("file", "line", "rule"),
    [
        ("system/runtime/stack.py", "import bench.judge.invariants", "what measures it"),
        ("system/wire.py", "def f():\n    from bench import check", "what measures it"),
        ("system/gateway/app.py", "from ..services import user", "gateway stands alone"),
        ("system/gateway/app.py", "from system.services.user import USER", "gateway stands alone"),
        ("system/gateway/app.py", "from system.runtime import ports", "gateway stands alone"),
        ("system/services/user.py", "import system.gateway", "services stand alone"),
        ("system/services/user.py", "from . import order", "imports no service"),
        ("system/services/user.py", "from .order import ORDER", "imports no service"),
        ("system/runtime/stack.py", "from ..services import job", "as processes"),
        ("system/services/user.py", "from pyflink.common import Row", "one module imports PyFlink"),
        ("system/gateway/app.py", "import aiokafka.errors", "behind one module"),
        ("bench/run/run.py", "from aiokafka import AIOKafkaConsumer", "behind one module"),
        ("bench/run/run.py", "import gevent", "patches its whole process"),
        ("bench/run/run.py", "from system.services import order", "the bench sees"),
        ("locustfiles/shop.py", "import system.gateway.app", "the bench sees"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path, file, line, rule):
    for module in ("system/services/order.py", "bench/judge/invariants.py", file):
        path = tmp_path / module
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        (path.parent / "__init__.py").touch()
    (tmp_path / file).write_text(line)
    (found,) = broken_rules(tmp_path)
    assert rule in found


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("system/flink_job/pipeline.py", "import pyflink.common"),
        ("system/services/user.py", "from .saga import done\nfrom system.wire import error"),
        ("system/gateway/kafka.py", "import aiokafka"),
        ("bench/probes/kafka_link.py", "from aiokafka import AIOKafkaProducer"),
        ("bench/generator/locust_users.py", "import gevent, locust"),
        ("bench/run/run.py", "from system import wire\nfrom system.runtime.stack import Stack"),
    ],
)
def test_an_allowed_import_is_none_of_them(tmp_path, file, line):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert broken_rules(tmp_path) == []


def test_a_long_file_is_found(tmp_path):
    path = tmp_path / "long.py"
    path.write_text("\n" * LINES_MAX)
    assert too_long([path]) == []
    path.write_text("\n" * (LINES_MAX + 1))
    assert len(too_long([path])) == 1


@pytest.mark.parametrize(
    ("text", "is_telling"),
    [
        ("see https://files.python" + "hosted.org/x", True),
        ("index = py" + "pi.org", True),
        ("cd /ho" + "me/someone/x", True),
        ("'/ro" + "ot/x'", True),
        ("GET /homes/1", False),
        ("{folder}/work/x, a/home/b", False),
    ],
)
def test_telling_text_is_found(tmp_path, text, is_telling):
    path = tmp_path / "notes.md"
    path.write_text(text)
    assert bool(telling_text([path])) is is_telling
