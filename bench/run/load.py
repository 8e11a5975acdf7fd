"""The load of a run follows from its settings and its workload file."""

from pathlib import Path

from bench.generator.spec import Load
from bench.generator.tls import Trust
from bench.run.settings import Settings
from bench.workload.http_file import read_workload


def load_of(settings: Settings) -> Load:
    """`load_of` returns the load that the settings ask for. It raises `WorkloadError`."""
    load = Load(
        settings.workload or settings.scenario,
        settings.zipf,
        settings.generators,
        settings.in_flight_max,
        settings.trace_every if settings.is_shop else 0,
        settings.locust,
        trust=Trust(settings.ca, settings.insecure),
        agents=settings.agents,
        record_bytes=settings.record_bytes,
        basket=settings.basket,
    )
    if settings.workload is None:
        return load
    workload = read_workload(Path(settings.workload))
    return load._replace(
        timeout_s=workload.timeout_s,
        keep_alive=workload.keep_alive,
        files=(settings.workload, *map(str, workload.files)),
    )
