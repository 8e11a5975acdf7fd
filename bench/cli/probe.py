"""The command ``probe`` tests single promises of the system, each judged by itself."""

import argparse

from bench.cli.arguments import (
    RUN_COMMAND_EXITS,
    Command,
    Plan,
    add_json,
    add_results,
    add_seed,
    gateway_url,
)
from bench.probes.registry import PROBES, run_probes
from bench.probes.target import OWN_STACK, Options
from bench.records.run_record import ProbeRecord
from bench.run.model import Probing, Progress, System
from bench.run.settings import Settings
from machine.arguments import address, one_of, real
from system.runtime.options import StackOptions
from system.wire import TIMEOUT_S_MAX, TIMEOUT_S_MIN


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", type=one_of("probe", PROBES),
        help=f"of {', '.join(PROBES)} (default: all)")  # fmt: skip
    add("--target", type=gateway_url, metavar="URL", help="a gateway that nobody else uses")
    add("--kafka", type=address, metavar="HOST:PORT", help="of the target")
    add("--timeout-s", type=real(TIMEOUT_S_MAX, TIMEOUT_S_MIN), metavar="S",
        help="of the target's gateway (default: 5)")  # fmt: skip
    add_seed(parser)
    add_results(parser)
    add_json(parser)


def plan(args: argparse.Namespace) -> Plan:
    options = OWN_STACK if args.target is None else Options()
    options = options._replace(seed=args.seed)
    if args.timeout_s:
        options = options._replace(timeout_s=args.timeout_s)
    settings = Settings(seed=args.seed, target=args.target)

    def probe(system: System, progress: Progress) -> list[ProbeRecord]:
        kafka = args.kafka or system.bootstrap
        return run_probes(args.names, system.url, kafka, options, progress)

    stack = StackOptions(
        timeout_s=options.timeout_s,
        gateway_options=(f"--in-flight-max={options.in_flight_max}",),
    )
    return Plan(settings, Probing(probe, stack))


COMMAND = Command(
    "probe",
    "single promises, each on its own: what a timeout, an overload, a late reply do",
    "timeout overload",
    add_arguments,
    exits=RUN_COMMAND_EXITS,
    plan=plan,
)
