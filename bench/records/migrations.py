"""Records of older schema versions are made such as today's would be, one version at a time.

Each `update_to_N` takes the content of run.json of version N - 1 and returns that of version N.
What an older version did not measure becomes what the newer one has for "not known".
"""

from collections.abc import Callable, Mapping
from typing import Any

from bench.records.run_record import PERCENTS, SCHEMA_VERSION, RunSettings
from bench.records.typed_json import to_plain

OLDEST = 1
"""Records of older schema versions than this can't be read."""

Json = Mapping[str, Any]


def update(content: Json) -> Json:
    """`update` returns the same record in today's schema version.

    It raises `KeyError`, `TypeError` or `AttributeError` for one that is not as its version says.
    """
    for version in range(content["schema_version"] + 1, SCHEMA_VERSION + 1):
        content = {**UPDATES[version](content), "schema_version": version}
    return content


def update_to_2(content: Json) -> Json:
    """Version 2 came with open loops, samples and series, probes, and the search for a capacity."""
    new = ("workload", "rate", "arrivals", "in_flight_max", "locust", "trace_every")
    defaults = to_plain(RunSettings())
    return {
        **content,
        "settings": {
            **content["settings"],
            **{name: defaults[name] for name in new if name in defaults},
        },
        "phases": [_phase_2(phase) for phase in content["phases"]],
        "capacity": None,
        "probes": None,
    }


def _phase_2(phase: Json) -> Json:
    """All loops were closed."""
    window = phase["window"]
    return {
        **phase,
        "loop": "closed",
        "users": phase["users"] or None,
        "schedule": None,
        "samples": [],
        "series": None,
        "stages": None,
        "steady": None,
        "window": None if window is None else _window_2(window),
    }


def _window_2(window: Json) -> Json:
    operations = {name: _figures_2(own) for name, own in window["operations"].items()}
    return {**_figures_2(window), "operations": operations, "open": None}


def _figures_2(figures: Json) -> Json:
    """Requests without an answer had been left out of the latencies, so that these were too low;
    and there was no p99.9, which is at least the p99."""
    latency = figures["latency_ms"]
    if latency is None:
        return figures
    lost = any(kind.startswith(("504", "connection")) for kind in figures["failed"])
    bounds = list(PERCENTS) if lost else ["p99.9"]
    return {
        **figures,
        "latency_ms": {**latency, "p99.9": latency["p99"], "at_least": bounds},
    }


def update_to_3(content: Json) -> Json:
    """Version 3 came with what may fail, and with probes that could not tell."""
    probes = content["probes"]
    return {
        **content,
        "settings": {**content["settings"], "max_failed": 1.0},
        "probes": None if probes is None else [_probe_3(probe) for probe in probes],
    }


def _probe_3(probe: Json) -> Json:
    kept = {name: value for name, value in probe.items() if name != "passed"}
    return {**kept, "state": "holds" if probe["passed"] else "broken"}


UPDATES: dict[int, Callable[[Json], Json]] = {2: update_to_2, 3: update_to_3}
