"""What JVMs allocated, and how one is asked: against a socket that speaks as HotSpot does."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.observe import jvm_attach
from bench.observe.jvm_allocation import AllocationMeter, Heap, used_bytes
from bench.observe.jvm_attach import ANSWER_BYTES_MAX, ask

PID = 2**22 + 1
"""Above what Linux gives to any process: nobody gets a signal."""
MIB = 1 << 20

G1 = """\
 garbage-first heap   total 524288K, used 51200K [0x00000000e0000000, 0x0000000100000000)
  region size 1024K, 30 young (30720K), 2 survivors (2048K)
 Metaspace       used 61234K, committed 61888K, reserved 1114112K
  class space    used 7000K, committed 7296K, reserved 1048576K
"""
SERIAL = """\
 def new generation   total 157248K, used 12000K [0x0, 0x1, 0x2)
  eden space 139776K,   8% used [0x0, 0x1, 0x2)
 tenured generation   total 349568K, used 345K [0x0, 0x1, 0x2)
   the space 349568K,   0% used [0x0, 0x1, 0x2)
 Metaspace       used 61234K, committed 61888K, reserved 1114112K
"""
G1_OF_JAVA_25 = " garbage-first heap   total reserved 9216K, committed 9216K, used 5120K [0x0)\n"


@pytest.mark.parametrize(
    ("text", "used_kib"), [(G1, 51200), (SERIAL, 12345), (G1_OF_JAVA_25, 5120)]
)
def test_the_heap_is_all_its_generations(text: str, used_kib: int) -> None:
    assert used_bytes(text) == used_kib * 1024


def test_what_is_no_heap_is_said_to_be_none() -> None:
    with pytest.raises(BenchError, match="says nothing of its heap: 'Metaspace used 5K'"):
        used_bytes("Metaspace used 5K")


steps = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 100)), max_size=8)
"""Of a heap in MiB: allocated, then how many per cent of what is in use are collected."""


@given(st.integers(0, 500), steps)
def test_collections_hide_nothing(
    tmp_path_factory: pytest.TempPathFactory, used_mib: int, steps: list[tuple[int, int]]
) -> None:
    log, lines, allocated_mib = tmp_path_factory.mktemp("jvm") / "gc.log", [], 0
    before, at_ns = Heap(7, used_mib * MIB, 1000), 1000
    for more_mib, percent in steps:
        allocated_mib, used_mib, at_ns = allocated_mib + more_mib, used_mib + more_mib, at_ns + 10
        left_mib = used_mib - used_mib * percent // 100
        lines.append(f"[{at_ns}ns] GC(1) Pause Full {used_mib}M->{left_mib}M(9999M) 0.001ms\n")
        used_mib = left_mib
    log.write_text("".join(lines))
    meter = AllocationMeter(dict, {"kafka": log, "flink_jobmanager": log})
    after = Heap(7, used_mib * MIB, at_ns + 10)
    assert meter.between({"kafka": before}, {"kafka": after}) == {"kafka": allocated_mib * MIB}
    both = {"kafka": after, "flink_jobmanager": after._replace(pid=8)}
    with pytest.raises(BenchError, match="flink_jobmanager was started anew"):
        meter.between({"kafka": before, "flink_jobmanager": before}, both)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(jvm_attach, "FOLDER", tmp_path)
    monkeypatch.setattr(jvm_attach, "TIMEOUT_S", 0.2)
    return tmp_path


def bind(listener: socket.socket, folder: Path) -> Path:
    """As HotSpot does: nobody else may use it."""
    path = folder / f".java_pid{PID}"
    listener.bind(str(path))
    path.chmod(0o600)
    return path


@pytest.fixture
def jvm(folder: Path) -> Iterator[list[bytes]]:
    """Answers with the first of these, and puts what it was asked in its place."""
    said = [b"0\n" + G1.encode()]
    with socket.socket(socket.AF_UNIX) as listener:
        bind(listener, folder)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                answer, said[0] = said[0], connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield said
        thread.join()


def test_a_jvm_is_asked_in_its_own_words(jvm: list[bytes]) -> None:
    assert ask(PID, "GC.heap_info") == G1
    assert jvm == [b"1\0jcmd\0GC.heap_info\0\0\0"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"100\njava.lang.IllegalArgumentException: Unknown diagnostic command\n", "Unknown"),
        (b"", f"the JVM {PID} refuses GC.heap_info"),
        (b"0\n" + b"x" * ANSWER_BYTES_MAX, "more than 65,536 bytes"),
    ],
)
def test_answers_that_are_none(jvm: list[bytes], answer: bytes, why: str) -> None:
    jvm[0] = answer
    with pytest.raises(BenchError, match=why):
        ask(PID, "GC.heap_info")


def test_a_process_that_is_not_there(folder: Path) -> None:
    with pytest.raises(BenchError, match=f"the JVM {PID} does not answer: .*No such file"):
        ask(PID, "GC.heap_info")


def test_what_is_no_jvm_gets_no_signal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jvm_attach, "NAME", "no process of this name")
    with pytest.raises(BenchError, match="it is none"):
        ask(1, "GC.heap_info")
    assert [*folder.iterdir()] == []


def test_a_jvm_that_has_ended_and_left_its_socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        bind(listener, folder)
    with pytest.raises(BenchError, match="Connection refused"):
        ask(PID, "GC.heap_info")


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o777])
def test_a_socket_that_others_may_use(folder: Path, mode: int) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        bind(listener, folder).chmod(mode)
        with pytest.raises(BenchError, match="may be used by others: s"):
            ask(PID, "GC.heap_info")


@pytest.mark.parametrize("whose", ["geteuid", "getegid"])
def test_a_socket_of_somebody_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    monkeypatch.setattr(os, whose, lambda: 123_456)
    with socket.socket(socket.AF_UNIX) as listener:
        bind(listener, folder)
        with pytest.raises(BenchError, match=r"is of user \d+ and group \d+"):
            ask(PID, "GC.heap_info")


def test_a_jvm_that_does_not_handle_the_signal_yet_is_not_ended_by_it(
    folder: Path, tmp_path: Path, until: Callable[[Callable[[], object]], None]
) -> None:
    program = tmp_path / jvm_attach.NAME
    program.symlink_to(shutil.which("sleep") or "")
    with subprocess.Popen([program, "60"]) as just_started:
        # Linux names a process a moment after it has closed what `Popen` waits for.
        named = Path(f"/proc/{just_started.pid}/comm")
        until(lambda: named.read_text().rstrip() == jvm_attach.NAME)
        with pytest.raises(BenchError, match="it has only just been started"):
            ask(just_started.pid, "GC.heap_info")
        assert just_started.poll() is None
        just_started.kill()
    assert [*folder.iterdir()] == [program]


def test_signals_that_are_handled() -> None:
    signal.signal(signal.SIGUSR2, lambda *_: None)
    assert jvm_attach.catches(os.getpid(), signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    assert not jvm_attach.catches(os.getpid(), signal.SIGUSR2)


def test_a_file_in_the_place_of_the_one_that_asks(tmp_path: Path) -> None:
    asking, elsewhere = tmp_path / "asking", tmp_path / "elsewhere"
    jvm_attach.make_own(asking)
    jvm_attach.make_own(asking)  # left there by an earlier one
    assert asking.stat().st_mode & 0o777 == 0o600
    asking.unlink()
    asking.symlink_to(elsewhere)
    with pytest.raises(FileExistsError):
        jvm_attach.make_own(asking)
    assert not elsewhere.exists()
