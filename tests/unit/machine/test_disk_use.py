"""What files take on a disk."""

from pathlib import Path

from machine.disk_use import size_bytes


def test_the_size_of_a_folder_is_the_room_it_takes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 100_000)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10_000_000)
    assert 100_000 <= size_bytes(tmp_path) < 200_000
    assert size_bytes(tmp_path / "gone") == 0
