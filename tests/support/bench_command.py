"""``python -m bench`` as a person runs it, and what it records."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import psutil

from bench.errors import RUN_EXITS
from bench.records.run_files import SCHEMA_FILE

RUN_TIMEOUT_S = 600.0
"""Ends a run that hangs; a busy machine takes minutes for what an idle one does in seconds."""
SOUND = ("valid", "void")
"""A busy machine makes a run void: then every promise was kept all the same, and every request is
accounted for; where not, the verdict is another one, which no test of a sound system accepts."""


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S)


def recorded(out: Path, done: "subprocess.CompletedProcess[str]") -> tuple[dict[str, Any], Path]:
    """The one run below `out`, and its folder; fails where its verdict or form is wrong."""
    folders = list(out.iterdir())
    assert len(folders) == 1, done.stdout + done.stderr
    run = orjson.loads((folders[0] / "run.json").read_bytes())
    jsonschema.validate(run, orjson.loads(SCHEMA_FILE.read_bytes()))
    assert run["verdict"] in SOUND, run["reasons"]
    assert done.returncode == RUN_EXITS[run["verdict"]], done.stdout + done.stderr
    assert (folders[0] / "report.html").stat().st_size > 0
    return run, folders[0]


def measuring(
    words: Sequence[str], env: Mapping[str, str] | None = None
) -> "subprocess.Popen[str]":
    """A run whose window is open."""
    started = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    assert started.stderr is not None
    told = ""
    while " measure " not in told:
        told = started.stderr.readline()
        assert told, "it ended before it measured"
    return started


def generators(pid: int) -> list[psutil.Process]:
    below = psutil.Process(pid).children(recursive=True)
    return [each for each in below if "bench.generator.process" in each.cmdline()]
