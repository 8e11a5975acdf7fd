"""What each of several generators is told to do, and what it needs of this machine."""

import resource
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.generator import preflight
from bench.generator.fleet import spec_of
from bench.generator.preflight import FILES_SPARE
from bench.generator.spec import Load, Phase
from bench.run.run import system_under_test
from bench.run.settings import Settings
from bench.workload.arrivals import Schedule, Stage

WORKLOAD = '[[request]]\noperation = "index"\npath = "/"\n'


@pytest.mark.parametrize(("users", "count", "expected"), [(3000, 1, [3000]), (8, 3, [3, 3, 2])])
def test_each_user_has_a_connection(
    tmp_path: Path, users: int, count: int, expected: list[int]
) -> None:
    """Of 3,000 users 1,000 queued inside the generator, and their wait was the server's."""
    load, phase = Load("shop", 0.0, count, 2, 0), Phase("users", users, 1.0, 1.0)
    specs = [spec_of("http://h", load, phase, 1, tmp_path, index, count) for index in range(count)]
    assert [(spec.users, spec.in_flight_max) for spec in specs] == [(n, n) for n in expected]
    schedule = Schedule((Stage(10.0, 10.0, 1.0),))
    open_loop = spec_of("http://h", load, phase._replace(users=0, schedule=schedule), 1, tmp_path)
    assert (open_loop.users, open_loop.in_flight_max) == (0, 2)


@pytest.mark.parametrize(
    ("settings", "is_refused"),
    [
        (Settings(users=(1, 8)), False),
        (Settings(users=(1, 100)), True),
        (Settings(users=(1, 100), generators=13), False),
        (Settings(rate="10", users=()), True),
        (Settings(rate="10", users=(), in_flight_max=8), False),
        (Settings(rate="10", users=(), in_flight_max=8, saturation_users=9), True),
    ],
)
def test_a_load_needs_so_many_files_as_it_has_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings, is_refused: bool
) -> None:
    """Eight users were refused where 2,000 could not be."""
    files = 8 + FILES_SPARE
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (files, files))
    monkeypatch.setattr(preflight, "check_server", lambda address, trust: None)
    (tmp_path / "mine.toml").write_text(WORKLOAD)
    changed = {"workload": str(tmp_path / "mine.toml"), "target": "http://127.0.0.1:9"}
    settings = Settings(**{**vars(settings), **changed})
    if is_refused:
        with (
            pytest.raises(BenchError, match=f"a process may have {files} files open"),
            system_under_test(settings, print),
        ):
            pass
        return
    with system_under_test(settings, print) as system:
        assert system.url == "http://127.0.0.1:9"
