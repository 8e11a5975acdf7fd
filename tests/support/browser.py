"""The Chromium that reports are opened in: one of this machine, or Playwright's own.

``python -m tests.support.browser`` gets one where there is none, and says so in a line. Its exit
code is 1 where that is not possible.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PLAYWRIGHT = (sys.executable, "-m", "playwright")
MISSING = "no Chromium: install one (`apt install chromium`), or run `playwright install chromium`"
START_TIMEOUT_S = 120.0
"""A browser says its version within this time; a busy machine needs seconds."""
INSTALL_TIMEOUT_S = 900.0
"""Each command of an installation ends within this time: some hundred MiB are downloaded."""

Command = Sequence[str]


def find() -> str | None:
    """`find` returns the path of a browser that starts, None where there is none."""
    for name in PROGRAMS:
        found = shutil.which(name)
        # Ubuntu's chromium-browser may be a script which only says that it needs a snap.
        if found and _starts(found):
            return found
    own = _playwrights_own()
    return own if _starts(own) else None


def obtain() -> str:
    """`obtain` returns a line that says which browser was installed, empty where none had to be.

    Raises `RuntimeError`, whose line says what failed, where none can be installed.
    """
    if find():
        return ""
    print("tests: no Chromium here, installing one", flush=True)
    reasons = []
    for way, commands in _ways():
        reason = next(filter(None, map(_failure, commands)), "")
        found = find()
        if found:
            return f"tests: Chromium came by {way}: {found}"
        reasons.append(f"{way}: {reason or 'what it installed does not start'}")
    raise RuntimeError(f"{MISSING} ({'; '.join(reasons)})")


def _ways() -> Iterator[tuple[str, Sequence[Command]]]:
    """Playwright's needs no rights. The distribution's packages are for root only: no sudo."""
    yield "Playwright's installer", [[*PLAYWRIGHT, "install", "--no-shell", "chromium"]]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        if Path(_playwrights_own()).exists():  # without the libraries that it needs
            yield "Playwright's packages", [[*PLAYWRIGHT, "install-deps", "chromium"]]
        install = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
        yield "apt-get", [["apt-get", "update"], install]


def _playwrights_own() -> str:
    """The path of Playwright's own browser, whether it is there or not."""
    from playwright.sync_api import sync_playwright  # takes a second: only where it is asked

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _starts(program: str) -> bool:
    return _failure([program, "--version"], START_TIMEOUT_S) is None


def _failure(command: Command, timeout_s: float = INSTALL_TIMEOUT_S) -> str | None:
    """The last line of a command that failed, None of one that did not."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        return str(cause)
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stdout.splitlines()]
    told = [line for line in lines if line and not line.startswith("at ")]
    errors = [line for line in told if line.startswith(("Error", "E:"))]
    return (errors[:1] or told[-1:] or [f"exit code {done.returncode}"])[0]


if __name__ == "__main__":
    try:
        line = obtain()
    except RuntimeError as cause:
        sys.exit(f"error: {cause}")
    if line:
        print(line)
