"""Commands share these: what a command is, options, and how a result is shown."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import ExitCode, UsageError
from bench.generator.spec import SCENARIOS
from bench.result_files import to_json
from bench.run.model import Probing, Search
from bench.run.settings import DURATION_S_MAX, GENERATORS_MAX, Settings
from bench.workload.address import Address, AddressError
from bench.workload.arrivals import ARRIVALS, Schedule, ScheduleError
from bench.workload.http_file import Thresholds, read_workload
from machine import ports
from machine.arguments import positive, real, whole

SEED_MAX = 2**31 - 1
"""A seed has 31 bits at most, as every random generator takes."""

ANY_EXITS = (ExitCode.DONE, ExitCode.FAILED, ExitCode.USAGE)
STACK_EXITS = (ExitCode.STACK_FAILED, ExitCode.INTERRUPTED)


RUN_COMMAND_EXITS = (
    *ANY_EXITS,
    ExitCode.VOID,
    ExitCode.UNANSWERED,
    ExitCode.UNREADABLE,
    *STACK_EXITS,
)
ZIPF_MAX = 5.0
"""The skew of item popularity is at most this; far beyond any market."""
IN_FLIGHT_MAX = 20_000
"""A larger `--in-flight` is refused: above the ports that one address has, nothing can connect."""
BASKET_MAX = 100
"""A larger `--basket` is refused: an order of the shop has no more lines."""
TRACE_EVERY_MAX = 1_000_000
"""A larger `--trace-every` is refused: one request in a million tells nothing."""

DEFAULT = Settings()


class Plan(NamedTuple):
    """A plan is what a command wants measured."""

    settings: Settings
    task: Search | Probing | None = None


class Command(NamedTuple):
    """A command is one of ``python -m bench``, as `bench.cli.main` adds and calls it."""

    name: str
    help: str
    """`help` is half a line for the list of commands."""
    example: str = ""
    """`example` is a call that makes sense, without ``python -m bench NAME``."""
    add_arguments: Callable[[argparse.ArgumentParser], object] = lambda parser: None
    run: Callable[[argparse.Namespace], int] = lambda args: ExitCode.DONE
    """`run` returns the exit code; what it raises is `bench.cli.main`'s to say."""
    exits: Sequence[ExitCode] = ANY_EXITS
    plan: Callable[[argparse.Namespace], Plan] | None = None
    """`plan` is what to measure, in place of `run`: `bench.cli.main` has it measured and shown."""
    parts: Sequence["Command"] = ()
    """`parts` are commands below this one, which then does nothing by itself."""


def url(text: str) -> str:
    """`url` is an argparse type: a server's URL, as `Address.of` reads it, in ASCII and without a
    slash."""
    try:
        found = Address.of(text)
    except AddressError as cause:
        raise argparse.ArgumentTypeError(str(cause)) from None
    return f"http{'s' if found.tls else ''}://{found.netloc}{found.prefix}"


def percent(text: str) -> float:
    """`percent` is an argparse type: a share of 1, given in percent, with the sign or without."""
    return real(100, 0)(text.removesuffix("%")) / 100


def gateway_url(text: str) -> str:
    """`gateway_url` is an argparse type: as `url`, of a gateway, which speaks no TLS."""
    found = url(text)
    if found.startswith("https:"):
        raise argparse.ArgumentTypeError(f"{found!r}: a gateway is reached by http://")
    return found


# ---- options that several commands have


def add_seed(parser: argparse.ArgumentParser, default: int = 1) -> None:
    parser.add_argument("--seed", type=whole("a seed", SEED_MAX, 0), metavar="N", default=default,
                        help="of all that is random (default: %(default)s)")  # fmt: skip


def add_results(parser: argparse.ArgumentParser, option: str = "--out") -> None:
    parser.add_argument(option, type=Path, default=Path("results"), metavar="FOLDER",
                        help="where the run's folder is made (default: %(default)s)")  # fmt: skip


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


# ---- options of a load


def add_shop(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--scenario", choices=SCENARIOS, default=DEFAULT.scenario,
        help="what users do (default: %(default)s)")  # fmt: skip
    add("--zipf", type=real(ZIPF_MAX, 0), default=DEFAULT.zipf, metavar="X",
        help="skew of the items' popularity, for --scenario checkout")  # fmt: skip
    add("--basket", type=whole("items", BASKET_MAX), default=DEFAULT.basket, metavar="N",
        help="items of each basket, for --scenario checkout (default: 1 to 10)")  # fmt: skip
    add_seed(parser)
    add("--workers", type=whole("workers", ports.WORKERS_MAX), default=DEFAULT.workers, metavar="N",
        help="gateway processes (default: %(default)s)")  # fmt: skip


def add_load(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--target", type=url, metavar="URL",
        help="a gateway that is up already; with --workload any server")  # fmt: skip
    add("--workload", type=Path, metavar="FILE",
        help="requests to any service at --target: docs/any-service.md")  # fmt: skip
    add("--ca", type=Path, metavar="FILE", help="certificates to trust, in PEM, for https")
    add("--insecure", action="store_true", help="do not check the target's certificate")
    add("--arrivals", choices=ARRIVALS, default=DEFAULT.arrivals,
        help="of an open loop (default: %(default)s)")  # fmt: skip
    add("--in-flight", type=whole("requests", IN_FLIGHT_MAX), metavar="N",
        default=DEFAULT.in_flight_max,
        help="each generator's, of an open loop; others are dropped (%(default)s)")  # fmt: skip
    add("--trace-every", type=whole("requests", TRACE_EVERY_MAX, 0), metavar="N",
        default=DEFAULT.trace_every,
        help="trace each N-th request of an open loop (default: none)")  # fmt: skip
    add("--generators", type=whole("generators", GENERATORS_MAX), metavar="N",
        default=DEFAULT.generators, help="processes (default: 1)")  # fmt: skip
    add("--duration", type=positive(DURATION_S_MAX), metavar="S",
        help="seconds measured of each phase (default: 20; quick: 4)")  # fmt: skip
    add_results(parser)
    add_json(parser)


def shop_settings(args: argparse.Namespace) -> Settings:
    """`shop_settings` returns what `add_shop` reads. It raises `UsageError` for what does not fit
    together."""
    for name in ("zipf", "basket"):
        if getattr(args, name) and args.scenario != "checkout":
            raise UsageError(f"--{name} is for --scenario checkout")
    return Settings(
        scenario=args.scenario,
        zipf=args.zipf,
        basket=args.basket,
        seed=args.seed,
        workers=args.workers,
    )


def load_settings(args: argparse.Namespace) -> Settings:
    """`load_settings` returns what `add_shop` and `add_load` read.

    It raises `UsageError` for options that do not fit together, `WorkloadError` for the file.
    """
    settings = shop_settings(args)
    if args.workload is not None:
        if not args.target:
            raise UsageError("--workload needs the --target that it is for")
        settings = with_thresholds(settings, read_workload(args.workload).thresholds)
    elif args.target and args.target.startswith("https:"):
        raise UsageError("--target: a gateway is reached by http://; https:// needs a --workload")
    if (args.ca or args.insecure) and not (args.target or "").startswith("https:"):
        raise UsageError("--ca and --insecure are for a --target of https")
    if args.ca and args.insecure:
        raise UsageError("--ca says whom to trust, --insecure trusts all: only one of them")
    return replace(
        settings,
        ca=None if args.ca is None else str(args.ca.resolve()),
        insecure=args.insecure,
        workload=None if args.workload is None else str(args.workload),
        arrivals=args.arrivals,
        in_flight_max=args.in_flight,
        trace_every=args.trace_every,
        generators=args.generators,
        target=args.target,
    )


def with_thresholds(settings: Settings, thresholds: Thresholds) -> Settings:
    """`with_thresholds` returns the settings with those limits that are given."""
    given = {name: value for name, value in thresholds._asdict().items() if value is not None}
    return replace(settings, **given)


def schedule_of(settings: Settings, option: str) -> Schedule:
    """`schedule_of` returns that of the rate, before anything is started. It raises `UsageError`,
    which begins with the `option`."""
    try:
        return settings.schedule()
    except ScheduleError as cause:
        raise UsageError(f"{option} {cause}") from None


def with_schedule(settings: Settings, rate: str | None) -> Settings:
    """`with_schedule` returns the settings with an open loop, where there is a rate. It raises
    `UsageError`."""
    settings = replace(settings, rate=rate)
    if rate is not None:
        schedule = schedule_of(settings, "--rate")
        if schedule.duration_s > DURATION_S_MAX:
            line = f"{rate!r}: {schedule.duration_s:g} s, at most {DURATION_S_MAX:g} are allowed"
            raise UsageError(f"--rate {line}")
    return settings


# ---- how a result is shown


def show(text: str) -> None:
    """`show` prints a result, on stdout."""
    print(text, flush=True)


def show_json(content: Any) -> None:
    """`show_json` prints a result as JSON, on stdout."""
    sys.stdout.write(to_json(content).decode())
    sys.stdout.flush()
