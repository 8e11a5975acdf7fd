"""Locust with its web UI on a stack, until Ctrl-C."""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.generator.fleet import KILL_TIMEOUT_S, PROJECT_DIR, STOP_TIMEOUT_S, spec_of
from bench.run.settings import Settings
from machine import ports
from machine.processes import Supervisor
from system.runtime.stack import Stack, StackOptions

NAME = "locust"
POLL_S = 0.2
"""Between looks at Locust and the stack."""


def serve(
    settings: Settings, web_port: int, arguments: Sequence[str], progress: Callable[[str], object]
) -> None:
    """Returns when Locust has ended by itself. Raises `StackError` when a part ended or failed."""
    options = StackOptions(workers=settings.workers)
    with Stack(options, progress=progress) as stack, tempfile.TemporaryDirectory() as folder:
        port = ports.choose(web_port, "--web-port")
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
        ]
    phase = settings.open_phase("page", settings.schedule())
    spec = spec_of(url, settings.load(), phase, settings.seed, folder)
    path = folder / "spec.json"
    path.write_bytes(replace(spec, go="").to_json())
    return ["--locustfile", "locustfiles/open_loop.py", "--spec", str(path)]
