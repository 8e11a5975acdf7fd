"""``python -m system.gateway --bootstrap HOST:PORT``: runs a gateway until SIGTERM or Ctrl-C.

Exit codes: 0 drained after a signal, 1 a worker died, 2 wrong usage, 3 it could not start.
"""

import argparse
import sys
from dataclasses import fields

from system.gateway import supervisor, worker
from system.gateway.limits import Limits
from system.wire import ID_PATTERN

WORKERS_MAX = 64
"""Processes of one gateway; more than any machine here has cores."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m system.gateway", description=__doc__)
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT", help="a Kafka broker")
    parser.add_argument("--host", default="127.0.0.1", help="(default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0 for any (default: %(default)s)")
    parser.add_argument(
        "--gateway-id", default="gw", help="names the reply topic (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    for limit in fields(Limits):
        parser.add_argument(
            "--" + limit.name.replace("_", "-"),
            type=type(limit.default),
            default=limit.default,
            help=limit.metadata["help"] + " (default: %(default)s)",
        )
    args = parser.parse_args()
    if not ID_PATTERN.fullmatch(args.gateway_id):
        parser.error("--gateway-id: 1 to 64 characters of [A-Za-z0-9_-]")
    if not 1 <= args.workers <= WORKERS_MAX:
        parser.error(f"--workers: from 1 to {WORKERS_MAX}")
    if not 0 <= args.port <= 65535:
        parser.error("--port: from 0 to 65535")
    host, _, port = args.bootstrap.rpartition(":")
    if not host or not port.isdecimal():
        parser.error("--bootstrap: HOST:PORT")
    try:
        limits = Limits(**{limit.name: getattr(args, limit.name) for limit in fields(Limits)})
    except ValueError as cause:
        parser.error(str(cause))
    options = worker.Options(args.bootstrap, args.host, args.port, args.gateway_id, limits)
    if args.workers > 1:
        return supervisor.run(options, args.workers)
    return worker.run(options, shared=False)


if __name__ == "__main__":
    sys.exit(main())
