"""The commands ``faults`` and ``soak`` put faults into a stack under load, and tell what held."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench.cli.arguments import (
    ANY_EXITS,
    SEED_MAX,
    STACK_EXITS,
    Command,
    add_json,
    add_results,
    add_seed,
    schedule_of,
    show,
    show_json,
)
from bench.errors import BenchError, ExitCode, UsageError, progress
from bench.faults.campaign import Campaign, settings_of
from bench.faults.fault import CLUSTER_FAULTS, DEADLINE_S, FAULTS, Fault, Planned
from bench.faults.injection import Injection
from bench.faults.judgement import Found, Loaded
from bench.faults.soak import EVERY_S, NAMES, load_of, plan, soak
from bench.faults.table import into, summary, table
from bench.faults.up import CLUSTER_OPTIONS, Up, Watch, held_by
from bench.observe.gateway import scrape_quiet
from bench.probes.registry import run_probes
from bench.records.request_log import History
from bench.records.series import foremost
from bench.records.series_file import read_series, write_series
from bench.result_files import make_folder
from bench.run.environment import commit, environment
from bench.run.model import Subject, System
from bench.run.record import was_interrupted
from bench.run.run import Run
from bench.run.settings import DURATION_S_MAX, Settings
from machine.arguments import one_of, positive, whole
from machine.whole_files import write

RATE_PER_S = 100.0
"""The load's rate where ``--rate`` doesn't say: far below any capacity, so that what is slow is the
fault's doing."""
SOAK_RATE_PER_S_MIN = 10.0
"""The lowest rate of a soak, whose window is a minute: what is sent again late comes some hundred
requests later."""
RATE_PER_S_MAX = 5000.0
"""The highest rate of a load under faults: the final reads of a longer history take minutes."""
TIMES_DEADLINE = 2
"""The load waits so many times as long for an answer as the gateway takes for one at most."""
SEEDS_MAX = 10
"""One call takes at most so many seeds; a campaign of more is several calls."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_campaign(parser, FAULTS)


def _add_campaign(parser: argparse.ArgumentParser, faults: Mapping[str, Fault]) -> None:
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", type=one_of("fault", faults),
        help=f"of {', '.join(faults)} (default: all)")  # fmt: skip
    add("--seeds", type=whole("seeds", SEEDS_MAX), default=1, metavar="N",
        help="so many, beginning with --seed (default: %(default)s)")  # fmt: skip
    add("--duration", type=positive(DURATION_S_MAX), metavar="S",
        help="seconds of load after the healing (default: as long as it may take)")  # fmt: skip
    add("--resume", action="store_true",
        help="what is known below --out, of this commit and rate, is not done again")  # fmt: skip
    add("--doc", type=Path, metavar="FILE",
        help="a page whose table of faults is written anew")  # fmt: skip
    _add_load(parser)


def _add_load(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=positive(RATE_PER_S_MAX), default=RATE_PER_S, metavar="RATE",
                        help="requests/s of the open loop (default: %(default)g)")  # fmt: skip
    add_seed(parser)
    add_results(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """`run` raises `BenchError` for what can't be read or written, and `StackError`."""
    return _run_campaign(args, FAULTS)


def _run_campaign(
    args: argparse.Namespace, faults: Mapping[str, Fault], options: Sequence[str] = ()
) -> ExitCode:
    from bench.report import build  # loading what draws takes a second

    if args.seed + args.seeds - 1 > SEED_MAX:
        raise UsageError(f"--seed: with --seeds the last one is above {SEED_MAX}")
    names = args.names or list(faults)
    for name in names:
        if args.duration and faults[name].span_s + args.duration > DURATION_S_MAX:
            raise UsageError(
                f"--duration: {name} takes {faults[name].span_s:g} s of {DURATION_S_MAX:g}"
            )
        schedule_of(settings_of(faults[name], args.seed, args.rate, args.duration), "--rate:")
    page = None if args.doc is None else _page(args.doc)
    make_folder(args.out)
    load = partial(loaded, args.out)
    with Campaign(load, faults, args.rate, args.duration, args.out, progress, options) as campaign:
        found = campaign.recorded() if args.resume else {}
        for seed in range(args.seed, args.seed + args.seeds):
            missing = [name for name in names if (name, seed) not in found]
            for one, folder in campaign.run(missing, [seed]):
                found[one.fault, seed] = one
                progress(f"{one.fault}, seed {seed}: {'; '.join([one.state, *one.broken])}")
                progress(f"recorded in {folder}; to look at: {build.build(folder)}")
    asked = [(name, seed) for name in names for seed in range(args.seed, args.seed + args.seeds)]
    return _show(args, [found[each] for each in asked], page)


def loaded(
    results: Path, settings: Settings, up: Up, planned: Sequence[Planned],
    figures: Callable[[Up], Mapping[str, float]] = held_by,
) -> Loaded:  # fmt: skip
    """`loaded` loads a stack, puts the faults in meanwhile, and draws them and the `figures` on the
    time axis.

    It raises `KeyboardInterrupt` where it was interrupted, and `BenchError`.
    """
    deadlines_s = [DEADLINE_S, *(each.fault.deadline_s for each in planned)]
    system = System(
        up.url, up.pids, up.check, up.bootstrap_servers, up.flink_rest, up.gc_logs,
        until_ready=up.until_ready, figures=partial(figures, up), others=tuple(up.urls[1:]),
        answer_timeout_s=TIMES_DEADLINE * max(deadlines_s),
    )  # fmt: skip
    subject = Subject(system, commit(), environment(own_stack=True))
    with Injection(planned, up, results, settings.warmup_s, run_probes, progress) as injection:
        record, folder = Run(settings, results, progress, subject=subject).execute()
    if was_interrupted(record):
        raise KeyboardInterrupt
    in_flight = None
    with suppress(BenchError):
        in_flight = scrape_quiet(up.urls, settings.workers).in_flight
    if record.phases and record.phases[-1].series:
        path = folder / record.phases[-1].series
        series = read_series(path)
        events = [*series.events, *(each.event() for each in injection.done)]
        write_series(path, series._replace(events=foremost(events)))
    history = History(sorted(folder.glob("history-*")))
    return Loaded(record, folder, history, injection.done, in_flight)


def _show(args: argparse.Namespace, found: Sequence[Found], page: str | None) -> ExitCode:
    text = table(found, _about(args, found))
    if page is not None:
        write(args.doc, into(page, text).encode())
    if args.json:
        show_json([asdict(one) for one in found])
    else:
        show(text)
    return exit_of(found)


def exit_of(found: Sequence[Found]) -> ExitCode:
    """`exit_of` returns the exit code for what was found."""
    states = {one.state for one in found}
    if "broken" in states:
        return ExitCode.FAILED
    return ExitCode.VOID if "unknown" in states else ExitCode.DONE


def _page(path: Path) -> str:
    try:
        page = path.read_text()
        into(page, "")
    except (OSError, ValueError) as cause:
        raise UsageError(f"--doc {path}: {cause}") from None
    return page


def _about(args: argparse.Namespace, found: Sequence[Found]) -> str:
    where = environment(own_stack=True)
    commits = ", ".join(sorted({one.commit for one in found}))
    return f"Commit {commits}; {where.cores} cores of {where.cpu_model}; {args.rate:g} requests/s."


COMMAND = Command(
    "faults",
    "faults under load, each healed, and whether every promise held",
    "kill-broker --seed 7",
    add_arguments,
    run,
    exits=(*ANY_EXITS, ExitCode.VOID, *STACK_EXITS),
)
"""The command's exit code is 4 where nothing was broken, and something can't be told."""


# ---- cluster


def add_cluster(parser: argparse.ArgumentParser) -> None:
    _add_campaign(parser, CLUSTER_FAULTS)


def run_cluster(args: argparse.Namespace) -> ExitCode:
    """`run_cluster` raises `BenchError` for what can't be read or written, and `StackError`."""
    return _run_campaign(args, CLUSTER_FAULTS, CLUSTER_OPTIONS)


CLUSTER = Command(
    "cluster",
    "the cluster on this machine loses each of its processes once, under load",
    "lose-kafka-2 --rate 200",
    add_cluster,
    run_cluster,
    exits=(*ANY_EXITS, ExitCode.VOID, *STACK_EXITS),
)


# ---- soak

MINUTES = 45.0
"""A soak takes so long where ``--minutes`` doesn't say: long enough for topics and state to have
their full size for a while; of a shorter one the state is unknown."""
MINUTES_MAX = 58.0
"""A longer soak is refused: the series of a phase end after an hour."""
EVERY_S_MAX = 600.0
"""Faults further apart are refused: there would be none in most soaks."""


def add_soak(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", type=one_of("fault", FAULTS),
        help=f"which faults come (default: {', '.join(NAMES)})")  # fmt: skip
    add("--minutes", type=positive(MINUTES_MAX), default=MINUTES, metavar="N",
        help="of load (default: %(default)g)")  # fmt: skip
    add("--every", type=positive(EVERY_S_MAX), default=EVERY_S, metavar="S",
        help="seconds from fault to fault (default: %(default)g)")  # fmt: skip
    _add_load(parser)


def run_soak(args: argparse.Namespace) -> ExitCode:
    """`run_soak` raises `BenchError` for what can't be written, and `StackError`."""
    from bench.report import build  # loading what draws takes a second

    if args.rate < SOAK_RATE_PER_S_MIN:
        raise UsageError(f"--rate: a soak has {SOAK_RATE_PER_S_MIN:g} requests/s at least")
    names = args.names or NAMES
    duration_s = args.minutes * 60
    schedule_of(load_of(args.seed, args.rate, duration_s), "--rate:")
    make_folder(args.out)
    planned = plan(args.seed, names, duration_s, args.every)
    soaked, folder = soak(
        partial(loaded, args.out, figures=Watch()),
        args.seed,
        args.rate,
        duration_s,
        planned,
        progress,
    )
    text = summary(soaked, {"minutes": args.minutes, "requests/s": args.rate, "seed": args.seed})
    write(folder / "summary.md", text.encode())
    progress(f"recorded in {folder}; to look at: {build.build(folder)}")
    if args.json:
        show_json(asdict(soaked))
    else:
        show(text)
    return exit_of([soaked.found])


SOAK = Command(
    "soak",
    "a long load with a fault again and again: nothing lost, nothing that grows",
    "--minutes 45 --rate 300",
    add_soak,
    run_soak,
    exits=(*ANY_EXITS, ExitCode.VOID, *STACK_EXITS),
)
