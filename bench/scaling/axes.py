"""An axis is one thing that grows; at each of its values the stack is as in the base otherwise."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from bench.run.settings import Settings
from system.runtime.options import StackOptions, StateBackend
from system.runtime.settings import CHECKPOINT_INTERVAL_S

RATE = "rate"
"""The values of this axis are shares of the base configuration's capacity; it has one stack."""
PARTITIONS = 12
"""The tasks of 1, 2, 3 and 4 TaskManagers have as many partitions each."""
BASE = "base"
"""The one value of this axis is the base configuration."""

WAY = "way"
"""The values of this axis are `WAYS`, on one stack: what the gateway costs is their difference."""
WAYS: tuple[tuple[str, str | None], ...] = (("by HTTP", None), ("into Kafka", "own"))

BACKENDS: tuple[StateBackend, ...] = ("rocksdb", "hashmap")


class Axis(NamedTuple):
    title: str
    """The title says what the values are, as a chart's axis has it."""
    values: tuple[float, ...]
    options: Callable[[StackOptions, float], StackOptions] = lambda options, value: options
    settings: Callable[[Settings, float], Settings] = lambda settings, value: settings
    names: tuple[str, ...] = ()
    """Values that are no numbers are these, counted from 1."""
    fills: bool = False
    """The values are how many entities are in the state of one stack, besides the load's own."""


AXES: dict[str, Axis] = {
    BASE: Axis("the base configuration", (1.0,)),
    RATE: Axis("rate, share of the capacity", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)),
    "partitions": Axis(
        "partitions of each input topic",
        (1.0, 2.0, 4.0, 8.0, 16.0),
        lambda options, value: replace(options, partitions=int(value)),
    ),
    "taskmanagers": Axis(
        "TaskManagers, each with a task of each kind",
        (1.0, 2.0, 3.0, 4.0),
        lambda options, value: replace(
            options, taskmanagers=int(value), parallelism=int(value), partitions=PARTITIONS
        ),
    ),
    "gateways": Axis(
        "gateway processes, at one port",
        (1.0, 2.0, 3.0, 4.0),
        lambda options, value: replace(options, workers=int(value)),
    ),
    "checkpoint-interval": Axis(
        "seconds between checkpoints",
        (0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
        lambda options, value: replace(options, checkpoint_interval_s=value),
    ),
    "basket": Axis(
        "items in a basket, of the checkout scenario",
        (1.0, 2.0, 5.0, 10.0, 20.0, 50.0),
        settings=lambda settings, value: replace(settings, scenario="checkout", basket=int(value)),
    ),
    "payload": Axis(
        "bytes of a request record, written to Kafka without the gateway",
        (256.0, 1024.0, 4096.0, 16384.0, 65536.0),
        settings=lambda settings, value: replace(settings, kafka="own", record_bytes=int(value)),
    ),
    "state-backend": Axis(
        "where the state is",
        (1.0, 2.0),
        lambda options, value: replace(options, state_backend=BACKENDS[int(value) - 1]),
        names=("RocksDB", "heap"),
    ),
    WAY: Axis(
        "how requests come to the services",
        (1.0, 2.0),
        settings=lambda settings, value: replace(settings, kafka=WAYS[int(value) - 1][1]),
        names=tuple(name for name, _ in WAYS),
    ),
    "entities": Axis("users in the state, besides the load's", (1e3, 1e4, 1e5, 1e6), fills=True),
}
"""The axes are measured in this order: the rates follow from the base."""
MACHINE: dict[str, float | None] = {
    "partitions": 1.0,
    "taskmanagers": None,
    "gateways": 1.0,
    "checkpoint-interval": CHECKPOINT_INTERVAL_S,
    "entities": None,
}
"""These axes are settings of a machine, with the base's value; None where that is no value of the
axis: one TaskManager has `PARTITIONS` there, and one in the base."""
