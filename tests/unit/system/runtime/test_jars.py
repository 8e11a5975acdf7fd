"""Jars are the pinned ones or none, whoever asks and how many at once."""

import hashlib
import threading
from pathlib import Path

import pytest

from machine.errors import StackError
from system.runtime import jars
from system.runtime.jars import SETS, Jar, obtain, read_lock

COORDINATES = ("org.example:alpha:1.0", "org.example:beta:2.0-x")


def content(coordinates: str) -> bytes:
    return f"jar of {coordinates}".encode()


PINNED = tuple(Jar(name, hashlib.sha256(content(name)).hexdigest()) for name in COORDINATES)


class Repository:
    """Counts what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def download(self, coordinates: str, folder: Path) -> Path:
        self.asked.append(coordinates)
        folder.mkdir(exist_ok=True)
        path = folder / coordinates.replace(":", "-")
        path.write_bytes(content(coordinates))
        return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KAFLINKSHOP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_first_start_downloads_and_the_second_asks_nobody():
    repository = Repository()
    paths = obtain("example", PINNED, repository.download)
    assert [path.name for path in paths] == ["alpha-1.0.jar", "beta-2.0-x.jar"]
    assert [path.read_bytes() for path in paths] == [content(name) for name in COORDINATES]
    assert obtain("example", PINNED, repository.download) == paths
    assert repository.asked == list(COORDINATES)


def test_another_file_than_the_pinned_one_is_refused(cache):
    altered = (PINNED[0], PINNED[1]._replace(sha256="0" * 64))
    with pytest.raises(StackError, match=r"org\.example:beta:2\.0-x has sha256 .*, not 000"):
        obtain("example", altered, Repository().download)
    assert not list(cache.rglob("*.jar"))


@pytest.mark.parametrize("change", [lambda jar: jar.write_bytes(b"x"), Path.unlink])
def test_one_that_was_changed_since_is_refused(change):
    paths = obtain("example", PINNED, Repository().download)
    change(paths[1])
    with pytest.raises(
        StackError, match=r"beta-2\.0-x\.jar has sha256 .* in the cache was changed"
    ):
        obtain("example", PINNED, Repository().download)


def test_without_a_network_there_is_one_line(cache):
    def unreachable(coordinates: str, folder: Path) -> Path:
        raise RuntimeError("connection refused\nand many more lines")

    with pytest.raises(StackError) as caught:
        obtain("example", PINNED, unreachable)
    assert str(caught.value) == (
        "cannot download org.example:alpha:1.0 (connection refused): "
        "the first start needs a network that reaches a Maven repository"
    )
    assert not list(cache.rglob("*.jar"))


def test_several_at_once_download_once():
    repository = Repository()
    threads = [
        threading.Thread(target=obtain, args=("example", PINNED, repository.download))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert repository.asked == list(COORDINATES)


def test_the_lock_file_pins_every_root():
    pinned = read_lock()
    assert pinned.keys() == SETS.keys()
    for name, roots in SETS.items():
        assert set(roots) <= {jar.coordinates for jar in pinned[name]}
        assert all(len(jar.sha256) == 64 for jar in pinned[name])


def test_one_version_of_each_artifact():
    for pinned in read_lock().values():
        artifacts = [jar.coordinates.rpartition(":")[0] for jar in pinned]
        assert len(set(artifacts)) == len(artifacts)


def test_a_bad_line_in_the_lock_file_is_no_jar(tmp_path):
    (tmp_path / "lock").write_text("# comment\n\nkafka a:b:1 00\n")
    assert jars.read_lock(tmp_path / "lock") == {"kafka": (Jar("a:b:1", "00"),)}
