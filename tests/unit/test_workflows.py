"""The workflow files, against GitHub's own schema as check-jsonschema brings it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.compare.outputs import MARK
from bench.errors import ExitCode

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMA = "vendor.github-workflows"
PINNED = re.compile(r"[\w.-]+/[\w./-]+@v\d+\.\d+\.\d+")


def test_there_is_one_for_regressions() -> None:
    assert [path.name for path in WORKFLOWS] == ["regression.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_it_is_as_githubs_schema_says(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMA, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned(path: Path) -> None:
    steps = yaml.safe_load(path.read_text())["jobs"]["regression"]["steps"]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert [action for action in used if not PINNED.fullmatch(action)] == []


def test_it_does_what_the_verdicts_mean() -> None:
    text = (ROOT / ".github" / "workflows" / "regression.yml").read_text()
    assert MARK in text
    assert f"{ExitCode.INCONCLUSIVE}) echo" in text
    ci = (ROOT / ".ci" / "run").read_text()
    (version,) = re.findall(r"version=(\S+)", ci)
    assert f'"nox=={version}"' in text
