"""Which commit a run is recorded with: the work tree's, or the one that was installed."""

from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from bench.records.run_record import CommitRecord
from bench.run import environment


@pytest.mark.parametrize(
    ("origin", "found"),
    [
        ('{"vcs_info": {"commit_id": "0123456789abcdef"}}', CommitRecord("0123456789", False)),
        ('{"dir_info": {}}', CommitRecord("unknown", True)),
        ("not JSON", CommitRecord("unknown", True)),
        (None, CommitRecord("unknown", True)),
    ],
)
def test_a_package_knows_the_commit_that_it_was_installed_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str | None, found: CommitRecord
) -> None:
    """Where it lies, the work tree around is somebody else's."""
    info = tmp_path / "kaflinkshop-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kaflinkshop\nVersion: 0.1.0\n")
    if origin is not None:
        (info / "direct_url.json").write_text(origin)
    package = metadata.Distribution.at(info)
    monkeypatch.setattr(environment.metadata, "distribution", lambda name: package)
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    assert environment.commit() == found


def test_what_is_not_installed_and_not_tracked_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(environment.metadata, "distribution", absent)
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    assert environment.commit() == CommitRecord("unknown", True)


def test_clusters_that_exist_are_not_the_stack_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study would otherwise mix points of both."""
    for variable in environment.CLUSTERS:
        monkeypatch.delenv(variable, raising=False)
    own = environment.environment(own_stack=True)
    assert own.kafka is not None
    assert own.flink is not None
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    assert environment.environment(own_stack=True) == replace(own, kafka=None)
    monkeypatch.setenv("FLINK_REST", "flink:8081")
    assert environment.environment(own_stack=True) == replace(own, kafka=None, flink=None)
