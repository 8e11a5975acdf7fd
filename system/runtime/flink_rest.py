"""The part of Flink's REST interface that a stack needs."""

from typing import Any

from machine import http
from machine.http import HttpError

TIMEOUT_S = 5.0
"""Flink's REST interface answers in milliseconds when it is well."""


class Rest:
    """The JobManager at `address`, ``host:port``. Raises `HttpError` when it does not answer."""

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}"

    def has_task_manager(self) -> bool:
        """False too while the JobManager does not answer."""
        try:
            return bool(self._call("GET", "/overview")["taskmanagers"])
        except HttpError:
            return False

    def is_running(self, job_id: str) -> bool:
        """Whether the job and every task of it runs; False too while there is no answer."""
        try:
            job = self._call("GET", f"/jobs/{job_id}")
        except HttpError:
            return False
        tasks = {vertex["status"] for vertex in job["vertices"]}
        return bool(job["state"] == "RUNNING" and tasks == {"RUNNING"})

    def running(self) -> list[str]:
        """The ids of the jobs that run."""
        jobs = self._call("GET", "/jobs")["jobs"]
        return [job["id"] for job in jobs if job["status"] == "RUNNING"]

    def failure(self, job_id: str) -> str:
        """The root cause of the job's latest exception; empty when there is none."""
        history = self._call("GET", f"/jobs/{job_id}/exceptions")["exceptionHistory"]["entries"]
        trace = history[0]["stacktrace"].splitlines() if history else []
        causes = [line for line in trace if line and not line.startswith("\t")]
        return causes[-1] if causes else ""

    def cancel(self, job_id: str) -> None:
        # The answer to this one is not JSON.
        http.call("PATCH", f"{self._url}/jobs/{job_id}?mode=cancel", TIMEOUT_S)

    def _call(self, verb: str, path: str) -> dict[str, Any]:
        return http.call_json(verb, self._url + path, TIMEOUT_S)
