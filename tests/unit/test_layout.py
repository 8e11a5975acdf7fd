"""Which part may import which, and how large a file may be. Held by reading the sources only."""

import ast
import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_MAX = 400

LAYERS: tuple[tuple[str, ...], ...] = (
    ("machine",),
    ("system",),
    ("system.services", "system.gateway", "system.runtime"),
    ("system.flink_job",),
    ("system.__main__",),
    ("bench",),
    *((f"bench.{room}",) for room in ("records", "stats", "imports", "workload")),
    *((f"bench.{room}",) for room in ("remote", "kafka", "generator", "observe")),
    *((f"bench.{room}",) for room in ("judge", "probes", "run", "scaling", "faults", "compare")),
    *((f"bench.{room}",) for room in ("report", "regression", "calibrate", "costs", "cli")),
    ("bench.__main__", "bench.api"),
    ("locustfiles",),
)
"""The one direction of imports: a module imports from its own package and from the layers above it.
Packages of one layer don't know each other."""

UNSEEN = (
    "system.service",
    "system.gateway",
    "system.services",
    "system.flink_job",
    "system.__main__",
)
"""What is no business of the bench and of locustfiles: they talk to it from outside."""

LIBRARIES: dict[str, tuple[str, ...]] = {
    "pyflink": (
        "system.flink_job.pipeline",
        "system.flink_job.process_mode",
        "system.flink_job.java_sources",
    ),
    "py4j": ("system.flink_job.pipeline",),
    "aiokafka": (
        *("system.kafka_admin", "system.gateway.fate", "system.gateway.kafka"),
        "system.gateway.protocol",
        *("system.runtime.topics", "bench.kafka.link"),
    ),
    "aiohttp": (
        *("system.gateway.app", "system.gateway.connection", "system.gateway.worker"),
        "system.gateway.heads",
        *("bench.judge.client", "bench.calibrate.bare_server"),
    ),
    "locust": ("bench.generator.locust_users", "bench.generator.locust_open_loop", "locustfiles"),
    "gevent": ("bench.generator.locust_users", "bench.generator.locust_open_loop", "locustfiles"),
    "geventhttpclient": ("bench.generator.locust_users",),
}
"""Foreign libraries that have one seam each, and the modules that are it. (Locust patches its whole
process, so it must never be loaded where an event loop runs.)"""

SERVICE_WORDS = ("system.services.saga",)
"""All that a service may know of its package: no service knows another."""

ROOM_MODULES_MAX = 12
CHAIN_MAX = 8
"""Modules of `bench` in a row, each importing the next."""


def is_in(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def layer(name: str) -> tuple[int, str]:
    """The number of a module's layer, and its package there: the longest that fits."""
    fitting = [
        (len(package), number, package)
        for number, packages in enumerate(LAYERS)
        for package in packages
        if is_in(name, package)
    ]
    return max(fitting)[1:]


def fault(importer: str, target: str) -> str | None:
    """What forbids this import, if anything does."""
    if (importer, target) == ("bench", "bench.api"):
        return None  # what ``import bench`` offers, loaded when it is used
    library = target.partition(".")[0]
    if library in LIBRARIES:
        seams = LIBRARIES[library]
        return None if any(is_in(importer, seam) for seam in seams) else f"only in {seams}"
    if library not in ("machine", "system", "bench", "locustfiles", "tests"):
        return None
    if library == "tests":
        return "no code knows its tests"
    (above, package), (below, own) = layer(target), layer(importer)
    if above > below or (above == below and package != own):
        return f"{package} is not above {own}"
    if own.startswith(("bench", "locustfiles")) and any(is_in(target, each) for each in UNSEEN):
        return "the bench sees the wire, the routes and the runtime"
    if own == "system.services" and is_in(target, own) and target not in SERVICE_WORDS:
        return "no service knows another"
    return None


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
        f"{importer} imports {target}: {found}"
        for importer, path in sorted(known.items())
        for target in sorted(set(imports(importer, path, known)))
        if (found := fault(importer, target)) is not None
    ]


def longest_chain(root: Path) -> list[str]:
    """Modules of `bench`, each of which imports the next; the exceptions' module not counted."""
    known = modules(root)
    inside = {name for name in known if is_in(name, "bench")} - {"bench", "bench.errors"}
    targets = {name: inside & set(imports(name, known[name], known)) - {name} for name in inside}

    @cache
    def chain(name: str) -> list[str]:
        return [name, *max(map(chain, sorted(targets[name])), key=len, default=[])]

    return max(map(chain, sorted(inside)), key=len)


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


SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*[A-Za-z0-9+/]{20}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{36}|\bgithub_pat_\w{22}|\bglpat-[\w-]{20}"
    r"|\bxox[abprs]-[\w-]{10}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10}"
)
"""Private keys, and tokens that tell by their form what they are."""


MADE_UP = ROOT / "tests" / "support" / "tls"
"""The keys of servers that tests start: they open nothing else."""


def secrets(files: Iterable[Path]) -> list[str]:
    """Files that hold a secret; what it is stays untold."""
    files = [file for file in files if not file.is_relative_to(MADE_UP)]
    return [str(file) for file in files if SECRETS.search(file.read_text(errors="replace"))]


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


def test_no_file_holds_a_secret():
    assert secrets(project_files()) == []


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("-----BEGIN " + "PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n", True),
        ("-----BEGIN EC " + "PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n", True),
        ("key = AKIA" + "ABCDEFGHIJKLMNOP", True),
        ("token: ghp" + "_" + "a" * 36, True),
        ("Bearer eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0In0.abcdefghijkl", True),
        ("a file that begins with BEGIN PRIVATE KEY", False),
        ("KAFLINKSHOP_TOKEN=…", False),
    ],
)
def test_a_secret_is_found(tmp_path, text, is_one):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    assert secrets([path]) == ([str(path)] if is_one else [])


def test_a_room_holds_few_modules() -> None:
    rooms = [path.parent for path in (ROOT / "bench").glob("*/__init__.py")]
    counts = {room.name: len([*room.glob("*.py")]) - 1 for room in rooms}
    assert rooms
    assert {name: count for name, count in counts.items() if count > ROOM_MODULES_MAX} == {}


def test_no_chain_of_imports_is_long() -> None:
    chain = longest_chain(ROOT)
    assert len(chain) <= CHAIN_MAX, " > ".join(chain)


def test_a_chain_is_found_by_its_links(tmp_path: Path) -> None:
    for name, text in {
        "a": "from bench.b import x\nimport bench.c",
        "b": "def f():\n    from . import c",
        "c": "import bench.errors",
        "errors": "",
    }.items():
        path = tmp_path / "bench" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert longest_chain(tmp_path) == ["bench.a", "bench.b", "bench.c"]


@pytest.mark.parametrize(
    ("file", "line", "told"),
    [
        ("machine/ports.py", "import system.wire", "not above machine"),
        ("system/runtime/stack.py", "import bench.judge.invariants", "not above system.runtime"),
        (
            "system/wire.py",
            "def f():\n    from bench import judge",
            "bench.judge is not above system",
        ),
        ("system/gateway/app.py", "from ..services import user", "not above system.gateway"),
        ("system/gateway/app.py", "from system.runtime import ports", "not above system.gateway"),
        ("system/services/user.py", "import system.gateway", "not above system.services"),
        ("system/services/user.py", "from . import order", "no service knows another"),
        ("system/services/user.py", "from .order import ORDER", "no service knows another"),
        ("system/runtime/stack.py", "from ..flink_job import pipeline", "not above system.runtime"),
        ("system/services/user.py", "from pyflink.common import Row", "only in"),
        ("system/gateway/app.py", "import aiokafka.errors", "only in"),
        ("bench/run/run.py", "from aiokafka import AIOKafkaConsumer", "only in"),
        ("bench/run/run.py", "import gevent", "only in"),
        ("bench/run/run.py", "from system.services import order", "the bench sees"),
        ("bench/run/run.py", "import bench.report.page", "bench.report is not above bench.run"),
        ("bench/errors.py", "import bench.stats.window", "bench.stats is not above bench"),
        ("bench/run/run.py", "from tests import support", "its tests"),
        ("locustfiles/shop.py", "import system.gateway.app", "the bench sees"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path, file, line, told):
    for module in ("system/services/order.py", "bench/judge/invariants.py", file):
        path = tmp_path / module
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        (path.parent / "__init__.py").touch()
    (tmp_path / file).write_text(line)
    (found,) = broken_rules(tmp_path)
    assert told in found


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("system/flink_job/pipeline.py", "import pyflink.common\nimport system.services.user"),
        ("system/services/user.py", "from .saga import done\nfrom system.wire import error"),
        ("system/gateway/kafka.py", "import aiokafka"),
        ("bench/kafka/link.py", "from aiokafka import AIOKafkaProducer"),
        ("bench/generator/locust_users.py", "import gevent, locust"),
        ("bench/run/run.py", "from system import wire\nfrom system.runtime.stack import Stack"),
        ("bench/run/run.py", "import machine.ports, bench.stats.window, bench.errors"),
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
