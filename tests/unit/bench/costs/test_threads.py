import os
import threading

import pytest

from bench.costs.threads import COMPILERS, REST, ThreadMeter, share_of


@pytest.mark.parametrize(
    ("part", "thread", "share"),
    [
        ("flink_taskmanager", "Source: request", "task: Python and state"),
        ("flink_taskmanager", "Source: user_in", "task: Python and state"),
        ("flink_taskmanager", "services -> out", "task: Python and state"),
        ("flink_taskmanager", "Source Data Fet", "reading from Kafka"),
        ("flink_taskmanager", "kafka-producer-", "writing to Kafka"),
        ("flink_taskmanager", "rocksdb:low", "RocksDB's flushes and compactions"),
        ("flink_taskmanager", "GC Thread#0", REST),
        ("kafka", "C2 CompilerThre", COMPILERS),
        ("gateway", "python", REST),
    ],
)
def test_a_thread_belongs_to_a_share_by_its_name(part, thread, share):
    assert share_of(part, thread) == share


def test_the_meter_counts_what_threads_of_now_have_spent():
    begin, stop = threading.Event(), threading.Event()

    def spin():
        begin.wait()
        while not stop.is_set():
            sum(range(1000))

    thread = threading.Thread(target=spin)
    thread.start()
    meter = ThreadMeter({"gateway_2": [os.getpid()], "gone": [2**22 + 1]})
    begin.set()
    spent = meter.spent()
    while spent["gateway", REST] < 20_000_000:
        spent += meter.spent()
    stop.set()
    thread.join()
    assert spent.keys() == {("gateway", REST)}
