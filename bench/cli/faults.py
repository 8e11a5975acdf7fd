"""The command ``faults`` puts faults into a stack under load, and tells whether promises held."""

import argparse
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from bench.atomic_files import make_folder, to_json, write
from bench.cli.arguments import (
    ANY_EXITS,
    SEED_MAX,
    STACK_EXITS,
    Command,
    add_json,
    add_results,
    add_seed,
    show,
    show_json,
)
from bench.errors import BenchError, ExitCode, UsageError, progress
from bench.faults.fault import FAULTS
from bench.faults.injection import Injection
from bench.faults.judgement import Found, judge
from bench.faults.table import into, table
from bench.observe.gateway import scrape_quiet
from bench.records.request_log import History
from bench.records.run_record import Environment
from bench.records.series import foremost
from bench.records.series_file import read_series, write_series
from bench.run.environment import commit, environment
from bench.run.model import Subject, System
from bench.run.run import Run
from bench.run.settings import DURATION_S_MAX, Settings
from machine.arguments import one_of, positive, whole
from system.runtime.stack import Stack

AFTER_S = 20.0
"""The load goes on for so long after a fault is healed, unless ``--duration`` says otherwise."""
RATE_PER_S = 100.0
"""The load's rate where ``--rate`` doesn't say: far below any capacity, so that what is slow is the
fault's doing."""
RATE_PER_S_MAX = 5000.0
"""The highest rate of a load under faults: the final reads of a longer history take minutes."""
SEEDS_MAX = 10
"""One call takes at most so many seeds; a campaign of more is several calls."""
WARM_UP_S = 10.0
"""The longest warm-up: a stack that just came up still compiles."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", type=one_of("fault", FAULTS),
        help=f"of {', '.join(FAULTS)} (default: all)")  # fmt: skip
    add_seed(parser)
    add("--seeds", type=whole("seeds", SEEDS_MAX), default=1, metavar="N",
        help="so many, beginning with --seed (default: %(default)s)")  # fmt: skip
    add("--duration", type=positive(DURATION_S_MAX), default=AFTER_S, metavar="S",
        help="seconds of load after the healing (default: %(default)g)")  # fmt: skip
    add("--rate", type=positive(RATE_PER_S_MAX), default=RATE_PER_S, metavar="RATE",
        help="requests/s of the open loop (default: %(default)g)")  # fmt: skip
    add("--doc", type=Path, metavar="FILE",
        help="a page whose table of faults is written anew")  # fmt: skip
    add_results(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """`run` raises `BenchError` for what can't be read or written, and `StackError`."""
    from bench.report import build  # loading what draws takes a second

    if args.seed + args.seeds - 1 > SEED_MAX:
        raise UsageError(f"--seed: with --seeds the last one is above {SEED_MAX}")
    page = None if args.doc is None else _page(args.doc)
    make_folder(args.out)
    found: list[Found] = []
    where = environment(own_stack=True)
    for name in args.names or FAULTS:
        for seed in range(args.seed, args.seed + args.seeds):
            one, folder = inject(name, seed, args.rate, args.duration, args.out)
            found.append(one)
            write(folder / "fault.json", to_json(asdict(one)))
            progress(f"recorded in {folder}; to look at: {build.build(folder)}")
    text = table(found, _about(args, where))
    if page is not None:
        write(args.doc, into(page, text).encode())
    if args.json:
        show_json([asdict(one) for one in found])
    else:
        show(text)
    return ExitCode.DONE if all(one.holds for one in found) else ExitCode.FAILED


def _page(path: Path) -> str:
    try:
        page = path.read_text()
        into(page, "")
    except (OSError, ValueError) as cause:
        raise UsageError(f"--doc {path}: {cause}") from None
    return page


def _about(args: argparse.Namespace, where: Environment) -> str:
    source = commit()
    dirty = ", and changes that are not in it" if source.dirty else ""
    return (
        f"Commit {source.id}{dirty}; {where.cores} cores of {where.cpu_model}; "
        f"{args.rate:g} requests/s, {args.duration:g} s after the healing."
    )


def inject(
    name: str, seed: int, rate_per_s: float, after_s: float, results: Path
) -> tuple[Found, Path]:
    """`inject` runs the load on a stack of its own, with one fault; it returns what was found, and
    the run's folder."""
    fault = FAULTS[name]
    measured_s = fault.span_s + after_s
    if measured_s > DURATION_S_MAX:
        raise UsageError(f"--duration: {name} takes {fault.span_s:g} s of {DURATION_S_MAX:g}")
    settings = Settings(
        users=(), rate=f"{rate_per_s:g}", seed=seed, duration_s=measured_s, max_failed=1.0,
        first_warmup_s=WARM_UP_S,
    )  # fmt: skip
    progress(f"fault {name}, seed {seed}: {measured_s:g} s at {rate_per_s:g} requests/s")
    with Stack(progress=progress) as stack, stack.restarts.in_thread():
        system = System(
            stack.url,
            stack.pids,
            lambda: None,  # what dies is started anew
            stack.bootstrap_servers,
            stack.flink_rest,
            stack.gc_logs,
        )
        subject = Subject(system, commit(), environment(own_stack=True))
        injection = Injection(name, fault, stack, seed, results, settings.warmup_s, progress)
        with injection:
            record, folder = Run(settings, results, progress, subject=subject).execute()
        in_flight = None
        with suppress(BenchError):
            in_flight = scrape_quiet(stack.url, settings.workers).in_flight
    if injection.began_ns is not None and record.phases and record.phases[-1].series:
        path = folder / record.phases[-1].series
        series = read_series(path)
        write_series(path, series._replace(events=foremost([*series.events, injection.event()])))
    histories = History(sorted(folder.glob("history-*")))
    bite = (injection.began_ns, injection.healed_ns, injection.proof)
    return judge(name, fault, record, histories, bite, in_flight), folder


COMMAND = Command(
    "faults",
    "faults under load, each healed, and whether every promise held",
    "kill-broker --seed 7",
    add_arguments,
    run,
    exits=(*ANY_EXITS, *STACK_EXITS),
)
