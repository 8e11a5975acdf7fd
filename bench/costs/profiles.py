"""These profiles are of a running stack: py-spy sees Python, Java Flight Recorder a JVM."""

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from bench.costs.flame_graph import Folded, folded
from bench.errors import BenchError
from system.runtime.jvm import java_home

RATE_PER_S = 100
"""Python is looked at this often: py-spy stops a process meanwhile, and more would slow it down."""
TOOL_TIMEOUT_S = 60.0
"""A tool may take this long beyond the time that it looks: a JVM's first recording loads
classes."""
EVENTS = "jdk.ExecutionSample,jdk.NativeMethodSample"
DEPTH = 64
"""Stacks are cut off at so many methods."""
HIDDEN = re.compile(r"\+0x[0-9a-f]+/\d+$")
"""A class that has no name of its own, as a lambda's, ends with its address, another at each
start."""
WAITING = ("EPoll.wait", "Native.epollWait0", "Native.epollWait", "Net.accept", "Net.poll")
"""A thread in one of these native methods, of the JDK or of Netty, only waits."""


def python_profile(pid: int, duration_s: float, *, in_jvm: bool) -> Folded:
    """`python_profile` returns the stacks of what runs in a process: with functions in C below
    Python's, or in a JVM those of Python that hold the interpreter lock. It raises
    `BenchError`."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "raw")
        _run(
            [
                *(str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid)),
                *("--format", "raw", "--output", str(file), "--rate", str(RATE_PER_S)),
                *("--duration", f"{duration_s:.0f}", "--gil" if in_jvm else "--native"),
            ],
            duration_s,
        )
        return folded(file.read_text().splitlines())


def jvm_profile(pid: int, duration_s: float) -> Folded:
    """`jvm_profile` returns the stacks of what runs in a JVM, thread first. It raises
    `BenchError`."""
    tools = java_home() / "bin"
    ask = (tools / "jcmd", str(pid))
    with TemporaryDirectory() as folder:
        file = Path(folder, "recording.jfr")
        _run([*ask, "JFR.start", "name=costs", "settings=profile"])
        try:
            time.sleep(duration_s)
        finally:  # Ctrl-C leaves no recording behind
            _run([*ask, "JFR.stop", "name=costs", f"filename={file}"])
        text = _run(
            [
                *(tools / "jfr", "print", "--json", "--events", EVENTS),
                *("--stack-depth", str(DEPTH), file),
            ]
        )
    return java_stacks(orjson.loads(text)["recording"]["events"])


def java_stacks(events: Sequence[dict[str, Any]]) -> Folded:
    """`java_stacks` reads events as ``jfr print --json`` writes them: classes in the form of class
    files, with slashes, but those without a name of their own (JEP 371) with dots. Methods are
    named with their class, without its package."""
    stacks: Folded = Counter()
    for event in events:
        values = event["values"]
        trace = (values["stackTrace"] or {}).get("frames", ())
        methods = [
            f"{_without_package(frame['method']['type']['name'])}.{frame['method']['name']}"
            for frame in trace
        ]
        if methods and methods[0] not in WAITING:
            thread = values["sampledThread"]["javaName"] or "a thread of the JVM"
            stacks[thread, *reversed(methods)] += 1
    return stacks


def _without_package(name: str) -> str:
    return re.split("[./]", HIDDEN.sub("", name))[-1]


def _run(command: Sequence[str | Path], duration_s: float = 0.0) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, timeout=duration_s + TOOL_TIMEOUT_S)
    except FileNotFoundError:
        raise BenchError(f"{command[0]} is missing: install the development tools") from None
    except subprocess.TimeoutExpired:
        raise BenchError(f"{Path(command[0]).name} does not end") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise BenchError(f"{Path(command[0]).name}: {said[-1] if said else done.returncode}")
    return done.stdout
