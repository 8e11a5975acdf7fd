"""What leader and agent must have alike."""

from pathlib import Path

import pytest

from bench.remote.agent import _differs
from bench.remote.frames import LinkError
from bench.remote.job import Job, digests, files_of

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
    job = Job({}, digests([path]))
    assert _differs(job) is None
    path.write_text("b")
    assert _differs(job) == f"{path} is not the leader's"
    path.unlink()
    assert _differs(job) == f"{path}: No such file or directory"


@pytest.mark.parametrize("fields", [None, {}, {"spec": 1, "digests": {}}, {"spec": {}}])
def test_what_is_no_job_is_refused(fields: object) -> None:
    with pytest.raises(LinkError, match="no job of this version"):
        Job.of(fields)
