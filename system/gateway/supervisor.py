"""Several workers share one port: the kernel spreads connections over them (SO_REUSEPORT).

Each worker has its own gateway_id and reply topic, its own table of requests in flight, and its own
limits; a scrape of /metrics reaches one of them. A worker that dies takes the others down: whoever
runs the gateway restarts it whole, and nothing is restarted unseen.
"""

import ctypes
import os
import signal
import sys
from dataclasses import replace

from system.gateway import worker
from system.gateway.errors import StartError
from system.gateway.worker import Options

PR_SET_PDEATHSIG = 1
EXIT_WORKER_DIED = 1


def run(options: Options, workers: int) -> int:
    """`run` returns the exit code: 0 after a signal, else that something died."""
    try:
        reserved = worker.bind(options, shared=True)
    except StartError as cause:
        print(f"gateway {options.gateway_id}: {cause}", file=sys.stderr)
        return worker.EXIT_START_FAILED
    with reserved:  # so that port 0 is the same for all
        return _supervise(replace(options, port=reserved.getsockname()[1]), workers)


def _supervise(options: Options, workers: int) -> int:
    stopping = False

    def on_signal(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True
        _signal(children, number)

    children: set[int] = set()
    parent = os.getpid()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
    for index in range(workers):
        pid = os.fork()
        if pid == 0:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            _run_child(replace(options, gateway_id=f"{options.gateway_id}-{index}"), parent)
        children.add(pid)
        for number in handlers:
            signal.signal(number, on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)
    code = 0
    while children:
        pid, status = os.wait()
        children.discard(pid)
        died = os.waitstatus_to_exitcode(status)
        if died and not code:
            known = (worker.EXIT_START_FAILED, worker.EXIT_INTERRUPTED)
            code = died if died in known else EXIT_WORKER_DIED
        if not stopping:
            stopping = True
            print(f"gateway worker {pid} ended with {died}: stopping all", file=sys.stderr)
            code = code or EXIT_WORKER_DIED
            _signal(children, signal.SIGTERM)
    return code


def _run_child(options: Options, parent: int) -> None:
    """Never returns."""
    code = EXIT_WORKER_DIED
    try:
        os.setpgid(0, 0)  # else a terminal's Ctrl-C arrives twice, and twice means at once
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # no guard knows its group
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        if os.getppid() == parent:  # else it died before the line above
            code = worker.run(options, shared=True)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _signal(children: set[int], number: int) -> None:
    for pid in children:
        os.kill(pid, number)
