import subprocess
import sys

import pytest

from bench.costs.profiles import java_stacks, jvm_profile, python_profile
from bench.errors import BenchError


def event(thread: str | None, *methods: str) -> dict:
    """As ``jfr print --json`` writes it: the innermost method first."""
    frames = [
        {"method": {"type": {"name": name.rpartition(".")[0]}, "name": name.rpartition(".")[2]}}
        for name in methods
    ]
    return {
        "type": "jdk.ExecutionSample",
        "values": {
            "sampledThread": {"javaName": thread},
            "stackTrace": {"frames": frames} if methods else None,
        },
    }


def test_stacks_of_a_jvm_begin_with_their_thread():
    events = [event("task", "a/b/B.inner", "a/b/B.outer")] * 2 + [event(None, "C.run")]
    assert java_stacks(events) == {
        ("task", "B.outer", "B.inner"): 2,
        ("a thread of the JVM", "C.run"): 1,
    }


def test_a_lambda_has_one_name_whatever_its_address() -> None:
    events = [
        event("task", "kafka.server.KafkaApis$$Lambda+0x00007fcc06598bd8/1857761020.apply"),
        event("task", "kafka.server.KafkaApis$$Lambda+0x00007fcc0659cb60/2031375652.apply"),
    ]
    assert java_stacks(events) == {("task", "KafkaApis$$Lambda.apply"): 2}


def test_threads_that_wait_and_samples_without_a_stack_are_left_out():
    waits = event("io", "sun/nio/ch/EPoll.wait", "a/B.run")
    assert java_stacks([waits, event("io", "io/netty/Native.epollWait0"), event("x")]) == {}


SPIN = """
def spin():
    while True:
        sum(range(1000))
print("ready", flush=True)
spin()
"""


def test_a_python_that_runs_is_seen():
    with subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE) as spinning:
        spinning.stdout.readline()
        stacks = python_profile(spinning.pid, 1.0, in_jvm=False)
        spinning.kill()
    assert any(function.startswith("spin ") for stack in stacks for function in stack)


def test_a_process_that_is_none_is_one_line():
    with pytest.raises(BenchError, match=r"^py-spy: [^\n]+$"):
        python_profile(2**22 + 1, 1.0, in_jvm=False)
    with pytest.raises(BenchError, match=r"^jcmd: [^\n]+$"):
        jvm_profile(2**22 + 1, 1.0)
