"""The command ``locust`` opens Locust with its web UI on a stack, until Ctrl-C."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.cli.arguments import (
    ANY_EXITS,
    STACK_EXITS,
    Command,
    add_shop,
    shop_settings,
    with_schedule,
)
from bench.errors import ExitCode, progress
from bench.generator.fleet import KILL_TIMEOUT_S, STOP_TIMEOUT_S, spec_of
from bench.project import PROJECT_DIR
from bench.run.load import load_of
from bench.run.settings import DURATION_S_MAX, Settings
from machine import ports
from machine.arguments import port_or_any, positive
from machine.processes import Supervisor
from system.runtime.options import StackOptions
from system.runtime.stack import Stack

NAME = "locust"
POLL_S = 0.2
"""This much time passes between looks at Locust and the stack."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--web-port", type=port_or_any, metavar="PORT",
        help=ports.LOCUST_PAGE.help)  # fmt: skip
    add("--rate", metavar="RATE", help="an open loop instead of users; as for run")
    add("--duration", type=positive(DURATION_S_MAX), metavar="S",
        help="of the open loop (default: 20)")  # fmt: skip
    add_shop(parser)
    add("arguments", nargs="*", metavar="-- ARGUMENT", help="further arguments for Locust")


def run(args: argparse.Namespace) -> ExitCode:
    settings = shop_settings(args)
    if args.duration:
        settings = replace(settings, duration_s=args.duration)
    serve(with_schedule(settings, args.rate), args.web_port, args.arguments)
    return ExitCode.DONE


def serve(settings: Settings, web_port: int | None, arguments: Sequence[str]) -> None:
    """`serve` returns when Locust has ended by itself. It raises `StackError` when a part ended or
    failed."""
    options = StackOptions(
        port=None, kafka_port=None, flink_rest_port=None, workers=settings.workers
    )
    with (
        ports.hold(web_port, ports.LOCUST_PAGE, "--web-port", progress) as port,
        Stack(options, progress=progress) as stack,
        tempfile.TemporaryDirectory() as folder,
    ):
        supervisor = Supervisor()
        try:
            command = [
                *(sys.executable, "-m", "locust", "--host", stack.url),
                *("--web-host", ports.HOST, "--web-port", str(port)),
                *("--stop-timeout", str(STOP_TIMEOUT_S)),
                *_locustfile(settings, stack.url, Path(folder)),
                *arguments,
            ]
            log = Path(folder) / "locust.log"
            locust = supervisor.start(NAME, command, log=log, cwd=PROJECT_DIR)
            supervisor.wait_for(lambda: not ports.is_free(port), "Locust's web UI", KILL_TIMEOUT_S)
            progress(f"Locust is at http://{ports.HOST}:{port}; Ctrl-C ends it and the stack")
            while locust.exit_code() != 0:
                supervisor.check()
                stack.check()
                time.sleep(POLL_S)
        finally:
            supervisor.stop((NAME,), KILL_TIMEOUT_S)
            supervisor.close()


def _locustfile(settings: Settings, url: str, folder: Path) -> list[str]:
    """The scenario, or a schedule that begins when somebody starts it on the page."""
    if settings.rate is None:
        return [
            *("--locustfile", f"locustfiles/{settings.scenario}.py"),
            *("--seed", str(settings.seed), "--zipf", str(settings.zipf)),
            *("--basket", str(settings.basket)),
        ]
    phase = settings.open_phase("page", settings.schedule())
    spec = spec_of(url, load_of(settings), phase, settings.seed, folder)
    path = folder / "spec.json"
    path.write_bytes(replace(spec, go="").to_json())
    return ["--locustfile", "locustfiles/open_loop.py", "--spec", str(path)]


COMMAND = Command(
    "locust",
    "Locust's web page, on a stack of its own",
    "--scenario checkout -- --tags read",
    add_arguments,
    run,
    (*ANY_EXITS, *STACK_EXITS),
)
