"""This client speaks the part of Flink's REST interface that a stack needs."""

from typing import Any

from machine import http
from machine.http import HttpError

TIMEOUT_S = 5.0
"""Flink's REST interface answers in milliseconds when it is well."""

ENDED = {"FAILED", "CANCELED", "FINISHED"}
"""A job does not leave these states."""


class Rest:
    """`Rest` asks the JobManager at `address`, ``host:port``. It raises `HttpError` when that does
    not answer."""

    def __init__(self, address: str) -> None:
        self.address, self.host = address, address.rpartition(":")[0]
        self._url = f"http://{address}"

    def slots(self) -> int:
        """`slots` returns how many there are, of the TaskManagers that have registered and told of
        theirs; 0 too while the JobManager does not answer."""
        try:
            return int(self._call("GET", "/overview")["slots-total"])
        except HttpError:
            return 0

    def is_running(self, job_id: str) -> bool:
        """`is_running` returns whether the job and every task of it runs; it is False too while
        there is no answer."""
        try:
            job = self._call("GET", f"/jobs/{job_id}")
        except HttpError:
            return False
        tasks = {vertex["status"] for vertex in job["vertices"]}
        return bool(job["state"] == "RUNNING" and tasks == {"RUNNING"})

    def unended(self, name: str) -> list[str]:
        """`unended` returns the ids of the jobs of that name that run, or will."""
        jobs = self._call("GET", "/jobs/overview")["jobs"]
        return [job["jid"] for job in jobs if job["name"] == name and job["state"] not in ENDED]

    def state(self, job_id: str) -> str | None:
        """`state` returns the job's state; None when Flink does not know it."""
        jobs = self._call("GET", "/jobs")["jobs"]
        return next((str(job["status"]) for job in jobs if job["id"] == job_id), None)

    def why(self, job_id: str) -> str:
        """`why` returns the root cause of the job's latest exception after a colon; empty when
        there is none."""
        try:
            answer = self._call("GET", f"/jobs/{job_id}/exceptions")
        except HttpError as cause:
            return f": {cause}"
        history = answer["exceptionHistory"]["entries"]
        trace = history[0]["stacktrace"].splitlines() if history else []
        causes = [line for line in trace if line and not line.startswith("\t")]
        return f": {causes[-1]}" if causes else ""

    def configuration(self) -> dict[str, str]:
        """`configuration` returns the JobManager's configuration."""
        entries: Any = http.call_json("GET", f"{self._url}/jobmanager/config", TIMEOUT_S)
        return {entry["key"]: entry["value"] for entry in entries}

    def stop_with_savepoint(self, job_id: str, directory: str | None) -> str:
        """`stop_with_savepoint` begins it, and returns what to ask `savepoint` for; None: to the
        cluster's directory."""
        body = {"drain": False, **({"targetDirectory": directory} if directory else {})}
        return str(self._call("POST", f"/jobs/{job_id}/stop", body)["request-id"])

    def savepoint(self, job_id: str, trigger: str) -> str | None:
        """`savepoint` returns its URI; None while it is being made. It raises `HttpError` also when
        it failed."""
        answer = self._call("GET", f"/jobs/{job_id}/savepoints/{trigger}")
        if answer["status"]["id"] != "COMPLETED":
            return None
        operation = answer["operation"]
        if "location" not in operation:
            trace = operation.get("failure-cause", {}).get("stack-trace", "no cause is told")
            raise HttpError(trace.splitlines()[0])
        return str(operation["location"])

    def cancel(self, job_id: str) -> None:
        # The answer to this one is not JSON.
        http.call("PATCH", f"{self._url}/jobs/{job_id}?mode=cancel", TIMEOUT_S)

    def _call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return http.call_json(verb, self._url + path, TIMEOUT_S, body)
