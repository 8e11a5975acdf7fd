"""Process mode needs no shared libpython: PyFlink calls the host record by record.

Its own workers collect records for their way between the processes.
"""

from pyflink.common import Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

from system.catalog import catalog
from system.flink_job.host import Host
from system.flink_job.state_cache import Knowledge
from system.service import Window


class FlinkState:
    """This is `host.State` of the current key. It has one map for steps and names: each state more
    is a column family of RocksDB's, with buffers and files of its own."""

    def __init__(self, context: RuntimeContext) -> None:
        value = Types.PRIMITIVE_ARRAY(Types.BYTE())
        self._value = context.get_state(ValueStateDescriptor("entity", value))
        self._map = context.get_map_state(MapStateDescriptor("memory", Types.STRING(), value))
        self.read = self._value.value
        self.get = self._map.get
        self.put = self._map.put
        self.remove = self._map.remove

    def write(self, value: bytes | None) -> None:
        if value is None:
            self._value.clear()
        else:
            self._value.update(value)


class HostFunction(KeyedProcessFunction):  # type: ignore[misc]
    """Flink calls `Host` through this function."""

    def __init__(
        self, services: list[str], window: Window, topic_prefix: str, known_bytes_max: int
    ) -> None:
        self._names = services
        self._window = window
        self._topic_prefix = topic_prefix
        self._known_bytes_max = known_bytes_max

    def open(self, context: RuntimeContext) -> None:
        dead = context.get_metrics_group().counter("dead_letters")
        services = map(catalog().load, self._names)
        state, knowledge = FlinkState(context), Knowledge(self._known_bytes_max)
        self._host = Host(
            services, state, knowledge, self._window, dead.inc, topic_prefix=self._topic_prefix
        )

    def process_element(self, value: bytes, context: KeyedProcessFunction.Context) -> list[bytes]:
        return self._host.take(value, context.timer_service())

    def on_timer(self, timestamp: int, context: KeyedProcessFunction.OnTimerContext) -> list[bytes]:
        return self._host.ring(timestamp, context.get_current_key(), context.timer_service())
