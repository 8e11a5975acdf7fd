"""What leader and agent must have alike."""

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
from bench.remote.job import PACKAGES, Job, digests, files_of, this_host
from bench.workload.arrivals import Schedule, Stage

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
    found = {each.name for each in files_of(path)}
    assert found == {"w.toml", "users.csv", "a.json", "b.json"}  # the token is not compared


def test_a_file_that_differs_or_is_missing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text("a")
    asked = Job({}, digests([path]))
    assert _differs(asked) is None
    path.write_text("b")
    assert _differs(asked) == f"{path} is not the leader's"
    path.unlink()
    assert _differs(asked) == f"{path}: No such file or directory"


@pytest.mark.parametrize("fields", [None, {}, {"spec": 1, "digests": {}}, {"spec": {}}])
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
        ({"url": "http://localhost.example:8080"}, False),
        ({"url": "http://127.example:8080"}, False),
    ],
)
def test_a_loopback_address_is_each_machine_s_own(named: dict[str, Any], is_refused: bool) -> None:
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
    load = Load("w.toml", 0.0, 1, 1, 0, trust=Trust("ca.pem"))
    assert fleet._alike(load).keys() == {str(tmp_path / "w.toml"), str(tmp_path / "ca.pem")}
    phase = Phase("load", 0, 1.0, 1.0, Schedule((Stage(1.0, 1.0, 1.0),)))
    spec = fleet.spec_of("http://127.0.0.1", load, phase, 1, tmp_path)
    assert (spec.workload, spec.trust.ca) == (str(tmp_path / "w.toml"), str(tmp_path / "ca.pem"))
