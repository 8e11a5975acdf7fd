"""The workflow files, against GitHub's own schema as check-jsonschema brings it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.compare.outputs import MARK
from bench.errors import ExitCode

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMA = "vendor.github-workflows"
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def test_there_is_one_for_containers_and_one_for_regressions() -> None:
    assert [path.name for path in WORKFLOWS] == ["containers.yml", "regression.yml"]


def test_containers_are_run_and_what_says_that_they_were_not_is_no_success() -> None:
    found = yaml.safe_load((ROOT / ".github" / "workflows" / "containers.yml").read_text())
    assert found["permissions"] == {}
    *_, last = found["jobs"]["containers"]["steps"]
    assert last == {"name": last["name"], "run": "nox --non-interactive -s containers"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_it_is_as_githubs_schema_says(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMA, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit(path: Path) -> None:
    """A tag can be moved by whoever owns the action; the version beside it is for people."""
    used = [line for line in path.read_text().splitlines() if re.search(r"\buses:", line)]
    assert used
    assert [line for line in used if not PINNED.search(line)] == []


def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "regression.yml").read_text()
    )
    assert found["permissions"] == {}, "each job names its own"
    return dict(found["jobs"])


def test_no_token_is_where_a_pull_requests_code_runs() -> None:
    measure = jobs()["measure"]
    assert measure["permissions"] == {"contents": "read"}
    (checkout,) = (s for s in measure["steps"] if "actions/checkout" in s.get("uses", ""))
    assert checkout["with"]["persist-credentials"] is False
    assert not re.search(r"\btoken\b|secrets\.|GH_TOKEN", str(measure["steps"]))


def test_nothing_of_a_pull_request_runs_where_a_token_is() -> None:
    publish = jobs()["publish"]
    assert publish["needs"] == "measure"
    assert not any("actions/checkout" in step.get("uses", "") for step in publish["steps"])
    assert not re.search(r"\b(python|nox|pip|git) ", str(publish["steps"]))
    (comment,) = (step for step in publish["steps"] if "GH_TOKEN" in step.get("env", {}))
    assert '.user.login == "github-actions[bot]"' in comment["run"]


def test_the_bases_harness_judges() -> None:
    (measured,) = (s for s in jobs()["measure"]["steps"] if "nox" in s.get("run", "") and "id" in s)
    lines = [line.strip() for line in measured["run"].splitlines()]
    base = '"$RUNNER_TEMP/base"'  # which is empty in each job, on a runner of one's own too
    assert lines.index(f'git worktree add --detach {base} "$merge^1"') < lines.index(f"cd {base}")
    assert any('regression -- "$merge^1" "$merge"' in line for line in lines)


def test_a_verdict_that_the_commit_brings_along_is_none(tmp_path: Path) -> None:
    """Where nox did not even begin, as without a network, a committed comparison.json passed."""
    root, tools, told = tmp_path / "project", tmp_path / "tools", tmp_path / "output"
    (root / "regression").mkdir(parents=True)
    (root / "regression" / "comparison.json").write_text('{"exit_code": 0}')
    (root / "regression" / "comment.md").write_text("SAME")
    tools.mkdir()
    (tools / "nox").write_text("#!/bin/sh\nexit 1\n")
    (tools / "nox").chmod(0o755)
    author = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    for arguments in (
        ("init", "--quiet"),
        ("add", "."),
        *[("commit", "--quiet", "--allow-empty", "--message", each) for each in ("base", "merge")],
    ):
        subprocess.run(["git", *author, *arguments], cwd=root, check=True)
    (step,) = (s for s in jobs()["measure"]["steps"] if s.get("id") == "measure")
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_OUTPUT": str(told),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    done = subprocess.run(
        ["bash", "-ec", step["run"]], cwd=root, env=environment, capture_output=True
    )
    assert done.returncode != 0
    assert not told.exists()


@pytest.mark.parametrize(("code", "expected"), [("0", 0), ("11", 0), ("10", 1), ("3", 1), ("", 1)])
def test_the_check_that_is_required_always_has_a_result(code: str, expected: int) -> None:
    """A check that only a report makes is never there for a fork, nor where a side did not start;
    and a job that is skipped counts as passed."""
    job = jobs()["regression"]
    assert (job["needs"], job["if"], job["permissions"]) == ("measure", "always()", {})
    (judge,) = job["steps"]
    assert judge["env"] == {"CODE": "${{ needs.measure.outputs.code }}"}
    done = subprocess.run(["bash", "-ec", judge["run"]], env={"CODE": code}, capture_output=True)
    assert done.returncode == expected
    (report,) = (step for step in jobs()["publish"]["steps"] if "junit" in step.get("uses", ""))
    assert report["with"]["check_name"] != "regression"


def test_it_does_what_the_verdicts_mean() -> None:
    text = (ROOT / ".github" / "workflows" / "regression.yml").read_text()
    assert MARK in text
    assert f"{ExitCode.INCONCLUSIVE}) echo" in text
    ci = (ROOT / ".ci" / "run").read_text()
    (version,) = re.findall(r"version=(\S+)", ci)
    assert f'"nox=={version}"' in text
