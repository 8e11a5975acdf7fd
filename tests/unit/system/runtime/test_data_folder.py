"""Data folders: whose they are, what stays of them, and which are refused."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.packages import install, points

from machine import cache
from machine.errors import StackError
from system.catalog import catalog, read
from system.runtime import options
from system.runtime.data_folder import CHECKPOINTS, MANIFEST, DataFolder, data_folder, form_of


@pytest.fixture(autouse=True)
def cache_dir(tmp_path_factory, monkeypatch) -> Path:
    folder: Path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("KAFLINKSHOP_CACHE", str(folder))
    return folder


def made_now() -> dict[str, str]:
    return options.StackOptions().made_with(None, None)


MADE_WITH = {"Kafka": "4.1.2", "parallelism": "1"}


def fail(folder: DataFolder, *, was_up: bool) -> None:
    (folder.path / "kafka").mkdir()
    folder.was_up = was_up
    raise StackError


def test_a_temporary_one_is_removed(cache_dir):
    with data_folder(None, None, MADE_WITH) as folder:
        (folder.path / "kafka").mkdir()
        assert (folder.path / "logs").is_dir()
    assert list((cache_dir / "stacks").iterdir()) == []


@pytest.mark.parametrize("name", [None, "shop"])
def test_a_failed_start_leaves_the_logs_until_the_next_one(name):
    with pytest.raises(StackError), data_folder(None, name, MADE_WITH) as failed:
        fail(failed, was_up=False)
    assert (failed.path / "logs").is_dir()
    assert not (failed.path / "kafka").exists()
    with data_folder(None, name, MADE_WITH) as folder:
        assert not folder.is_resumed
    assert not failed.path.exists()


def test_an_end_that_was_asked_for_leaves_nothing():
    with pytest.raises(KeyboardInterrupt), data_folder(None, "shop", MADE_WITH) as folder:
        raise KeyboardInterrupt
    assert not folder.path.exists()


def test_what_is_left_of_an_end_that_was_cut_short_is_no_data(monkeypatch):
    def interrupt(part: Path) -> None:
        raise KeyboardInterrupt

    with ExitStack() as up:
        first = up.enter_context(data_folder(None, "shop", MADE_WITH))
        for part in ("flink", "kafka"):
            (first.path / part).mkdir()
            (first.path / part / "data").touch()
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", interrupt)
            with pytest.raises(KeyboardInterrupt):
                up.close()
    assert (first.path / "flink").is_dir()
    with data_folder(None, "shop", MADE_WITH) as folder:
        assert folder.path == first.path
        assert not folder.is_resumed
        assert not (folder.path / "kafka").exists()
        assert not (folder.path / "flink").exists()


def test_what_a_broken_stack_left_is_the_next_ones_of_its_name():
    with pytest.raises(StackError), data_folder(None, "shop", MADE_WITH) as failed:
        fail(failed, was_up=True)
    with data_folder(None, "other", MADE_WITH) as other:
        assert not other.is_resumed
    # Interrupted while it comes up, it is still the next one's.
    with pytest.raises(KeyboardInterrupt), data_folder(None, "shop", MADE_WITH):
        raise KeyboardInterrupt
    with data_folder(None, "shop", MADE_WITH) as folder:
        assert (folder.is_resumed, folder.stack_id) == (True, failed.stack_id)
        assert (folder.path / "kafka").is_dir()
        folder.was_up = True
    assert not folder.path.exists()


def test_what_is_too_old_is_removed(monkeypatch):
    with pytest.raises(StackError), data_folder(None, "shop", MADE_WITH) as failed:
        fail(failed, was_up=True)
    monkeypatch.setattr("system.runtime.data_folder.KEEP_S", 0.0)
    with data_folder(None, "other", MADE_WITH):
        assert not failed.path.exists()


def test_one_in_use_stays():
    with (
        data_folder(None, None, MADE_WITH) as first,
        data_folder(None, None, MADE_WITH) as second,
    ):
        assert first.path != second.path
        assert first.path.exists()


def test_a_chosen_one_stays_and_is_gone_on_with(tmp_path):
    chosen = tmp_path / "chosen"
    with data_folder(chosen, "shop", MADE_WITH) as first:
        assert (first.path, first.is_resumed) == (chosen, False)
        assert chosen.stat().st_mode & 0o777 == 0o700
    with data_folder(chosen, "other", MADE_WITH) as second:
        assert (second.stack_id, second.is_resumed) == (first.stack_id, True)


def test_state_of_another_kafkas_topics_is_refused(tmp_path):
    for _ in "12":
        with data_folder(tmp_path, None, MADE_WITH) as folder:
            folder.belong_to("one", tmp_path, has_records=folder.is_resumed)
    told = "holds the state of topics of another Kafka, one, not two"
    with data_folder(tmp_path, None, MADE_WITH) as folder, pytest.raises(StackError, match=told):
        folder.belong_to("two", tmp_path, has_records=True)


def test_records_without_state_are_refused(tmp_path):
    told = "the topics hold records: name the --data-dir with their job's state"
    for _ in range(2):  # the second time it is a folder that has been there
        with (
            data_folder(tmp_path, None, MADE_WITH) as folder,
            pytest.raises(StackError, match=told),
        ):
            folder.belong_to("one", tmp_path, has_records=True)


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_a_folder_whose_checkpoints_name_files_elsewhere_is_refused(tmp_path, how):
    """A copy and its original share the files of the state: each would remove the other's."""
    place, there = tmp_path / "shop", tmp_path / "there"
    with data_folder(place, None, MADE_WITH):
        pass
    place.rename(there)
    with data_folder(there, None, MADE_WITH) as folder:  # there is no state yet
        folder.remember(CHECKPOINTS, there, is_there=True)
    link = tmp_path / "link"
    link.symlink_to(there)
    with data_folder(link, None, MADE_WITH) as folder:
        assert folder.is_resumed, "another name of the same folder"
    assert json.loads((there / MANIFEST).read_text())["at"] == str(there), "as checkpoints have it"
    with data_folder(there, None, MADE_WITH):
        pass
    other = tmp_path / "other"
    if how == "moved":
        there.rename(other)
    else:
        shutil.copytree(there, other)
    told = f"other was made at {there}, and Flink's checkpoints name their files there: move it"
    with pytest.raises(StackError, match=told), data_folder(other, None, MADE_WITH):
        pass
    if how == "moved":
        other.rename(there)
    with data_folder(there, None, MADE_WITH) as folder:
        assert folder.is_resumed


def test_an_older_folder_is_known_by_its_place_from_then_on(tmp_path):
    with data_folder(tmp_path / "old", None, MADE_WITH):
        pass
    manifest = tmp_path / "old" / MANIFEST
    content = json.loads(manifest.read_text())
    assert content.pop("at") == str(tmp_path / "old")
    manifest.write_text(json.dumps(content))
    with data_folder(tmp_path / "old", None, MADE_WITH) as folder:
        assert folder.is_resumed
    assert json.loads(manifest.read_text())["at"] == str(tmp_path / "old")


def test_one_that_a_stack_uses_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("system.runtime.data_folder.RELEASE_TIMEOUT_S", 0.0)
    with (
        data_folder(tmp_path, None, MADE_WITH),
        pytest.raises(StackError, match="is in use by another stack"),
        data_folder(tmp_path, None, MADE_WITH),
    ):
        pass


def test_processes_of_a_killed_stack_are_waited_for(tmp_path):
    path = tmp_path / "in-use"
    with cache.lock(path, wait=False) as descriptor:
        left = subprocess.Popen(["sleep", "0.5"], pass_fds=(descriptor,))
    assert cache.is_held(path)
    with left, data_folder(tmp_path, None, MADE_WITH) as folder:
        assert left.poll() == 0
        assert not folder.is_resumed


@pytest.mark.parametrize("name", ["mine", "in-use", "logs/gateway.log"])
def test_a_foreign_one_is_refused_and_left_as_it_was(tmp_path, name):
    place = tmp_path / "folder" / name
    place.parent.mkdir(parents=True)
    place.write_text("precious")
    (tmp_path / "folder" / "also").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with (
        pytest.raises(StackError, match=r"is not empty, and holds no stack's data"),
        data_folder(tmp_path / "folder", None, MADE_WITH),
    ):
        pass
    assert sorted(tmp_path.rglob("*")) == before


def test_somebody_s_logs_are_no_new_folder(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "mine.log").write_text("precious")
    with (
        pytest.raises(StackError, match=r"is not empty, and holds no stack's data"),
        data_folder(tmp_path, None, MADE_WITH),
    ):
        pass


@pytest.mark.parametrize("name", ["a,b", "a:b", 'a"b', "a\\b", "a\nb", "50%prod"])
def test_a_path_that_settings_would_split_is_refused(tmp_path, name):
    with (
        pytest.raises(StackError, match=r"which a data folder can't have: choose another"),
        data_folder(tmp_path / name, None, MADE_WITH),
    ):
        pass


def test_data_that_is_no_longer_in_its_place_is_missed(tmp_path):
    """A disk that was not mounted was formatted anew, and what had been answered was lost."""
    disk = tmp_path / "kafka" / "log"
    for _ in range(2):
        with data_folder(tmp_path, None, MADE_WITH) as folder:
            folder.remember("kafka", disk, is_there=False)
    with data_folder(tmp_path, None, MADE_WITH) as folder:
        folder.remember("kafka", disk, is_there=True)
    with data_folder(tmp_path, None, MADE_WITH) as folder:
        folder.remember("checkpoints", disk, is_there=False)
        with pytest.raises(StackError, match="has lost what this stack kept there: mount its disk"):
            folder.remember("kafka", disk, is_there=False)


def test_a_folder_that_goes_meanwhile_ends_nobody_s_start(cache_dir, monkeypatch):
    """`up` ended with "No such file or directory", as another stack was just ending."""
    parent = cache_dir / "named"
    with data_folder(None, "other", MADE_WITH) as other, data_folder(None, "shop", MADE_WITH):
        (other.path / "kafka").mkdir()
    gone = parent / "gone" / "kafka" / "log"
    gone.mkdir(parents=True)
    scandir = os.scandir

    def vanishing(path):
        if isinstance(path, str | os.PathLike) and Path(path).name == "kafka":
            shutil.rmtree(path, ignore_errors=True)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    with data_folder(None, "shop", MADE_WITH) as folder:
        assert not folder.is_resumed
    assert not gone.exists()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"Kafka": "9.0.0"}, r"with Kafka 4\.1\.2, not 9\.0\.0: bring it up with"),
        ({"new": "1"}, r"with no new 1: "),
    ],
)
def test_one_of_another_version_is_refused(tmp_path, changed, told):
    with data_folder(tmp_path, None, MADE_WITH):
        pass
    with (
        pytest.raises(StackError, match=told),
        data_folder(tmp_path, None, {**MADE_WITH, **changed}),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "first", "then", "told"),
    [
        ("state_backend", None, "hashmap", "with no state hashmap: "),
        ("state_backend", "hashmap", None, "state hashmap, not the default"),
        # What a shorter window has forgotten, a longer one would do again.
        ("window_s", 60, 900, "window 60 s, not the default"),
        ("window_s", 900, 60, "with no window 60 s: "),
        ("window_s", 60, 61, "window 60 s, not 61 s"),
    ],
)
def test_one_with_other_state_is_refused(tmp_path, name, first, then, told):
    made, wanted = (
        options.StackOptions(**{name: each}).made_with(None, None) for each in (first, then)
    )
    with data_folder(tmp_path, None, made):
        pass
    with pytest.raises(StackError, match=told), data_folder(tmp_path, None, wanted):
        pass


def test_state_of_a_cluster_that_exists_is_of_one_window():
    assert len({form_of("thread", each) for each in (60, 61, 900)}) == 3


def test_one_of_another_layout_is_refused(tmp_path, monkeypatch):
    with data_folder(tmp_path, None, MADE_WITH):
        pass
    monkeypatch.setattr("system.runtime.data_folder.LAYOUT", 0)
    with (
        pytest.raises(StackError, match=r"with layout [1-9][0-9]*, not 0: "),
        data_folder(tmp_path, None, MADE_WITH),
    ):
        pass


@pytest.mark.parametrize("manifest", ["", "[]", "{}", "{", "7"])
def test_a_damaged_one_is_refused(tmp_path, manifest):
    (tmp_path / "stack.json").write_text(manifest)
    with (
        pytest.raises(StackError, match=r"stack\.json is damaged"),
        data_folder(tmp_path, None, MADE_WITH),
    ):
        pass


def test_a_place_where_none_can_be(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(StackError, match=r"cannot use .* as a data folder: Not a directory"),
        data_folder(tmp_path / "file" / "below", None, MADE_WITH),
    ):
        pass


def test_empty_folders_may_be_where_disks_are_mounted(tmp_path):
    (tmp_path / "kafka" / "log").mkdir(parents=True)
    with data_folder(tmp_path, None, MADE_WITH) as folder:
        assert not folder.is_resumed
    other = tmp_path / "other"
    (other / "kafka" / "log").mkdir(parents=True)
    (other / "kafka" / "log" / "mine").write_text("precious")
    with (
        pytest.raises(StackError, match=r"is not empty, and holds no stack's data"),
        data_folder(other, None, MADE_WITH),
    ):
        pass


def test_the_data_of_a_service_whose_package_is_gone_is_refused(tmp_path, monkeypatch):
    install(tmp_path / "packages", "my-greeting")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path / "packages"))
        patch.setattr(sys, "modules", sys.modules.copy())
        brought = read(points(tmp_path / "packages"))
        patch.setattr(options, "catalog", lambda: brought)
        with data_folder(tmp_path / "data", None, made_now()):
            pass
    assert catalog().brought == {}
    with (
        pytest.raises(StackError, match=r"services claim, echo, greeting, .*, not claim, echo, or"),
        data_folder(tmp_path / "data", None, made_now()),
    ):
        pass
