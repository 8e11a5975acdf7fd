"""This client asks a JVM of this machine as ``jcmd`` would, which no bare Java runtime brings.

A file asks the JVM to listen, and SIGQUIT makes it look. Then it has a socket, which takes five
texts, each ended by a zero byte: version, operation and three arguments. The answer is a code in a
line of its own, and a text. A JVM that is killed leaves its socket behind. Source: OpenJDK's
attachListener_posix.cpp and attachListener.cpp.
"""

import os
import signal
import socket
import stat
import time
from pathlib import Path

from bench.errors import BenchError

FOLDER = Path("/tmp")
"""HotSpot looks and listens here, whatever its java.io.tmpdir is."""
NAME = "java"
"""The process must have this name: to any other one a SIGQUIT would be the end."""
START_TIMEOUT_S = 2.0
"""A JVM must listen within this time; else what it allocates in this window is not known."""
TIMEOUT_S = 2.0
"""The JVM must answer within this time."""
POLL_S = 0.01
"""This much time passes between looks whether it listens."""
OTHERS = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH
ANSWER_BYTES_MAX = 64 * 1024
"""An answer has at most this many bytes; that to `GC.heap_info` has less than 1 KiB."""


def ask(pid: int, command: str) -> str:
    """`ask` returns the answer to a diagnostic command, as ``GC.heap_info``. It raises
    `BenchError`."""
    listening = FOLDER / f".java_pid{pid}"
    try:
        if not listening.is_socket():
            _begin_to_listen(pid, listening)
        check_owner(listening)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(listening))
            texts = ("1", "jcmd", command, "", "")
            connection.sendall("".join(f"{text}\0" for text in texts).encode())
            answer = _receive(connection)
    except OSError as cause:
        raise BenchError(f"the JVM {pid} does not answer: {cause}") from None
    code, _, text = answer.decode(errors="replace").partition("\n")
    if code != "0":
        raise BenchError(f"the JVM {pid} refuses {command}: {text.strip() or code}")
    return text


def _begin_to_listen(pid: int, listening: Path) -> None:
    if Path(f"/proc/{pid}/comm").read_text().rstrip() != NAME:
        raise OSError("it is none")
    if not catches(pid, signal.SIGQUIT):
        raise OSError("it has only just been started, and the signal would end it")
    asking = FOLDER / f".attach_pid{pid}"
    make_own(asking)
    try:
        os.kill(pid, signal.SIGQUIT)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not listening.is_socket():
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"it does not listen after {START_TIMEOUT_S:g} s")
            time.sleep(POLL_S)
    finally:
        asking.unlink(missing_ok=True)


def catches(pid: int, number: int) -> bool:
    """`catches` returns whether the process handles this signal. Source: Linux, proc_pid_status(5);
    OpenJDK's VirtualMachineImpl.java asks so too."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) & 1 << (number - 1))
    return False


def check_owner(listening: Path) -> None:
    """`check_owner` raises `OSError` unless the socket is this user's alone, as jcmd asks for.

    Anybody may put one into a folder that is open to all. Source: OpenJDK's
    VirtualMachineImpl.c, checkPermissions.
    """
    found = listening.lstat()
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(f"{listening} is no socket")
    if found.st_uid != os.geteuid() or found.st_gid != os.getegid():
        raise OSError(f"{listening} is of user {found.st_uid} and group {found.st_gid}")
    if found.st_mode & OTHERS:
        raise OSError(f"{listening} may be used by others: {stat.filemode(found.st_mode)}")


def make_own(asking: Path) -> None:
    """`make_own` makes the file that asks, or finds that it is this user's. It raises `OSError`."""
    try:
        os.close(os.open(asking, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600))
    except FileExistsError:
        found = asking.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise


def _receive(connection: socket.socket) -> bytes:
    content = bytearray()
    while part := connection.recv(ANSWER_BYTES_MAX):
        content += part
        if len(content) > ANSWER_BYTES_MAX:
            raise OSError(f"more than {ANSWER_BYTES_MAX:,} bytes")
    return bytes(content)
