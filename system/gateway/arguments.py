"""A gateway's command line is read here, also by who only hands its options on."""

import argparse
from collections.abc import Sequence
from dataclasses import fields

from machine import ports
from machine.arguments import Parser, addresses, port_or_any, topic_prefix, whole
from system.gateway.limits import Limits
from system.wire import ID_PATTERN

DESCRIPTION = "Runs a gateway until SIGTERM or Ctrl-C. Secrets are never arguments: SECURITY.md"


def parse(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, Limits]:
    """`parse` reads a gateway's command line. It ends the process, with one line, where that is
    wrong."""
    parser = Parser(prog="python -m system.gateway", description=DESCRIPTION)
    parser.add_argument("--bootstrap", required=True, type=addresses, metavar="HOST:PORT",
                        help="a Kafka broker")  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="(default: %(default)s)")
    parser.add_argument("--port", type=port_or_any, default=ports.GATEWAY.port,
                        help="0 for any (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--gateway-id", default="gw", help="names the reply topic (default: %(default)s)"
    )
    parser.add_argument("--workers", type=whole("workers", ports.WORKERS_MAX), default=1,
                        help="processes (default: %(default)s)")  # fmt: skip
    parser.add_argument("--topic-prefix", type=topic_prefix, default="",
                        help="of the system's own topics (default: none)")  # fmt: skip
    parser.add_argument("--tls-cert-file", metavar="PEM", help="serve HTTPS: certificate, chain")
    parser.add_argument("--tls-key-file", metavar="PEM", help="and its key")
    parser.add_argument(
        "--ready-by",
        choices=("services", "kafka"),
        default="services",
        help="what /health/ready waits for: kafka, where no job hosts echo (default: %(default)s)",
    )
    parser.add_argument(
        "--when-silent",
        choices=("wait", "refuse"),
        default="wait",
        help="while the services don't answer, requests wait for them, or are a 503 at once; what "
        "was accepted before waits (default: %(default)s)",
    )
    for limit in fields(Limits):
        parser.add_argument(
            "--" + limit.name.replace("_", "-"),
            type=type(limit.default),
            default=limit.default,
            help=limit.metadata["help"] + " (default: %(default)s)",
        )
    args = parser.parse_args(argv)
    if not ID_PATTERN.fullmatch(args.gateway_id):
        parser.error("--gateway-id: 1 to 64 characters of [A-Za-z0-9_-]")
    if bool(args.tls_cert_file) != bool(args.tls_key_file):
        parser.error("--tls-cert-file and --tls-key-file go together")
    if args.when_silent == "refuse" and args.ready_by == "kafka":
        parser.error("--when-silent refuse needs --ready-by services: nothing else tells silence")
    try:
        limits = Limits(**{limit.name: getattr(args, limit.name) for limit in fields(Limits)})
    except ValueError as cause:
        parser.error(str(cause))
    return args, limits
