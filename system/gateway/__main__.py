"""``python -m system.gateway --bootstrap HOST:PORT`` runs a gateway until SIGTERM or Ctrl-C.

Exit codes: 0 drained after a signal, 1 a worker died, 2 wrong usage, 3 it could not start.
Secrets are never arguments: see `system.gateway.tokens` and `system.kafka_security`.
"""

import sys

from system.catalog import CatalogError, catalog
from system.gateway import supervisor, worker
from system.gateway.arguments import parse


def main() -> int:
    args, limits = parse()
    options = worker.Options(
        args.bootstrap,
        args.host,
        args.port,
        args.gateway_id,
        limits,
        tls_files=(args.tls_cert_file, args.tls_key_file) if args.tls_cert_file else None,
        echoes=args.ready_by == "services",
        refuses_silence=args.when_silent == "refuse",
        topic_prefix=args.topic_prefix,
    )
    try:
        catalog()
    except CatalogError as cause:
        print(f"gateway {args.gateway_id}: {cause}", file=sys.stderr)
        return worker.EXIT_START_FAILED
    if args.workers > 1:
        return supervisor.run(options, args.workers)
    return worker.run(options, shared=False)


if __name__ == "__main__":
    sys.exit(main())
