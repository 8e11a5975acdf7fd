"""The commands ``run`` and ``capacity`` load the shop, or any service, and say what it holds."""

import argparse
from dataclasses import replace

from bench.cli.arguments import (
    ANY_EXITS,
    DEFAULT,
    RUN_COMMAND_EXITS,
    STACK_EXITS,
    Command,
    Plan,
    add_load,
    add_shop,
    load_settings,
    percent,
    show,
    with_schedule,
    with_thresholds,
)
from bench.errors import RUN_EXITS, ExitCode, UsageError, progress
from bench.records.run_record import Level, RunRecord
from bench.remote import agent
from bench.remote.frames import token
from bench.report import markdown
from bench.result_files import make_folder
from bench.run import capacity
from bench.run.model import Search
from bench.run.run import Run
from bench.run.settings import GENERATORS_MAX, USERS_MAX, Settings
from bench.workload.http_file import P99_MS_MAX, Thresholds, read_workload
from machine.arguments import address, addresses, listen_address, positive, real, whole
from machine.whole_files import write
from system.wire import RECORD_BYTES_MAX


def users(text: str) -> tuple[int, ...]:
    """`users` is an argparse type: numbers of users, each once."""
    counts = tuple(map(whole("users", USERS_MAX), text.split(",")))
    if len(set(counts)) != len(counts):
        raise argparse.ArgumentTypeError(f"{text!r}: each number of users once")
    return counts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="short phases: done within 90 s")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--users", type=users, default=DEFAULT.users, metavar="N,N,...",
                      help="simulated users of each phase (default: 1,64,256)")  # fmt: skip
    kind.add_argument("--rate", metavar="RATE",
                      help="open loop, mean requests/s: 500, 100..1000, or 100,200@10")  # fmt: skip
    parser.add_argument("--p99-ms", type=positive(P99_MS_MAX), metavar="MS",
                        help="a longer p99 fails the run (default: the workload's)")  # fmt: skip
    parser.add_argument("--max-failed", type=percent, metavar="PERCENT",
                        help="of a window's requests; with more, the run failed (default: the "
                        "workload's, or 1)")  # fmt: skip
    parser.add_argument("--locust", action="store_true", help="let Locust walk the --rate")
    add_shop(parser)
    add_load(parser)
    add_ways(parser)


def measure(args: argparse.Namespace, plan: Plan) -> ExitCode:
    """`measure` measures, writes and shows a run. It raises what `Run.execute` does."""
    from bench.report import build  # loading what draws takes a second

    make_folder(args.out)
    run, folder = Run(plan.settings, args.out, progress, plan.task).execute()
    summary = markdown.summarize(run)
    write(folder / "summary.md", summary.encode())
    show((folder / "run.json").read_text().rstrip() if args.json else summary)
    progress(f"recorded in {folder}; to look at: {build.build(folder)}")
    return exit_of(run)


def exit_of(run: RunRecord) -> ExitCode:
    """`exit_of` returns a run's exit code: a failed run of which no promise is known to be broken
    was not answered."""
    is_broken = (
        (run.invariants is not None and any(run.invariants.counts.values()))
        or run.wrong_answers.count
        or any(probe.state == "broken" for probe in run.probes or ())
    )
    if run.verdict == "failed" and not is_broken:
        return ExitCode.UNANSWERED
    return RUN_EXITS[run.verdict]


def plan(args: argparse.Namespace) -> Plan:
    settings = load_settings(args)
    if args.locust and args.rate is None:
        raise UsageError("--locust is for --rate: users are Locust's anyway")
    settings = replace(settings, users=args.users, locust=args.locust)
    settings = with_thresholds(settings, Thresholds(args.p99_ms, args.max_failed))
    if args.locust and args.target and args.target.startswith("https"):
        raise UsageError("--locust loads http only")
    if args.workload is not None and args.rate is not None:
        settings = replace(settings, users=())
    settings = with_ways(settings, args, is_open=args.rate is not None)
    if args.quick:
        settings = settings.quick()
    if args.duration:
        settings = replace(settings, duration_s=args.duration)
    return Plan(with_schedule(settings, args.rate))


COMMAND = Command(
    "run",
    "the shop, or any HTTP service, under load: users (--users), or an open loop (--rate)",
    "--rate 300 --duration 20 --seed 7",
    add_arguments,
    exits=RUN_COMMAND_EXITS,
    plan=plan,
)


# ---- from other machines, and without HTTP


OWN = "own"
"""`--kafka` without an address means the Kafka of the run's own stack."""


def kafka_of(text: str) -> str:
    """`kafka_of` is an argparse type: ``HOST:PORT``, or `OWN`."""
    return text if text == OWN else address(text)


def add_ways(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--agents", type=addresses, metavar="HOST:PORT,...",
                        help="send from where these agents are: `agent --help`")  # fmt: skip
    parser.add_argument("--kafka", nargs="?", const=OWN, type=kafka_of, metavar="HOST:PORT",
                        help="write the shop's records to Kafka's topics, without the gateway; "
                        "the address is that of a --target's Kafka")  # fmt: skip
    parser.add_argument("--record-bytes", type=whole("bytes", RECORD_BYTES_MAX), default=0,
                        metavar="N", help="with --kafka: fill smaller records up")  # fmt: skip


def with_ways(settings: Settings, args: argparse.Namespace, is_open: bool) -> Settings:
    """`with_ways` returns the settings with where the load is sent from, and by what. It raises
    `UsageError` for a load that can't be sent so."""
    settings = _from_agents(settings, args.agents, is_open)
    if args.record_bytes and args.kafka is None:
        raise UsageError("--record-bytes is for --kafka")
    return replace(_by_kafka(settings, args.kafka, is_open), record_bytes=args.record_bytes)


def _by_kafka(settings: Settings, kafka: str | None, is_open: bool) -> Settings:
    if kafka is None:
        return settings
    if not settings.is_shop or not is_open or settings.locust:
        raise UsageError("--kafka is for a --rate of the shop, without --locust")
    if (kafka == OWN) != (settings.target is None):
        raise UsageError("--kafka HOST:PORT goes with --target; --kafka alone is the own stack's")
    if settings.trace_every:
        raise UsageError("--trace-every follows a request from the gateway, which --kafka goes by")
    return replace(settings, kafka=kafka)


def _from_agents(settings: Settings, agents: str | None, is_open: bool) -> Settings:
    """With generators at these agents, at least one at each."""
    if agents is None:
        return settings
    if settings.locust or (settings.is_shop and not is_open):
        raise UsageError("--agents send a --rate, or a --workload: Locust's users are here")
    if settings.trace_every:
        raise UsageError("--trace-every is for generators here: stages need one wall clock")
    token()
    each = tuple(agents.split(","))
    if len(each) > GENERATORS_MAX:
        raise UsageError(f"--agents: {len(each)} addresses, at most {GENERATORS_MAX} may be")
    return replace(settings, agents=each, generators=max(len(each), settings.generators))


def serve(args: argparse.Namespace) -> ExitCode:
    host, _, port = args.listen.rpartition(":")
    agent.serve(host.strip("[]"), int(port), token(), progress)
    return ExitCode.DONE


AGENT = Command(
    "agent",
    "runs generators here for a leader elsewhere, whose `run` or `capacity` names it by --agents",
    "--listen 0.0.0.0:7070",
    lambda parser: parser.add_argument(
        "--listen",
        type=listen_address,
        default="127.0.0.1:7070",
        metavar="HOST:PORT",
        help="where leaders reach it; port 0: any free one (default: %(default)s)",
    ),
    serve,
    exits=(*ANY_EXITS, *STACK_EXITS),
)


# ---- capacity


def add_search(parser: argparse.ArgumentParser) -> None:
    add, level = parser.add_argument, Level()
    add("--p99-ms", type=positive(P99_MS_MAX), metavar="MS",
        help=f"that must hold (default: the workload file's, or {level.p99_ms:g})")  # fmt: skip
    add("--failed-share", type=real(1, 0), metavar="X",
        help=f"that is allowed (default: the file's, or {level.failed_share:g})")  # fmt: skip
    add("--start", type=positive(capacity.RATE_PER_S_MAX), default=capacity.START_PER_S,
        metavar="RATE", help="requests/s to try first (default: %(default)g)")  # fmt: skip
    add_shop(parser)
    add_load(parser)
    add_ways(parser)


def plan_search(args: argparse.Namespace) -> Plan:
    settings = with_ways(load_settings(args), args, is_open=True)
    if args.duration:
        settings = replace(settings, duration_s=args.duration)
    file = read_workload(args.workload).thresholds if args.workload else Thresholds()
    p99_ms = args.p99_ms or file.p99_ms or Level().p99_ms
    shares = (args.failed_share, file.max_failed, Level().failed_share)
    failed_share = next(share for share in shares if share is not None)
    return Plan(settings, Search(Level(p99_ms, failed_share), args.start))


CAPACITY = Command(
    "capacity",
    "the highest rate that holds for a service level",
    "--p99-ms 50",
    add_search,
    exits=RUN_COMMAND_EXITS,
    plan=plan_search,
)
