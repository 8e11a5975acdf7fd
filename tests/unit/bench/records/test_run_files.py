"""run.json is read, or one line says why it can't be."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_run import made_run
from support.made_samples import PhaseSpec

from bench.records.run_files import MESSAGE_MAX, ChangedError, read_run, write_run
from bench.records.run_record import SCHEMA_VERSION
from bench.records.versioned_json import RunFileError, VersionError, read_part


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    phases = (PhaseSpec("users-2", users=2, rate_per_s=50, duration_s=9),)
    return made_run(tmp_path_factory.mktemp("made") / "run", phases)


@pytest.fixture
def changed(folder: Path, tmp_path: Path) -> Any:
    """``changed(content)`` is the folder of a run.json with that content."""

    def change(content: Any) -> Path:
        written = content if isinstance(content, bytes) else orjson.dumps(content)
        (tmp_path / "run.json").write_bytes(written)
        return tmp_path

    return change


def content(folder: Path) -> Any:
    return orjson.loads((folder / "run.json").read_bytes())


def refusal(where: Path) -> str:
    with pytest.raises(RunFileError) as caught:
        read_run(where)
    (line,) = str(caught.value).splitlines()
    assert str(where) in line
    return line


def test_a_folder_and_its_file_are_the_same_run(folder: Path) -> None:
    assert read_run(folder) == read_run(folder / "run.json")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "nowhere")


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    assert "cannot read" in refusal(tmp_path)


@given(st.floats(0, 0.999))
def test_a_truncated_file(folder: Path, share: float) -> None:
    whole = (folder / "run.json").read_bytes().rstrip()
    path = folder / "truncated.json"
    path.write_bytes(whole[: int(share * len(whole))])
    assert "truncated or not JSON" in refusal(path)


@given(st.binary(max_size=200))
def test_what_is_no_run_is_refused_in_one_line(folder: Path, noise: bytes) -> None:
    path = folder / "noise.json"
    path.write_bytes(noise)
    refusal(path)


def test_a_newer_version_says_what_to_do(folder: Path, changed: Any) -> None:
    with pytest.raises(VersionError, match=r"written by a newer version.*update"):
        read_run(changed({"schema_version": SCHEMA_VERSION + 1, "all": "different"}))


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_before_the_first_says_what_to_do(
    folder: Path, changed: Any, version: int
) -> None:
    with pytest.raises(VersionError, match=r"written by an older version.*measure anew"):
        read_run(changed(content(folder) | {"schema_version": version}))


@pytest.mark.parametrize("whole", [{}, {"settings": None}, {"settings": {}, "phases": [1]}])
def test_an_older_record_that_is_none(changed: Any, whole: dict[str, Any]) -> None:
    line = refusal(changed({"schema_version": 1, **whole}))
    assert "is not the record of a run of schema 1" in line


def test_what_was_read_is_written_the_same(folder: Path, tmp_path: Path) -> None:
    write_run(tmp_path, read_run(folder))
    assert content(tmp_path) == content(folder)


@pytest.mark.parametrize("version", [None, "2", 2.0, True, []])
def test_a_version_that_is_none(folder: Path, changed: Any, version: object) -> None:
    assert "no schema_version" in refusal(changed(content(folder) | {"schema_version": version}))


@pytest.mark.parametrize("whole", [[], "run", 2, None])
def test_json_that_is_no_object(changed: Any, whole: object) -> None:
    assert "no schema_version" in refusal(changed(whole))


def test_each_missing_part_is_named(folder: Path, changed: Any) -> None:
    run = content(folder)
    for name in run.keys() - {"schema_version", "digests"}:
        left = {key: value for key, value in run.items() if key != name}
        assert f"'{name}' is a required property" in refusal(changed(left))


def test_a_missing_figure_is_named_with_its_place(folder: Path, changed: Any) -> None:
    run = content(folder)
    del run["phases"][0]["window"]["latency_ms"]["p99"]
    line = refusal(changed(run))
    assert "phases[0].window" in line
    assert "'p99'" in line


def test_a_wrong_value_is_cited_in_short(folder: Path, changed: Any) -> None:
    run = content(folder)
    run["seed"] = ["x" * 10_000]
    line = refusal(changed(run))
    assert "seed" in line
    assert len(line) < MESSAGE_MAX + 300


def test_a_part_is_of_its_own_version(folder: Path) -> None:
    path = folder / "series-users-2.json"
    assert read_part(path, 1)["at_ns"]
    with pytest.raises(VersionError, match=r"older version: its schema is 1.* reads 2"):
        read_part(path, 2)


def test_what_was_changed_after_it_was_recorded_is_refused(tmp_path: Path) -> None:
    path = made_run(tmp_path) / "run.json"
    assert read_run(path).digests.keys() > {"run.json"}
    recorded = path.read_text()
    edited = recorded.replace('"throughput_per_s": ', '"throughput_per_s": 1', 1)
    assert edited != recorded
    path.write_text(edited)
    with pytest.raises(ChangedError, match="changed after it was recorded"):
        read_run(path)
    path.write_bytes(orjson.dumps(orjson.loads(recorded)))
    read_run(path)  # the same content in another form
    samples = path.with_name(next(name for name in read_run(path).digests if name != path.name))
    samples.write_bytes(samples.read_bytes() + b"0")
    with pytest.raises(ChangedError, match=samples.name):
        read_run(path)
    samples.unlink()
    read_run(path)  # nothing to look at: run.json may be kept alone
