"""A server for the clients of the bench, and what a gateway and Flink would answer."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from socketserver import TCPServer
from typing import Any

from system.gateway.metrics import Metrics

Reply = Callable[[str, int], tuple[int, bytes]]
"""The path, and the number of the connection → the status and the body."""


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # one that is turned away by Linux comes again a second later


@contextmanager
def in_thread(server: TCPServer) -> Iterator[str]:
    """The address of a server that serves meanwhile."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a server whose requests this handles."""
    with in_thread(Server(("127.0.0.1", 0), handler)) as address:
        yield f"http://{address}"


@contextmanager
def serving(reply: Reply) -> Iterator[str]:
    """The URL of a server."""
    connections = count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer is one write

        def setup(self) -> None:
            self.connection_number = next(connections)
            super().setup()

        def do_GET(self) -> None:
            status, body = reply(self.path, self.connection_number)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with running(Handler) as url:
        yield url


def metrics(gateway_id: str, in_flight: int, **replies: int) -> bytes:
    own = Metrics(gateway_id, lambda: in_flight)
    own.replies.update(replies)
    own.responses["find_user", 200] += 5
    return own.text()


JOB = {
    "vertices": [
        {"id": "v1", "name": "Source: user_in -> _stream_key_by_map_operator"},
        {"id": "v2", "name": "user, Map -> user-sink: Writer"},
    ]
}
CHECKPOINTS = {
    "latest": {"restored": {"id": 51, "restore_timestamp": 1500}},
    "history": [
        {"id": 53, "status": "IN_PROGRESS", "checkpointed_size": 0, "trigger_timestamp": 4000,
         "end_to_end_duration": -1},
        {"id": 52, "status": "COMPLETED", "checkpointed_size": 2048, "trigger_timestamp": 3000,
         "end_to_end_duration": 68},
        {"id": 51, "status": "FAILED", "checkpointed_size": 0, "trigger_timestamp": 1000,
         "end_to_end_duration": 8, "failure_message": "Trigger checkpoint failure."},
    ],
}  # fmt: skip
TRACE = "a.JobException: no\n\tat a.B.c(B.java:1)\nCaused by: a.Lost: TaskManager is gone\n\tat a.B"
EXCEPTIONS = {"exceptionHistory": {"entries": [{"timestamp": 1200, "stacktrace": TRACE}]}}


METRIC = "/jobs/j/vertices/v1/subtasks/metrics?get=Source__user_in.pendingRecords&agg=sum"


def flink(asked: list[str], **changed: Any) -> Callable[[str, int], tuple[int, bytes]]:
    answers = {
        "/jobs": {"jobs": [{"id": "old", "status": "CANCELED"}, {"id": "j", "status": "RUNNING"}]},
        "/jobs/j": JOB,
        "/jobs/j/metrics?get=numRestarts": [],
        METRIC: [{"id": "Source__user_in.pendingRecords", "sum": 7.0}],
        "/jobs/j/checkpoints": CHECKPOINTS,
        "/jobs/j/exceptions?maxExceptions=100": EXCEPTIONS,
    } | changed

    def reply(path: str, _: int) -> tuple[int, bytes]:
        asked.append(path)
        return (200, json.dumps(answers[path]).encode()) if path in answers else (404, b"")

    return reply
