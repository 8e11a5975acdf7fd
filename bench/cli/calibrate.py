"""The command ``calibrate`` measures the generator itself, beside wrk and Locust."""

import argparse
from collections.abc import Sequence

from bench.calibrate import parts
from bench.calibrate.table import Section, markdown
from bench.cli.arguments import ANY_EXITS, STACK_EXITS, Command, add_json, show, show_json
from bench.errors import ExitCode, progress
from machine.arguments import one_of, real, whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", nargs="*", metavar="PART", type=one_of("part", parts.PARTS),
        help=f"of {', '.join(parts.PARTS)} (default: all)")  # fmt: skip
    add("--pairs", type=whole("pairs", parts.PAIRS_MAX), default=8, metavar="N",
        help="bursts of each side (default: %(default)s)")  # fmt: skip
    add("--duration", type=real(parts.BURST_S_MAX, parts.BURST_S_MIN), metavar="S",
        default=5.0, help="of a burst (default: %(default)g)")  # fmt: skip
    add_json(parser)


def run(args: argparse.Namespace) -> ExitCode:
    def tell(sections: Sequence[Section]) -> None:
        if args.json:
            show_json([section.to_json() for section in sections])
        else:
            show(markdown(sections))

    holds = parts.calibrate(args.names, args.pairs, args.duration, progress, tell)
    return ExitCode.DONE if holds else ExitCode.FAILED


COMMAND = Command(
    "calibrate",
    "this project's own generator: its ceiling, beside wrk and Locust",
    "ceiling recording --pairs 4",
    add_arguments,
    run,
    (*ANY_EXITS, *STACK_EXITS),
)
