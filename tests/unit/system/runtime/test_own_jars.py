"""A jar's name changes with all that it is made of, so that what the cache has is never another."""

from pathlib import Path

import pytest

from system.runtime import own_jars
from system.runtime.own_jars import job_jar, page_jar


@pytest.fixture(autouse=True)
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KAFLINKSHOP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(own_jars, "JOB", tmp_path)
    for name in ("A", "B"):
        (tmp_path / f"{name}.java").write_text(f"class {name} {{}}")
    return tmp_path


def test_it_is_made_once(sources: Path) -> None:
    jar = job_jar([sources / "kafka.jar"])
    assert not jar.is_made
    jar.file.parent.mkdir(parents=True, exist_ok=True)
    jar.file.touch()
    assert job_jar([sources / "kafka.jar"]).is_made
    assert jar.command[3:] == [
        str(jar.file),
        *(str(sources / f"{name}.java") for name in ("A", "B")),
        *("--with", str(sources / "kafka.jar")),
    ]


def test_another_source_or_connector_makes_another_jar(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = [sources / "kafka.jar"]
    files = [job_jar(connector).file, job_jar([*connector, sources / "other.jar"]).file]
    (sources / "B.java").write_text("class B { int b; }")
    files.append(job_jar(connector).file)
    (sources / "C.java").write_text("class C {}")
    files.append(job_jar(connector).file)
    files.append(page_jar().file)
    monkeypatch.setattr(own_jars, "version", lambda name: "9.9")
    files.append(job_jar(connector).file)
    monkeypatch.setattr(own_jars, "COMPILER", sources / "A.java")
    files.append(job_jar(connector).file)
    assert len({*files}) == len(files)
