"""An axis is one thing that grows; at each of its values all else is as in the base, which is a
stack of the default options under the shop's mix, by HTTP. Beside the axis of entities it has some
too, and its load asks for them as the other's does."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from bench.run.settings import Settings
from system.runtime.options import StackOptions, StateBackend

RATE = "rate"
"""The values of this axis are shares of what the base takes at most; it has one stack."""
PARTITIONS = 12
"""The tasks of 1, 2, 3 and 4 TaskManagers have as many partitions each."""
WAY = "way"
"""The one value of this axis is the way into Kafka: what the gateway costs is the base's rest."""

BACKENDS: tuple[StateBackend, ...] = ("rocksdb", "hashmap")


class Axis(NamedTuple):
    title: str
    """The title says what the values are, as a chart's axis has it."""
    values: tuple[float, ...]
    options: Callable[[StackOptions, float], StackOptions] = lambda options, value: options
    settings: Callable[[Settings, float], Settings] = lambda settings, value: settings
    names: tuple[str, ...] = ()
    """Values that are no numbers are these, counted from 1."""
    is_other_load: bool = False
    """The flag says that the load is another one than the base's: a generator takes other CPU for
    it."""
    fills: bool = False
    """The values are how many entities are in the state of one stack; the load asks for all of
    them, and beside for those that the base has."""


AXES: dict[str, Axis] = {
    RATE: Axis(
        "rate, share of the capacity",
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
        is_other_load=True,
    ),
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
        is_other_load=True,
    ),
    "payload": Axis(
        "bytes of a request record, written to Kafka without the gateway",
        (256.0, 1024.0, 4096.0, 16384.0, 65536.0),
        settings=lambda settings, value: replace(settings, kafka="own", record_bytes=int(value)),
        is_other_load=True,
    ),
    "state-backend": Axis(
        "where the state is",
        (1.0, 2.0),
        lambda options, value: replace(options, state_backend=BACKENDS[int(value) - 1]),
        names=("RocksDB", "heap"),
    ),
    WAY: Axis(
        "requests that are written to Kafka, without the gateway",
        (1.0,),
        settings=lambda settings, value: replace(settings, kafka="own"),
        names=("into Kafka",),
        is_other_load=True,
    ),
    "entities": Axis(
        "users and items in the state, all asked for", (1e3, 1e4, 1e5, 1e6), fills=True
    ),
}
"""The axes are measured in this order."""
MACHINE = ("partitions", "taskmanagers", "gateways", "checkpoint-interval")
"""These axes are settings of a machine."""


def options_of(settings: Mapping[str, float]) -> StackOptions:
    """`options_of` returns those of a stack that has each of these values, by axis."""
    options = StackOptions()
    for axis, value in settings.items():
        options = AXES[axis].options(options, value)
    return options


def is_base(settings: Mapping[str, float]) -> bool:
    """`is_base` tells whether the base is set up so, which has a partition for each task."""
    options = options_of(settings)
    named = None if options.partitions == options.parallelism else options.partitions
    return replace(options, partitions=named) == StackOptions()
