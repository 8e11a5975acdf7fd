"""A container engine with Compose: found, or started for as long as it is needed.

Where no image can be pulled, the base of the project's image is made of Debian's packages.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from machine.errors import StackError

HOW = "on Debian and Ubuntu: apt-get install docker.io docker-compose debootstrap"
BASE = "python:3.11-slim-bookworm"
OWN_BASE = "kaflinkshop-base"
COMPOSE_FILE = Path(__file__).parents[2] / "docker-compose.yml"
PACKAGES = "ca-certificates,python3.11,python3-venv,libpython3.11"
"""All that the image's Dockerfile asks of its base."""
TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_CONFIGURATION = Path("/etc/pip.conf")
PIP_VARIABLES = ("INDEX_URL", "EXTRA_INDEX_URL", "TRUSTED_HOST")

COMMAND_S = 60.0
"""A command of the engine that only asks or removes ends within this time."""
START_S = 60.0
"""A daemon answers within this time after its start."""
STOP_S = 60.0
"""A daemon ends within this time after SIGTERM, and is killed then."""
PULL_S = 300.0
"""An image is pulled within this time, or counts as one that can't be."""
MAKE_S = 900.0
"""A base is made of packages within this time; an idle machine takes one minute."""
POLL_S = 0.5

Say = Callable[[str], object]


def run(
    command: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None
) -> str:
    """`run` returns a command's stdout; it raises `StackError` with the last line of its errors."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            env=os.environ | (environment or {}),
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise StackError(f"{' '.join(command[:3])}: {cause}") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "nothing was said").splitlines()[-1]
        raise StackError(f"{' '.join(command[:3])} ended with {done.returncode}: {last}")
    return done.stdout


def answers() -> bool:
    """Of newer ones `info` ends with 0 though no daemon answers (docker/cli#5900): it then has no
    version of a server."""
    try:
        return bool(run(["docker", "info", "--format", "{{.ServerVersion}}"], COMMAND_S).strip())
    except StackError:
        return False


def compose_command() -> list[str]:
    """`compose_command` returns the plugin's command, or its forerunner's; it raises `StackError`
    where there is neither."""
    for command in (["docker", "compose"], ["docker-compose"]):
        try:
            run([*command, "version"], COMMAND_S)
        except StackError:
            continue
        return command
    raise StackError(f"the container engine has no Compose; {HOW}")


@contextmanager
def engine(say: Say) -> Iterator[None]:
    """`engine` has a daemon answer, and ends it again if it is its own. It raises `StackError`."""
    if not shutil.which("docker"):
        raise StackError(f"no container engine is installed; {HOW}")
    if answers():
        yield
        return
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        raise StackError(f"no container engine answers: start one, or install it; {HOW}")
    with tempfile.TemporaryDirectory(prefix="kaflinkshop-dockerd-") as folder:
        log = Path(folder, "dockerd.log")
        with log.open("wb") as output:
            # A terminal's Ctrl-C is not for it: what it runs is taken down first.
            daemon = subprocess.Popen(
                ["dockerd"], stdout=output, stderr=output, start_new_session=True
            )
        try:
            deadline = time.monotonic() + START_S
            while not answers():
                if daemon.poll() is not None or time.monotonic() > deadline:
                    last = (log.read_text(errors="replace").splitlines() or ["it said nothing"])[-1]
                    raise StackError(f"dockerd does not start: {last}")
                time.sleep(POLL_S)
            say("started dockerd, until the end")
            yield
        finally:
            daemon.terminate()
            try:
                daemon.wait(STOP_S)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def base(say: Say) -> str:
    """`base` returns the name of an image that is here: ``KAFLINKSHOP_BASE``, `BASE`, or where that
    can't be pulled one that is made. It raises `StackError`."""
    chosen = os.environ.get("KAFLINKSHOP_BASE")
    if chosen:
        return chosen
    for name in (BASE, OWN_BASE):
        if run(["docker", "image", "ls", "--quiet", name], COMMAND_S).strip():
            return name
    try:
        run(["docker", "pull", "--quiet", BASE], PULL_S)
    except StackError as cause:
        say(f"{BASE} can't be pulled ({cause}): making {OWN_BASE} of Debian's packages")
        make_base()
        return OWN_BASE
    return BASE


def make_base() -> None:
    """`make_base` makes `OWN_BASE`, which trusts whom this machine trusts and has its pip's
    configuration: that is in no file of the project, and in no layer's history."""
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise StackError(f"{BASE} can't be pulled, and only root with debootstrap can make a base")
    with tempfile.TemporaryDirectory(prefix="kaflinkshop-base-") as folder:
        root = Path(folder, "root")
        options = ("--variant=minbase", f"--include={PACKAGES}")
        run(["debootstrap", *options, "bookworm", str(root)], MAKE_S)
        if TRUSTED.exists():
            shutil.copyfile(TRUSTED, root / TRUSTED.relative_to("/"))
        pip = PIP_CONFIGURATION.read_text() if PIP_CONFIGURATION.exists() else "[global]\n"
        for name in PIP_VARIABLES:
            if f"PIP_{name}" in os.environ:
                pip += f"{name.lower().replace('_', '-')} = {os.environ[f'PIP_{name}']}\n"
        if re.search(r"://[^/\s]*@", pip):
            raise StackError(
                "pip's configuration has a password in a URL, which would be in the image for all "
                "who get it: set a PIP_INDEX_URL without one"
            )
        (root / PIP_CONFIGURATION.relative_to("/")).write_text(pip)
        archive = Path(folder, "root.tar")
        run(["tar", "--directory", str(root), "--create", "--file", str(archive), "."], MAKE_S)
        run(["docker", "import", str(archive), OWN_BASE], MAKE_S)


def one_of_each_image(profiles: Collection[str]) -> list[str]:
    """A service for each image that is built: a Compose that builds one for several services builds
    it for each, at the same time, and may fail with "already exists"."""
    services = yaml.safe_load(COMPOSE_FILE.read_text())["services"]
    built = {
        each["image"]: name
        for name, each in services.items()
        if "build" in each and {*each["profiles"]} & {*profiles}
    }
    return sorted(built.values())
