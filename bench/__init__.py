"""The bench loads the reference system, records what happened, and judges the record afterwards.

The way of one measurement, ``python -m bench run --rate 300``, through the files:

1.  `cli/main.py` finds the command; `cli/run.py` makes of its options the `Settings` of
    `run/settings.py`, which name the phases: a warm-up, then each load that is measured.
2.  `run/run.py` brings a stack up (`system.runtime.stack`), makes the run's folder, and walks the
    phases.
3.  `run/phase_runner.py` runs a phase: it starts the generators, opens the window when they are
    ready, and reads CPU, JVMs and Kafka (`observe/`) at both ends of it.
4.  `generator/fleet.py` starts them. For a rate each is `generator/process.py`: what to send comes
    from `workload/sources.py`, and when from `workload/arrivals.py`. For users each is Locust. With
    `--agents` they run elsewhere, and `remote/leader.py` has their files grow here all the same.
5.  `generator/engine.py` sends, over `generator/connection.py`, or with `--kafka` by
    `kafka/slots.py`. Every request is a sample (`records/samples.py`), and with its reply a row of
    the history (`records/request_log.py`).
6.  Meanwhile `observe/sampler.py` looks at processes, gateway, Kafka and Flink each second.
7.  `run/phase_figures.py` makes figures of the window's samples (`stats/`), and says by
    `judge/generator_health.py` and `judge/host_health.py` whether they are the system's.
8.  After all phases `judge/final_reads.py` reads every entity once more, `judge/invariants.py`
    checks history and reads against the contract, `judge/ledger.py` accounts for every request.
9.  `run/record.py` puts all of it into run.json. `report/markdown.py` and `report/build.py` make
    summary.md and report.html from what is recorded alone, and so can anybody later.
10. `compare/comparison.py` puts two sets of such runs side by side.

A probe (`probes/registry.py`) takes the place of 3 to 8, `run/capacity.py` repeats 3 to 7 at higher
and higher rates, and `regression/job.py` does all of it for two commits in turns. Nothing here is
imported by the system; of the system only wire format, routes and runtime are used.

``import bench`` offers Python programs the names of `__all__`, which `api.py` has: they are stable.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import BenchError as BenchError
    from bench.api import RunRecord as RunRecord
    from bench.api import StackError as StackError
    from bench.api import measure as measure
    from bench.api import read_run as read_run

__all__ = ("BenchError", "RunRecord", "StackError", "measure", "read_run")


def __getattr__(name: str) -> Any:
    """A name of the API is loaded when it is asked for: most of the bench needs none of it."""
    if name in __all__:
        return getattr(import_module("bench.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
