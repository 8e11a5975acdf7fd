"""Where the CPU time of a real stack's requests goes, and flame graphs that show it."""

import signal
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest
from support.bench_command import bench
from support.running_up import SMALL, own_up

TITLE = "{http://www.w3.org/2000/svg}title"
STACK = ("kafka", "flink_jobmanager", "flink_taskmanager", "gateway")


def boxes(file: Path) -> set[str]:
    """What pointing at the boxes of a flame graph shows."""
    return {str(title.text) for title in ElementTree.parse(file).iter(TITLE)}


def test_flame_graphs_show_what_runs_and_not_what_waits(until, tmp_path: Path) -> None:
    with own_up(until) as up:
        up.start("--workers", "2", *SMALL)
        up.until_up()
        done = bench(
            *("costs", up.name, "--users", "16", "--rounds", "2", "--duration", "4"),
            *("--warm-up", "1", "--json", "--flames", str(tmp_path)),
        )
        assert up.ended(signal.SIGTERM)[0] == 0
    assert done.returncode == 0, done.stderr
    for (window,) in orjson.loads(done.stdout):
        cpu_us = window["cpu_us"]
        assert window["requests"] > 0
        assert all(cpu_us[part] > 0 for part in (*STACK, "generator"))
        total_us = cpu_us["gateway, kafka, flink"]
        assert total_us == pytest.approx(sum(cpu_us[part] for part in STACK))

    in_jvm = boxes(tmp_path / "taskmanager.svg")
    assert any(box.startswith("HostOperator.") for box in in_jvm)
    assert any(box.startswith("Source: ") for box in in_jvm)  # a thread's name
    assert not [box for box in in_jvm if "EPoll.wait" in box or "epollWait" in box or "+0x" in box]
    assert not [box for box in in_jvm if "java/" in box or "org/apache" in box]
    assert any("host.py" in box for box in boxes(tmp_path / "taskmanager-python.svg"))
    # Of two gateway processes the supervisor takes no requests: what is shown sends to Kafka.
    assert any("gateway/kafka.py" in box for box in boxes(tmp_path / "gateway.svg"))
