"""The rivals are wrk, Locust, vegeta and oha: what they say of the same server.

The first two are closed loops. wrk (https://github.com/wg/wrk), vegeta
(https://github.com/tsenart/vegeta) and oha (https://github.com/hatoo/oha) are used where they are
installed.
"""

import csv
import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import orjson

from bench.calibrate.lab import Lab, Ran, Server
from bench.calibrate.table import Told
from bench.errors import BenchError
from bench.imports.formats import OHA_UNFINISHED
from bench.imports.runs import read_imported
from bench.records.run_record import PERCENTS, QuantileName

WRK_TIMEOUT_S = 30
"""A request of wrk's is given up after this time; its own default of 2 s would cut off a stall."""

OHA_CONNECTIONS = 512
"""oha opens so many connections: above what is under way at the rate and the latencies of
`bench.calibrate.truth_server`, 2 s of stall included, so that none of them is waited for."""

LUA = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests": %d, "length_us": %d, "broken": %d, "p50": %d, "p90": %d, "p99": %d, ' ..
    '"p99.9": %d, "max": %d}\\n',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99),
    latency:percentile(99.9), latency.max))
end
"""
"""wrk's own summary rounds; this prints the figures behind it, latencies in µs."""

LOCUST_COLUMNS: dict[QuantileName, str] = {
    "p50": "50%",
    "p90": "90%",
    "p99": "99%",
    "p99.9": "99.9%",
    "max": "100%",
}


def has_wrk() -> bool:
    return shutil.which("wrk") is not None


def sides(
    folder: Path, users: int, rate_per_s: float, duration_s: float
) -> dict[str, Callable[[Lab, Server], Told]]:
    """`sides` returns how to make each rival load a server: with `users` as a closed loop, or with
    `rate_per_s` as an open one. `folder` is for their files."""
    found: dict[str, Callable[[Lab, Server], Told]] = {}
    if has_wrk():
        found[f"wrk, {users} connections"] = lambda lab, server: wrk(
            lab, server, folder, users, duration_s
        )[0]
    found[f"Locust's table, {users} users"] = lambda lab, server: locust(
        lab, server, folder, users, duration_s
    )
    if shutil.which("vegeta") is not None:
        found["vegeta, open loop"] = lambda lab, server: vegeta(
            lab, server, folder, rate_per_s, duration_s
        )
    if shutil.which("oha") is not None:
        found["oha, --latency-correction"] = lambda lab, server: oha(
            lab, server, rate_per_s, duration_s
        )
    return found


def wrk(
    lab: Lab, server: Server, folder: Path, connections: int, duration_s: float
) -> tuple[Told, Ran]:
    """`wrk` returns what it told, and the load; it raises `BenchError` when it breaks, or a
    connection of it does."""
    script = folder / "done.lua"
    script.write_text(LUA)
    command = [
        *("wrk", "--threads", "1", "--connections", str(connections)),
        *("--duration", f"{duration_s:.0f}s", "--timeout", f"{WRK_TIMEOUT_S}s"),
        *("--script", str(script), f"{server.url}/"),
    ]
    printed, cpu_s, *cores = lab.command(server, command, duration_s)
    told = parse_wrk(printed)
    return told, Ran(told.per_s, cpu_s / told.requests * 1e6, *cores)


def locust(lab: Lab, server: Server, folder: Path, users: int, duration_s: float) -> Told:
    """`locust` uses its FastHttpUser, without a pause between requests. It raises `BenchError`."""
    command = [
        *(sys.executable, "-m", "locust", "--headless", "--only-summary", "--loglevel", "ERROR"),
        *("--locustfile", "locustfiles/plain.py", "--host", server.url),
        *("--users", str(users), "--spawn-rate", str(users)),
        *("--run-time", f"{duration_s:.0f}s", "--csv", str(folder / "locust")),
        *("--exit-code-on-error", "0"),
    ]
    lab.command(server, command, duration_s)
    return parse_locust((folder / "locust_stats.csv").read_text())


def vegeta(lab: Lab, server: Server, folder: Path, rate_per_s: float, duration_s: float) -> Told:
    """`vegeta` is read by its file of requests, without those that failed. It raises
    `BenchError`."""
    targets, results, lines = (folder / f"vegeta.{end}" for end in ("txt", "bin", "json"))
    targets.write_text(f"GET {server.url}/\n")
    attack = [
        *("vegeta", "attack", "-targets", str(targets), "-output", str(results)),
        *("-rate", f"{rate_per_s:g}", "-duration", f"{duration_s:g}s"),
    ]
    lab.command(server, attack, duration_s)
    encode = ["vegeta", "encode", "-to", "json", "-output", str(lines), str(results)]
    lab.command(server, encode, duration_s)
    ((_, window),) = read_imported(lines).windows
    found = window.latency_ms
    if found is None or found.at_least:
        raise BenchError(f"vegeta: {window.failed} of {window.requests} requests failed")
    latency_ms = {name: found.of(name) for name in PERCENTS}
    return Told(window.requests, window.requests / window.length_s, latency_ms)


def oha(lab: Lab, server: Server, rate_per_s: float, duration_s: float) -> Told:
    """`oha` counts from when a request should have been sent. It raises `BenchError`."""
    command = [
        *("oha", "--no-tui", "-z", f"{duration_s:g}s", "-q", f"{rate_per_s:g}"),
        *("-c", f"{OHA_CONNECTIONS}", "--latency-correction", "--stats-success-breakdown"),
        *("--output-format", "json", f"{server.url}/"),
    ]
    printed, *_ = lab.command(server, command, duration_s)
    return parse_oha(printed)


def parse_oha(printed: str) -> Told:
    """`parse_oha` reads its JSON, the latencies of answers below 400. What was under way at the
    end counts as a request. It raises `BenchError`."""
    try:
        told = orjson.loads(printed)
        summary, broken = told["summary"], dict(told["errorDistribution"])
        requests = sum(told["statusCodeDistribution"].values()) + broken.pop(OHA_UNFINISHED, 0)
        seconds = {**told["latencyPercentilesSuccessful"], "pmax": summary["slowest"]}
        latency_ms = {name: seconds[f"p{name.removeprefix('p')}"] * 1e3 for name in PERCENTS}
        per_s = requests / summary["total"]
    except (ArithmeticError, KeyError, TypeError, AttributeError, ValueError):
        raise BenchError(f"oha printed {printed[-200:]!r}") from None
    if broken or not requests:
        raise BenchError(f"oha: {broken} broken, {requests} requests")
    return Told(requests, per_s, latency_ms)


def parse_wrk(printed: str) -> Told:
    """`parse_wrk` reads the line of `LUA`. It raises `BenchError`."""
    try:
        told = orjson.loads(printed.splitlines()[-1])
        latency_ms = {name: told[name] / 1e3 for name in PERCENTS}
        requests, length_us, broken = told["requests"], told["length_us"], told["broken"]
    except (IndexError, KeyError, TypeError, orjson.JSONDecodeError):
        raise BenchError(f"wrk printed {printed[-200:]!r}") from None
    if broken or not requests:
        raise BenchError(f"wrk: {broken} broken connections, {requests} requests")
    return Told(requests, requests / length_us * 1e6, latency_ms)


def parse_locust(table: str) -> Told:
    """`parse_locust` reads the last row of its CSV file, which is of all requests. It raises
    `BenchError`."""
    rows = list(csv.DictReader(io.StringIO(table)))
    try:
        total = rows[-1]
        if not int(total["Request Count"]):
            raise BenchError(
                "Locust sent nothing: give it a longer --duration, or a quieter machine"
            )
        latency_ms = {name: float(total[column]) for name, column in LOCUST_COLUMNS.items()}
        return Told(int(total["Request Count"]), float(total["Requests/s"]), latency_ms)
    except (IndexError, KeyError, ValueError, TypeError):
        raise BenchError(f"Locust's table is {table[:200]!r}") from None
