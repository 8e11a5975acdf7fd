"""What leader and agent must have alike."""

import socket
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from bench.generator import fleet
from bench.generator.spec import Load, Phase
from bench.generator.tls import Trust
from bench.remote import job, leader
from bench.remote.agent import _differs
from bench.remote.frames import LinkError
from bench.remote.job import LIBRARIES, PACKAGES, Job, digests, this_host
from bench.run.load import load_of
from bench.run.settings import Settings
from bench.workload.arrivals import Schedule, Stage


def alike(workload: Path) -> set[str]:
    load = load_of(Settings(workload=str(workload)))
    return {Path(each).name for each in fleet._alike(load)}


WORKLOAD = """
[values]
user = { csv = "users.csv" }
[[request]]
operation = "a"
path = "/"
method = "POST"
body = { file = "a.json" }
headers = { Authorization = { file = "token", prefix = "Bearer " } }
[[sequence]]
[[sequence.request]]
operation = "b"
path = "/"
body = { file = "b.json" }
"""


def test_a_workload_names_its_files(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text(WORKLOAD)
    for name in ("users.csv", "a.json", "b.json", "token"):
        (tmp_path / name).write_text("id\n1" if name == "users.csv" else "1")
    found = alike(path)
    assert found == {"w.toml", "users.csv", "a.json", "b.json"}  # the token is not compared


@pytest.mark.parametrize("part", [
    'capture = { csv = "/token" }',
    'check = { header = { file = "x" } }',
    'headers = { csv = "x" }',
])  # fmt: skip
def test_what_only_looks_like_a_file_is_none(tmp_path: Path, part: str) -> None:
    path = tmp_path / "w.toml"
    path.write_text(f'[[sequence]]\n[[sequence.request]]\noperation = "a"\npath = "/"\n{part}\n')
    assert alike(path) == {"w.toml"}


def test_a_value_may_be_any_text(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text(
        '[values]\nkind = ["csv", "json"]\n[[request]]\noperation = "a"\npath = "/{kind}"'
    )
    assert alike(path) == {"w.toml"}


def test_a_list_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    (tmp_path / "h.csv").write_text("id\n1\n")
    path.write_text(
        '[values]\nheaders = { csv = "h.csv" }\n[[request]]\noperation = "a"\npath = "/"'
    )
    assert alike(path) == {"w.toml", "h.csv"}


def test_a_file_that_differs_or_is_missing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text("a")
    asked = Job({}, digests([path]), "a")
    assert _differs(asked) is None
    path.write_text("b")
    assert _differs(asked) == f"{path} is not the leader's"
    path.unlink()
    assert _differs(asked) == f"{path}: No such file or directory"


@pytest.mark.parametrize(
    "fields", [None, {}, {"spec": 1, "digests": {}, "leader": "a"}, {"spec": {}, "digests": {}}]
)
def test_what_is_no_job_is_refused(fields: object) -> None:
    with pytest.raises(LinkError, match="no job of this version"):
        Job.of(fields)


def test_any_other_source_is_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone with changes has the same commit, and a package that was installed has none."""
    for package in PACKAGES:
        (tmp_path / package / "room").mkdir(parents=True)
        (tmp_path / package / "room" / "noun.py").write_text("A = 1\n")
    monkeypatch.setattr(job, "PROJECT_DIR", tmp_path)
    before = this_host()
    assert before == this_host()
    (tmp_path / "bench" / "room" / "notes.txt").write_text("no source")
    assert before == this_host()
    source = tmp_path / "system" / "room" / "noun.py"
    source.write_text("A = 2\n")
    assert before.sources != this_host().sources
    source.rename(source.with_name("other.py"))
    (tmp_path / "system" / "room" / "other.py").write_text("A = 1\n")
    assert before.sources != this_host().sources
    assert before[1:] == this_host()[1:]


@pytest.mark.parametrize("library", LIBRARIES)
def test_another_library_is_another_version(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, version = this_host(), job.metadata.version
    monkeypatch.setattr(
        job.metadata, "version", lambda name: "0" if name == library else version(name)
    )
    assert before.sources != this_host().sources


@pytest.mark.parametrize(
    ("named", "is_refused"),
    [
        ({"url": "http://127.0.0.1:8080"}, True),
        ({"url": "https://localhost"}, True),
        ({"url": "http://[::1]:80/x"}, True),
        ({"url": "http://10.0.0.2:8080", "others": ["http://127.0.0.1:8081"]}, True),
        ({"url": "http://10.0.0.2:8080", "kafka": "10.0.0.3:9092,127.0.0.1:9092"}, True),
        ({"url": "http://10.0.0.2:8080", "kafka": "10.0.0.3:9092"}, False),
        ({"url": "http://0.0.0.0:8080"}, True),
        ({"url": "http://127.1:8080"}, True),
        ({"url": "http://localhost.:8080"}, True),
        ({"url": "http://[::ffff:127.0.0.1]:8080"}, True),
        ({"url": "http://bench.example:8080"}, True),
        ({"url": "http://other.example:8080"}, False),
        ({"url": "http://127.example:8080"}, False),
    ],
)
def test_a_loopback_address_is_each_machine_s_own(
    named: dict[str, Any], is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def looked_up(host: str, port: None) -> Any:
        if host.endswith(".example"):  # as /etc/hosts may have it
            host = {"bench.example": "127.0.1.1", "other.example": "10.0.0.4"}.get(
                host, "256.0.0.1"
            )
            return look_up(host, port, flags=socket.AI_NUMERICHOST)
        return look_up(host, port)

    monkeypatch.setattr(leader.socket, "getaddrinfo", looked_up)
    spec = {"others": [], "kafka": None, **named}
    with pytest.raises(LinkError, match="by --target") if is_refused else nullcontext():
        leader._refuse_loopback(spec)


def test_a_file_is_the_same_whoever_s_folder_it_is_named_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent looked for it in the folder of its own clone, and its generator in the leader's."""
    (tmp_path / "w.toml").write_text('[[request]]\noperation = "a"\npath = "/"\n')
    (tmp_path / "ca.pem").write_text("ca")
    monkeypatch.chdir(tmp_path)
    load = Load("w.toml", 0.0, 1, 1, 0, trust=Trust("ca.pem"), files=("w.toml",))
    assert fleet._alike(load).keys() == {str(tmp_path / "w.toml"), str(tmp_path / "ca.pem")}
    phase = Phase("load", 0, 1.0, 1.0, Schedule((Stage(1.0, 1.0, 1.0),)))
    spec = fleet.spec_of("http://127.0.0.1", load, phase, 1, tmp_path)
    assert (spec.workload, spec.trust.ca) == (str(tmp_path / "w.toml"), str(tmp_path / "ca.pem"))
