"""docs/tutorial.md, command by command, in an empty folder.

The package is installed from a copy of this work tree, and what it needs is this environment's: so
nothing is downloaded.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sysconfig
from contextlib import suppress
from pathlib import Path

from bench.records.run_files import read_run
from bench.regression.worktree import Commit
from machine.ports import choose

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
TIMEOUT_S = 1500.0
BEFORE = "set -euo pipefail\ntrap 'kill $(jobs -p) || true; wait' EXIT\n"
"""A person's shell goes on after a command that fails; here what it left running is ended."""
SHORT = {"LOAD_S": "1", "JOB": "--duration 1 --warmup 1 --budget-s 31"}


def clone(folder: Path) -> Path:
    """What git tracks, or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.check_output(command, cwd=ROOT, text=True)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def environment(project: Path) -> dict[str, str]:
    port = choose(0, "")
    offline = {
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's word for: none
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_OFFLINE": "1",
        "UV_NO_BUILD_ISOLATION": "1",
    }
    own = {"KAFLINKSHOP": str(project), "PORT": str(port), "STACK": f"tutorial-{port}"}
    return {**os.environ, **offline, **own, **SHORT}


def test_every_command_works(tmp_path: Path) -> None:
    text = TUTORIAL.read_text()
    commands = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    folder = tmp_path / "empty"
    folder.mkdir()
    script = tmp_path / "tutorial.sh"
    script.write_text(BEFORE + "\necho\n".join(commands))
    with subprocess.Popen(
        ["bash", "-x", str(script)], cwd=folder, env=environment(clone(tmp_path / "project")),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as shell:  # fmt: skip
        try:
            told, _ = shell.communicate(timeout=TIMEOUT_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)
    assert shell.returncode == 0, told
    shown = re.findall(r"^    (\{.*\})$", text, re.MULTILINE)
    answers = re.findall(r'\{"request_id".*?\}', told)
    assert len(shown) == len(answers) == 5
    for line, answer in zip(shown, answers, strict=True):
        assert re.fullmatch(re.escape(line).replace("kf_…", r"kf_[\w-]+"), answer)

    service = folder / "greeting"
    runs = [read_run(path) for path in service.glob("results/*Z-*") if (path / "run.json").exists()]
    assert len(runs) == 2, told
    for run in runs:
        assert run.verdict in ("valid", "void", "failed"), run.reasons
        assert run.settings.workload == "workload.toml"
    comparison = json.loads((service / "regression" / "comparison.json").read_text())
    assert comparison["verdict"] in ("same", "faster", "inconclusive"), comparison
    sides = [read_run(path) for path in service.glob("results/regression-*/batch/[AB]*/*")]
    assert len(sides) >= 6
    heads = subprocess.check_output(
        ["git", "log", "--format=%H", "--reverse"], cwd=service, text=True
    ).split()
    commits = {Commit("", head).short for head in heads[:2]}
    assert {run.commit.id for run in sides} == commits
    known = {
        (run.commit.id, part)
        for run in sides
        for _, window in run.windows
        for part, cpu in window.cpu.items()
        if cpu.us_per_request
    }
    assert known >= {(each, part) for each in commits for part in ("gateway", "kafka", "flink")}
    for run in sides:
        assert run.verdict in ("valid", "void"), run.reasons
        assert [phase.name for phase, _ in run.windows] == ["open", "users-16"]
