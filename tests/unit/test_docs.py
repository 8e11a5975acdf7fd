"""What the documents say, compared with what the code does."""

import ast
import importlib
import inspect
import re
import shutil
import textwrap
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import write
import yaml

import bench
from bench.cli.costs import TABLE, report
from bench.cli.main import PLACES
from bench.compare.comparison_record import VERDICTS
from bench.errors import COMPARISON_EXITS, ExitCode
from bench.records.run_files import read_run
from bench.report import build
from bench.report.markdown import summarize
from bench.scaling.study_record import read_study
from system import __version__
from system.catalog import GROUP
from system.new_service import TEMPLATE, files
from system.wire import HTTP_STATUS
from tests.unit.test_workflows import (
    test_every_action_is_pinned_by_its_commit,
    test_it_is_as_githubs_schema_says,
)

ROOT = Path(__file__).parents[2]

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def code_blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def rows(page: str) -> Iterator[list[str]]:
    """The cells of each row of each table."""
    for line in (DOCS / page).read_text().splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


# ---- what is written from the code


def test_no_generated_page_is_stale() -> None:
    stale = [path.name for path, text in write.pages().items() if path.read_text() != text]
    assert not stale, "write them anew: nox -s docs"


def test_every_limit_has_a_reason() -> None:
    limits = write.limits()
    assert [(each.file, each.name) for each in limits if len(each.why) < 10] == []
    assert [(each.file, each.name) for each in limits if faults_of(each.why)] == []


def test_every_module_says_what_it_is() -> None:
    lines = [line for line in write.tree().splitlines() if line.split()[0].endswith(".py")]
    assert [line for line in lines if len(line.split()) < 3] == []


def test_a_limit_is_read_with_its_value_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        'A_MAX = 2**3\n"""Of a | b."""\nB_S = A_MAX * 1.5\nclass C:\n    D_MIN = 4\nE = object()\n'
    )
    assert write.constants(path) == {"A_MAX": 8, "B_S": 12.0, "C.D_MIN": 4, "E": None}
    assert [(each.name, str(each.value), each.why) for each in write.of_file(path, "f")] == [
        ("A_MAX", "8", "Of a \\| b."),
        ("B_S", "12.0", ""),
        ("C.D_MIN", "4", ""),
    ]


def test_a_page_without_its_place_is_refused() -> None:
    with pytest.raises(ValueError, match="tree:begin"):
        write.page("# Layout", tree="x")


# ---- docstrings

NO_SUBJECT = """
about above after among around as at before behind below beneath beside besides between beyond by
despite during except for from in inside into near of off on onto outside over past per since
through throughout toward towards under until up upon via with within without
and but if nor or though unless whereas whether while because although
how what whatever when whenever where wherever which whichever who whom whose why
called done empty found given held kept made measured none not only opened read recorded sent shown
taken used written
adds asks begins closes compares computes creates decides describes ends evaluates fetches finds
fills folds gets gives goes handles hosts joins keeps kills lets makes opens parses pays plays
prints puts raises receives refuses removes replaces returns says sends serves shows starts takes
tells tries waits walks writes yields
"""
"""A docstring that begins with one of these words has no subject."""


def public_docstrings(body: list[ast.stmt]) -> Iterator[str]:
    """Those of a module's or class's body, of what is public in it, and below its attributes."""
    name: str | None = ""
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name is not None:
            if isinstance(node.value.value, str) and not name.startswith("_"):
                yield node.value.value
            name = None
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if not node.name.startswith("_") or node.name.endswith("__"):
                yield from public_docstrings(node.body)
            name = None
        else:
            targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
            name = ast.unparse(targets[0]).rpartition(".")[2] if targets[0] else None


def faults_of(text: str) -> list[str]:
    """What keeps a docstring from being sentences: no subject, or no full stop."""
    opening, _, rest = inspect.cleandoc(text).partition("\n\n")
    first = opening.split()[0]
    found = []
    if (
        first.lower().strip(",.;") in NO_SUBJECT.split()
        or first.endswith(":")
        or " → " in opening[:20]
    ):
        found.append("no subject")
    last = (rest or opening).splitlines()[-1]
    is_example = last.startswith(" ")
    if opening[-1] not in (".:" if rest else ".") or not (last.endswith(".") or is_example):
        found.append("no full stop")
    return found


def unfit_docstrings(path: Path) -> list[str]:
    texts = public_docstrings(ast.parse(path.read_text()).body)
    return [f"{fault}: {text[:60]!r}" for text in texts for fault in faults_of(text)]


@pytest.mark.parametrize("package", ["bench", "system", "machine", "docs"])
def test_public_docstrings_are_sentences(package: str) -> None:
    assert {
        path.relative_to(ROOT).as_posix(): found
        for path in sorted((ROOT / package).rglob("*.py"))
        if (found := unfit_docstrings(path))
    } == {}


def test_a_docstring_that_is_no_sentence_is_found(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(
        '''"""The module has a title"""
A_MAX = 1
"""Of a request's body; more is a 413."""
B = 2
"""A request has at most so many; more is a 413."""
_HIDDEN = 3
"""Of what is private."""
class C:
    """What the services say."""
    field: int = 0
    """None: there is none."""
    def method(self):
        """Returns it."""
        self.kept = 1
        """topic → its lag."""
    async def good(self):
        """`good` returns it.

        The form is

            {"a": 1}
        """
    def _helper(self):
        """Of nobody's concern"""
def bad():
    """`bad` returns it.

    It ends somewhere
    """
'''
    )
    assert unfit_docstrings(path) == [
        "no full stop: 'The module has a title'",
        'no subject: "Of a request\'s body; more is a 413."',
        "no subject: 'What the services say.'",
        "no subject: 'None: there is none.'",
        "no subject: 'Returns it.'",
        "no subject: 'topic → its lag.'",
        "no full stop: '`bad` returns it.\\n\\n    It ends somewhere\\n    '",
    ]


# ---- a service of one's own


def test_the_template_is_as_printed():
    (source,), (entry,) = (code_blocks("add-a-service.md", kind) for kind in ("python", "toml"))
    assert source == (TEMPLATE / "service.py.template").read_text()
    assert (TEMPLATE / "pyproject.toml.template").read_text().endswith(entry)


def test_the_tutorial_shows_what_new_service_writes():
    text = (DOCS / "tutorial.md").read_text()
    entry = files("greeting")["pyproject.toml"].rpartition("\n\n")[2]
    for shown in ("\n".join(files("greeting")), entry.rstrip()):
        assert textwrap.indent(shown, "    ") in text


def test_the_tutorials_workflow_runs_what_the_tutorial_runs(tmp_path):
    """Each line is one that tests/e2e/test_tutorial.py has run."""
    script = "".join(code_blocks("tutorial.md", "sh"))
    (workflow,) = re.findall(r"regression.yml <<'END'\n(.*?)^END$", script, re.M | re.S)
    ran = script.replace(workflow, "").replace(' || echo "exit code $?"', "").splitlines()
    (job,) = yaml.safe_load(workflow)["jobs"].values()
    *steps, shown = [step["run"] for step in job["steps"] if "run" in step]
    lines = "\n".join(steps).replace(" || test $? -eq 11", "").splitlines()
    assert [line for line in lines if line.strip() and line not in ran] == []
    assert shown.startswith("cat regression/comment.md")
    assert f'JOB="${{JOB:-{job["env"]["JOB"]}}}"' in script
    path = tmp_path / "regression.yml"
    path.write_text(workflow)
    test_it_is_as_githubs_schema_says(path)
    test_every_action_is_pinned_by_its_commit(path)


def test_what_is_stable_is_there():
    page = " ".join((DOCS / "python.md").read_text().split())
    assert [name for name in bench.__all__ if f"`bench.{name}" not in page] == []
    for module in ("service", "routes", "trial"):
        (listed,) = re.findall(rf"of `system.{module}`: ((?:`\w+`,?\s*)+)", page)
        names = re.findall(r"`(\w+)`", listed)
        found = importlib.import_module(f"system.{module}")
        assert names
        assert [name for name in names if not hasattr(found, name)] == []
    assert f"`{GROUP}`" in page


# ---- dependencies, errors, links


def test_the_version_is_that_of_the_gateway() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["version"] == __version__


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
    places = [(ROOT / package).rglob("*.py") for package in ("machine", "system", "bench")]
    for path in sorted(chain.from_iterable(places)):
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


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_readme_has_one_place_for_results():
    text = (ROOT / "README.md").read_text()
    assert text.count("<!-- result:begin -->") == text.count("<!-- result:end -->") == 1
    assert text.index("<!-- result:begin -->") < text.index("<!-- result:end -->")


def test_every_verdict_of_a_comparison_is_described_with_its_exit_code() -> None:
    told = [(int(row[0]), row[1]) for row in rows("regressions.md") if row[0].isdecimal()]
    assert told == [(code, VERDICTS[name]) for name, code in COMPARISON_EXITS.items()]


def test_every_exit_code_is_described() -> None:
    told = {int(row[0]): row[1:] for row in rows("commands.md") if row[0].isdecimal()}
    assert {code: words for code, (words, _) in told.items()} == {c: c.words for c in ExitCode}
    assert all(why.endswith(".") for _, why in told.values())


def test_every_command_is_described() -> None:
    told = {row[0].strip("`") for row in rows("commands.md")}
    assert [name for name in PLACES if name not in told] == []


def test_every_page_is_linked_from_the_readme():
    text = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES[1:] if f"(docs/{page.name})" not in text] == []


# ---- the pictures


REFERENCE = ROOT / "results" / "reference"
REFERENCE_BYTES_MAX = 2**20


@pytest.mark.parametrize("folder", ["mix", "capacity"])
def test_the_readmes_pictures_are_those_of_the_reference(tmp_path: Path, folder: str) -> None:
    copy = shutil.copytree(REFERENCE / folder, tmp_path / folder)
    committed = {path.name: path.read_bytes() for path in (copy / "images").iterdir()}
    shutil.rmtree(copy / "images")
    assert {path.name: path.read_bytes() for path in build.pictures(copy)} == committed
    assert summarize(read_run(copy)) == (copy / "summary.md").read_text()
    text = (ROOT / "README.md").read_text()
    assert [name for name in committed if f"reference/{folder}/images/{name}" not in text] == []


@pytest.mark.parametrize("name", ["entities", "growth", "machine"])
def test_the_charts_of_growth_are_those_of_their_study(tmp_path: Path, name: str) -> None:
    text = (ROOT / "docs" / "costs.md").read_text()
    copy = shutil.copytree(REFERENCE / name, tmp_path / name)
    table = (copy / TABLE).read_text()
    committed = {path.name: path.read_bytes() for path in (copy / "images").iterdir()}
    shutil.rmtree(copy / "images")
    (copy / TABLE).unlink()
    report(read_study(copy), copy)
    assert (copy / TABLE).read_text() == table
    assert {path.name: path.read_bytes() for path in (copy / "images").iterdir()} == committed
    assert [line for line in table.splitlines() if line.startswith("|") and line not in text] == []
    assert [each for each in committed if f"reference/{name}/images/{each}" not in text] == []


def test_the_reference_runs_are_small() -> None:
    sizes = [path.stat().st_size for path in REFERENCE.rglob("*") if path.is_file()]
    assert 0 < sum(sizes) <= REFERENCE_BYTES_MAX
