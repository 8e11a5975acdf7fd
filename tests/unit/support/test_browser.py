"""How the tests come by a Chromium: programs are scripts, and nothing is installed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import browser

STARTS = "#!/bin/sh\necho Chromium 1\n"
SNAP_STUB = "#!/bin/sh\necho requires the chromium snap to be installed >&2\nexit 1\n"
NO_NETWORK = (
    "#!/bin/sh\necho Downloading >&2\necho 'Error: no such host' >&2\necho '  at x' >&2\nexit 1\n"
)

Place = Callable[[str, str], Path]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Writes a program; there are no others, and Playwright's own browser is not there."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(browser, "_playwrights_own", lambda: str(tmp_path / "own"))

    def place(name: str, script: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)
        return path

    monkeypatch.setattr(browser, "PLAYWRIGHT", [str(place("playwright", NO_NETWORK))])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return place


def copies(place: Place, name: str) -> str:
    """A script that makes the browser of this name."""
    ready = place("ready", STARTS)
    return f"#!/bin/sh\n/bin/cp -p {ready} {ready.parent / name}\n"


def test_one_that_is_there_is_taken_and_nothing_said(place: Place) -> None:
    path = place("bin/google-chrome", STARTS)
    assert browser.find() == str(path)
    assert browser.obtain() == ""


def test_one_that_does_not_start_is_none(place: Place) -> None:
    place("bin/chromium-browser", SNAP_STUB)
    assert browser.find() is None
    own = place("own", STARTS)
    assert browser.find() == str(own)


def test_playwrights_installer_comes_first(place: Place, capsys: pytest.CaptureFixture) -> None:
    place("bin/apt-get", SNAP_STUB)
    place("playwright", copies(place, "own"))
    assert browser.obtain().startswith("tests: Chromium came by Playwright's installer: ")
    assert capsys.readouterr().out == "tests: no Chromium here, installing one\n"


def test_the_distributions_package_where_that_is_not_reached(place: Place) -> None:
    place("bin/apt-get", copies(place, "bin/chromium"))
    assert browser.obtain().startswith("tests: Chromium came by apt-get: ")


def test_packages_are_for_root_only(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place("bin/apt-get", copies(place, "bin/chromium"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RuntimeError) as failed:
        browser.obtain()
    assert str(failed.value) == f"{browser.MISSING} (Playwright's installer: Error: no such host)"


def test_each_way_that_failed_is_named(place: Place) -> None:
    place("bin/apt-get", "#!/bin/sh\n")
    with pytest.raises(RuntimeError) as failed:
        browser.obtain()
    assert str(failed.value).endswith("; apt-get: what it installed does not start)")


def test_libraries_are_installed_for_a_browser_that_lacks_them(place: Place) -> None:
    own = place("own", SNAP_STUB)
    script = copies(place, "own").removeprefix("#!/bin/sh\n")
    place("playwright", f'#!/bin/sh\n[ "$1" = install ] || {script}')
    place("bin/apt-get", "#!/bin/sh\n")
    assert browser.obtain() == f"tests: Chromium came by Playwright's packages: {own}"


def test_playwright_says_where_its_own_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    code = "from support.browser import _playwrights_own; print(_playwrights_own())"
    folder = Path(browser.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.stdout.startswith(str(tmp_path)), done.stderr
