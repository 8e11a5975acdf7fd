"""The package that `new-service` writes is whole: its tests pass, and the catalog takes it."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench.workload.http_file import read_workload
from machine.arguments import EXIT_USAGE
from machine.errors import EXIT_CODE
from system.__main__ import main
from system.catalog import GROUP, NAME_CHARACTERS_MAX, read
from system.new_service import NAME, PLACES, TEMPLATE, files, write
from system.routes import ROUTES

ROOT = Path(__file__).parents[3]
NAMES = (NAME, "greeting", "a", "class", "x_1", "g" * NAME_CHARACTERS_MAX)


def checked(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True,
        env={"PYTHONPATH": f"{folder / 'src'}:{ROOT}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_catalog_takes_it(name, tmp_path, monkeypatch):
    write(name, tmp_path)
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    found = read([EntryPoint(name, f"{name}_service", GROUP)])
    assert found.load(name).name == name
    paths = [route.path for route in found.routes[len(ROUTES) :]]
    assert paths == [f"/{name}/add/{{{name}_id}}/{{amount}}", f"/{name}/find/{{{name}_id}}"]
    workload = read_workload(tmp_path / "workload.toml")
    assert workload.thresholds.p99_ms is not None


def test_its_tests_pass(tmp_path):
    write("greeting", tmp_path)
    checked(tmp_path, "pytest", "-q", "-p", "no:cacheprovider")
    rules = ("--isolated", "--line-length=100")
    checked(tmp_path, "ruff", "check", "--select=E,F,I,N,UP,B", *rules)
    checked(tmp_path, "ruff", "format", "--check", *rules)


def test_every_template_is_written_and_none_else():
    assert {path.name for path in TEMPLATE.iterdir()} == {f"{name}.template" for name in PLACES}
    assert not any(NAME in text + place for place, text in files("x_1").items())


def test_a_person_writes_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new-service", "greeting"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert sorted(printed) == sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()
    )
    before = (tmp_path / "greeting" / "pyproject.toml").stat().st_mtime_ns
    assert main(["new-service", "greeting"]) == EXIT_CODE
    assert capsys.readouterr().err == (
        "error: greeting is there already: choose a new or empty folder with --in\n"
    )
    assert (tmp_path / "greeting" / "pyproject.toml").stat().st_mtime_ns == before
    assert main(["new-service", "greeting", "--in", str(tmp_path / "new" / "folder")]) == 0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("item", "another service has a method of this name"),
        ("credit", "another service has a method of this name"),
        ("users", "another service has paths that begin with /users"),
        ("health", "another service has paths that begin with /health"),
        ("echo", "a name is"),
    ],
)
def test_a_name_that_would_break_every_stack_is_refused(name, why, tmp_path, capsys):
    """As the package would be installed, and nothing could start until it is gone again."""
    try:
        code = main(["new-service", name, "--in", str(tmp_path / "new")])
    except SystemExit as ended:
        code = ended.code
    assert code != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert why in line
    assert not (tmp_path / "new").exists()


def test_a_place_that_is_no_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["new-service", "greeting", "--in", str(tmp_path / "file")]) == EXIT_CODE
    assert main(["new-service", "greeting", "--in", str(tmp_path / "file" / "below")]) == EXIT_CODE
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize("name", ["", "user", "Greeting", "a-b", "../x", "gateway", "routes"])
def test_a_name_that_no_service_may_have_is_refused(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["new-service", name])
    assert ended.value.code == EXIT_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert "a name is 1 to 48 characters of [a-z0-9_]" in line
