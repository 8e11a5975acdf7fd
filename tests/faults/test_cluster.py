"""A short campaign of the cluster: a broker and a gateway are lost, and nothing else fails."""

from pathlib import Path

import orjson
from support.bench_command import bench

FAULTS = ("lose-kafka-2", "lose-gateway-2")
TIMED = ("an answer took", "the throughput did not come back")
"""How quick all is depends on the machine, and is for the campaign to say, not for a test."""


def test_the_cluster_loses_a_process_and_no_request(tmp_path: Path) -> None:
    load = ("--rate", "30", "--duration", "10")
    done = bench("cluster", *FAULTS, *load, "--json", "--out", str(tmp_path))
    assert done.stdout, done.stderr
    found = orjson.loads(done.stdout)
    assert [each["fault"] for each in found] == [*FAULTS]
    for each in found:
        assert [line for line in each["broken"] if not line.startswith(TIMED)] == [], done.stderr
        assert each["violations"] == 0
        assert each["checkouts"] > 0
        assert each["unknown"] == each["cut"]
    broker, _ = found
    assert broker["cut"] == 0
    assert "SIGKILL ended kafka_2" in broker["proof"]
