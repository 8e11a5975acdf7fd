"""What a developer and CI run: ``nox -s lint tests``, ``nox -s bench``, ``nox -s locust``.

All sessions share one virtual environment, ``.venv``, with what ``requirements.lock`` pins; nox
itself could give each session one of its own only. After a change of dependencies in
pyproject.toml, write the lock file anew with

    uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --no-annotate --output-file requirements.lock
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "audit", "tests"]

LOCK = Path("requirements.lock")
VENV = Path(".venv").absolute()
STAMP = VENV / "requirements.sha256"
END_TIMEOUT_S = 120
"""After Ctrl-C, a session has this long to stop what it started; nox's default is 0.3 s."""


def installed(session: nox.Session) -> str:
    """The environment's Python; it is installed first where it is not up to date. What it prints
    is not a result, which alone is for standard output."""
    python = str(VENV / "bin" / "python")
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not STAMP.exists() or STAMP.read_text() != digest:
        session.run("python3.11", "-m", "venv", "--clear", str(VENV), external=True)
        uv = shutil.which("uv")
        install = (
            [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
        )
        options = ("--quiet", "--require-hashes", "--requirement", str(LOCK))
        session.run(*install, *options, external=True)
        STAMP.write_text(digest)
    return python


def run(
    session: nox.Session, module: str, *arguments: str, success_codes: Sequence[int] = (0,)
) -> None:
    """Runs a module in the environment."""
    session.run(
        *(installed(session), "-m", module, *arguments),
        external=True,
        success_codes=success_codes,
        interrupt_timeout=END_TIMEOUT_S,
        terminate_timeout=END_TIMEOUT_S,
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format and types."""
    run(session, "ruff", "check")
    run(session, "ruff", "format", "--check")
    run(session, "mypy")


@nox.session
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of what is pinned; without a network: unknown, and no failure."""
    run(session, "tests.support.audit")


@nox.session
def tests(session: nox.Session) -> None:
    """Unit, contract, end-to-end and fault tests, two at a time; arguments go to pytest.

    Where there is no Chromium, one is installed; without one, the tests that need it fail.
    """
    run(session, "tests.support.browser", success_codes=(0, 1))
    run(session, "pytest", "--numprocesses=2", "--dist=loadscope", *session.posargs)


@nox.session
def containers(session: nox.Session) -> None:
    """The stack as containers, tried whole; ``nox -s containers -- cluster`` is for the cluster."""
    run(session, "tests.support.containers", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Writes from the code what docs/ says of limits, of the tree of files and of exit codes."""
    session.run(installed(session), "docs/write.py", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Measures the system on a stack of its own; arguments go to ``python -m bench run``."""
    run(session, "bench", "run", *session.posargs)


@nox.session
def capacity(session: nox.Session) -> None:
    """Searches the highest rate that holds: ``nox -s capacity -- --p99-ms 50``."""
    run(session, "bench", "capacity", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Faults under load, and what became of the promises: ``nox -s faults -- kill-broker``."""
    run(session, "bench", "faults", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """A long load with a fault again and again: ``nox -s soak -- --minutes 45``."""
    run(session, "bench", "soak", *session.posargs)


@nox.session
def cluster(session: nox.Session) -> None:
    """Three brokers, two TaskManagers, two gateways: each process killed once, under load."""
    run(session, "bench", "cluster", *session.posargs)


@nox.session
def probe(session: nox.Session) -> None:
    """Checks single promises of the system: ``nox -s probe -- timeout``."""
    run(session, "bench", "probe", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Draws report.html of recorded runs anew: ``nox -s report -- RUN…``."""
    run(session, "bench", "report", *session.posargs)


@nox.session
def compare(session: nox.Session) -> None:
    """Compares recorded runs: ``nox -s compare -- RUN_A RUN_B``."""
    run(session, "bench", "compare", *session.posargs)


@nox.session
def regression(session: nox.Session) -> None:
    """Measures two commits side by side: ``nox -s regression -- BASE [HEAD]``."""
    run(session, "bench", "regression", *session.posargs)


@nox.session
def bisect(session: nox.Session) -> None:
    """Finds the first commit that is worse: ``nox -s bisect -- GOOD BAD``."""
    run(session, "bench", "bisect", *session.posargs)


@nox.session
def history(session: nox.Session) -> None:
    """Draws each metric over commits: ``nox -s history -- DIR``."""
    run(session, "bench", "history", *session.posargs)


@nox.session
def calibrate(session: nox.Session) -> None:
    """Measures the generator itself, beside wrk and Locust: ``nox -s calibrate -- ceiling``."""
    run(session, "bench", "calibrate", *session.posargs)


@nox.session
def costs(session: nox.Session) -> None:
    """CPU time a request by part, of stacks that are up: ``nox -s costs -- before now``."""
    run(session, "bench", "costs", *session.posargs)


@nox.session
def scaling(session: nox.Session) -> None:
    """What growth costs, a study that goes on where it was: ``nox -s scaling -- --axes rate``."""
    run(session, "bench", "scaling", *session.posargs)


@nox.session
def plan(session: nox.Session) -> None:
    """What a rate needs, by that study: ``nox -s plan -- --rate 100000 --p99-ms 50``."""
    run(session, "bench", "plan", *session.posargs)


@nox.session
def locust(session: nox.Session) -> None:
    """The stack with Locust's web page; arguments go to ``python -m bench locust``."""
    run(session, "bench", "locust", *session.posargs)
