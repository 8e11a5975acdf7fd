"""These commands run the Python programs of a stack: topics, gateways, and what makes the job."""

import sys
from collections.abc import Sequence
from pathlib import Path

from machine import ports
from system.runtime.options import StackOptions

ECHO = "echo"
"""A gateway can tell by this service whether the services answer."""


def python(module: str, *arguments: str) -> list[str]:
    """`python` returns the command that runs a module."""
    return [sys.executable, "-m", module, *arguments]


def topics(options: StackOptions, bootstrap_servers: str, timeout_s: float) -> list[str]:
    """`topics` returns the command that makes the topics."""
    partitions = options.partitions
    return python(
        "system.runtime.topics",
        *("--bootstrap", bootstrap_servers),
        *("--tasks", str(options.parallelism)),
        *(() if partitions is None else ("--partitions", str(partitions))),
        *("--topic-mib", str(options.topic_mib)),
        *("--replication", str(options.replication)),
        f"--topic-prefix={options.topic_prefix}",
        *("--timeout-s", str(timeout_s)),
    )


def gateway(options: StackOptions, bootstrap_servers: str, url: str, number: int) -> list[str]:
    """`gateway` returns the command of one of several gateways, which count from 1."""
    gateway_id = options.name or "gw"
    return python(
        "system.gateway",
        *("--bootstrap", bootstrap_servers),
        *("--host", ports.HOST, "--port", url.rpartition(":")[2]),
        *("--gateway-id", gateway_id if number == 1 else f"{gateway_id}_{number}"),
        *("--ready-by", "services" if ECHO in options.services else "kafka"),
        *("--workers", str(options.workers)),
        *("--timeout-s", str(options.timeout_s)),
        f"--topic-prefix={options.topic_prefix}",
        *options.gateway_options,
    )


def job(options: StackOptions, bootstrap_servers: str, execution_mode: str) -> list[str]:
    """`job` returns the module that makes the job, and its arguments."""
    return [
        "system.flink_job.pipeline",
        *("--bootstrap", bootstrap_servers),
        *("--services", ",".join(options.services)),
        f"--topic-prefix={options.topic_prefix}",
        *("--execution-mode", execution_mode),
        *("--parallelism", str(options.parallelism)),
        *("--checkpoint-interval-s", str(options.checkpoint_interval_s)),
        *("--known-task-mib", str(options.known_task_mib)),
        *("--window-s", str(options.window_s)),
        *("--timeout-s", str(options.timeout_s)),
        *(("--state-backend", options.state_backend) if options.state_backend else ()),
    ]


def submission(
    made: Sequence[str],
    connector: Sequence[Path],
    rest: str,
    job_name: str,
    job_id: str,
    begin: str | None,
) -> list[str]:
    """`submission` returns the command that submits what `job` made, with its jars, to the Flink at
    `rest`."""
    return python(
        *made,
        *("--connector-jars", ",".join(map(str, connector))),
        *("--rest", rest, "--job-name", job_name, "--job-id", job_id),
        *(("--savepoint", begin) if begin else ()),
    )
