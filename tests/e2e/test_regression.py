"""`python -m bench regression` as CI runs it, on a small budget: a commit against itself."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import orjson
import pytest

from bench.compare.comparison import SCHEMA_FILE
from bench.compare.outputs import MARK
from bench.errors import ExitCode
from bench.project import PROJECT_DIR
from bench.records.run_files import read_run
from machine.cache import cache_dir

TIMEOUT_S = 4200.0
SMALL = ("--rate", "60", "--duration", "1", "--warmup", "1", "--budget-s", "31")
CODES = {ExitCode.DONE, ExitCode.INCONCLUSIVE}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bench", "regression", *arguments]


def trees() -> list[str]:
    listed = subprocess.run(
        ["git", "worktree", "list", "--porcelain"],
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    place = str(cache_dir() / "worktrees")
    return [line for line in listed.stdout.splitlines() if place in line]


def git(*arguments: str, index: Path, content: str = "") -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
        cwd=PROJECT_DIR,
        env={**os.environ, "GIT_INDEX_FILE": str(index)},
        input=content,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def with_another_gateway(index: Path, change: Callable[[str], str]) -> str:
    """A commit on HEAD that no branch has: so both sides run on one Kafka and Flink."""
    path = "system/gateway/app.py"
    content = change((PROJECT_DIR / path).read_text())
    git("read-tree", "HEAD", index=index)
    blob = git("hash-object", "-w", "--stdin", index=index, content=content)
    git("update-index", "--cacheinfo", f"100644,{blob},{path}", index=index)
    tree = git("write-tree", index=index)
    return git("commit-tree", tree, "-p", "HEAD", "-m", "another gateway", index=index)


def test_a_comment_is_no_regression(tmp_path: Path, worktrees: None) -> None:
    out = tmp_path / "out"
    head = with_another_gateway(tmp_path / "index", lambda text: text + "\n# nothing changes\n")
    done = subprocess.run(
        command("HEAD", head, *SMALL, "--results", str(tmp_path), "--out", str(out)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode in CODES, done.stdout + done.stderr
    comparison = orjson.loads((out / "comparison.json").read_bytes())
    jsonschema.validate(comparison, orjson.loads(SCHEMA_FILE.read_bytes()))
    assert comparison["exit_code"] == done.returncode
    assert comparison["verdict"] in ("same", "faster", "inconclusive")
    assert (out / "comment.md").read_text().startswith(MARK)
    assert ElementTree.parse(out / "junit.xml").getroot().tag == "testsuites"
    assert (out / "benchmark-smaller.json").exists() == bool(comparison["metrics"])
    assert all(metric["base"] for metric in comparison["metrics"])
    folders = {path.parent.name for path in tmp_path.glob("regression-*/batch/A*/*")}
    assert folders == {"A", "A2"}
    runs = [read_run(path) for path in tmp_path.glob("regression-*/batch/[AB]*/*")]
    assert len(runs) >= 6
    for run in runs:
        assert run.verdict in ("valid", "void"), run.reasons
        (control,) = run.probes or ()
        assert control.name == "control"
        assert [phase.name for phase, _ in run.windows] == ["open", "users-64"]
        for _, window in run.windows:
            amounts = window.per_request
            assert 2 < amounts["kafka_records"] < 20  # the gateway asks for an echo each second
    for group in ("kafka", "flink"):
        name = f"{group}_allocated_bytes"
        told = [window.per_request.get(name) for run in runs for _, window in run.windows]
        known = [each for each in told if each is not None]  # a busy JVM may have told too late
        assert known
        assert min(known) > 1000
    assert trees() == []


def test_a_commit_whose_answers_are_wrong_is_a_regression(tmp_path: Path, worktrees: None) -> None:
    """Its first run ended the job as INVALID, before anything was compared."""
    counted = "        self.metrics.responses[asked.method, answer.status] += 1\n"
    richer = """
        if asked.method == "find_user":
            answer = answer._replace(body=answer.body.replace(b'"credit":', b'"credit":1'))
"""

    def wrong(text: str) -> str:
        assert text.count(counted) == 1
        return text.replace(counted, counted + richer[1:])

    head, out = with_another_gateway(tmp_path / "index", wrong), tmp_path / "out"
    small = ("--rate", "60", "--duration", "1", "--warmup", "1", "--budget-s", "3600")
    done = subprocess.run(
        command("HEAD", head, *small, "--results", str(tmp_path), "--out", str(out)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == ExitCode.REGRESSION, done.stdout + done.stderr
    comparison = orjson.loads((out / "comparison.json").read_bytes())
    jsonschema.validate(comparison, orjson.loads(SCHEMA_FILE.read_bytes()))
    assert "8 of 8 runs of B failed, and 0 of 16 of A" in comparison["headline"]
    assert "money: broken" in comparison["headline"]
    assert "8 pairs: each of the last pairs has a run that failed" in done.stderr


def test_ctrl_c_ends_it_and_leaves_nothing_behind(
    tmp_path: Path, until: Callable[[Callable[[], object]], None], worktrees: None
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        job = subprocess.Popen(
            command("HEAD", *SMALL, "--results", str(tmp_path)),
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        until(lambda: job.poll() is not None or b"starting the stack of" in log.read_bytes())
        job.send_signal(signal.SIGINT)
        assert job.wait(TIMEOUT_S) == 130, log.read_text()
    finally:
        job.kill()
        job.wait()
    assert log.read_text().splitlines()[-1] == "interrupted"
    assert trees() == []


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("no-such-commit",), 2, "error: no commit no-such-commit in this repository"),
        (("HEAD", "--budget-s", "1"), 2, "from 30 to 86400"),
        (("HEAD", "--budgets", "nowhere.toml"), 14, "error: cannot read nowhere.toml"),
    ],
)
def test_what_a_person_can_do_wrong(arguments: tuple[str, ...], code: int, line: str) -> None:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == code
    assert line in done.stderr
    assert "Traceback" not in done.stderr
