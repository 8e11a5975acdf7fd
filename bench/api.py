"""Python programs measure by these functions, as ``import bench`` offers them: docs/python.md.

run = bench.measure("workload.toml", "http://localhost:8080", rate=200)
for phase, window in run.windows: ...
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from bench.cli.run import COMMAND
from bench.errors import BenchError, UsageError
from bench.records.run_files import read_run
from bench.records.run_record import RunRecord
from bench.run.run import Run
from machine.arguments import Parser
from machine.errors import StackError

__all__ = ("BenchError", "RunRecord", "StackError", "measure", "read_run")


class _Options(Parser):
    """These are the options of ``python -m bench run``, with their limits; a fault is raised."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))


def measure(
    workload: Path | str | None = None,
    target: str | None = None,
    *,
    rate: float | str | None = None,
    users: Sequence[int] = (),
    duration_s: float | None = None,
    quick: bool = False,
    seed: int = 1,
    generators: int = 1,
    in_flight: int | None = None,
    agents: Sequence[str] = (),
    p99_ms: float | None = None,
    max_failed_percent: float | None = None,
    ca: Path | str | None = None,
    insecure: bool = False,
    results: Path | str = "results",
    progress: Callable[[str], object] = lambda line: None,
) -> RunRecord:
    """`measure` loads a server, and returns the record of the run, which ``run.json`` has too.

    `workload` is a file as docs/any-service.md has it, `target` the URL that it is for. Without a
    workload the shop is loaded: at the target, a gateway's URL, or on a stack of its own. `rate`
    is of an open loop, in requests/s, or a schedule in words; `users` are of closed loops, one
    after the other; one of the two is given. Each window takes `duration_s`, by default 20 s, or
    4 s where it is `quick`, after a warm-up. The run's folder, ``results/<run_id>``, has all else
    that is recorded. `generators` are processes, each of which has at most `in_flight` requests of
    an open loop under way, by default 2,000. `agents`, as "10.0.0.7:7070", send in place of this
    machine. `progress` is told how far it is.

    What the run is worth is its `verdict`: it is returned also where the run is void, failed,
    invalid or interrupted. It raises `BenchError` for wrong values, a workload that can't be used
    or a target that does not listen, and `StackError` where a stack does not come up. The message
    is one line.
    """
    for name, several, form in (
        ("users", users, "numbers, as (1, 64)"),
        ("agents", agents, 'addresses, as ("10.0.0.7:7070",)'),
    ):
        if isinstance(several, str) or not isinstance(several, Sequence):
            raise UsageError(f"{name}: a sequence of {form}")
    if (rate is None) is (not users):
        raise UsageError("a rate or users: one of them")
    given = {
        "--workload": workload,
        "--target": target,
        "--rate": rate,
        "--users": ",".join(map(str, users)) or None,
        "--duration": duration_s,
        "--seed": seed,
        "--generators": generators,
        "--in-flight": in_flight,
        "--agents": ",".join(map(str, agents)) or None,
        "--p99-ms": p99_ms,
        "--max-failed": max_failed_percent,
        "--ca": ca,
        "--out": results,
    }
    words = [f"{option}={value}" for option, value in given.items() if value is not None]
    words += [option for option, is_set in (("--quick", quick), ("--insecure", insecure)) if is_set]
    options = _Options(add_help=False, allow_abbrev=False)
    COMMAND.add_arguments(options)
    assert COMMAND.plan is not None
    plan = COMMAND.plan(options.parse_args(words))
    _, folder = Run(plan.settings, Path(results), progress).execute()
    return read_run(folder)
