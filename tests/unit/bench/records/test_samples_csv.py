"""Samples as CSV."""

import csv
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.records import samples_csv
from bench.records.samples import SamplesError, Writer
from bench.records.samples_csv import HEADS, write_csv

MS = 1_000_000


def recorded(path: Path, outcomes: list[str]) -> Path:
    writer = Writer(path)
    for number, outcome in enumerate(outcomes):
        label = writer.label('find "it", here', outcome)
        writer.add((label, number * MS, number * MS + 250_000, (number + 2) * MS))
    writer.close()
    return path


def test_a_row_for_each_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples_csv, "CHUNK", 2)
    one = recorded(tmp_path / "a.bin", ["200", "404", "unexpected 500", "timeout"])
    two = recorded(tmp_path / "b.bin", ["dropped late"])
    assert write_csv(tmp_path / "all.csv", [("warmup", [one]), ("open", [two, one])]) == 9
    with (tmp_path / "all.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert tuple(head) == HEADS
    assert [row[0] for row in rows] == ["warmup"] * 4 + ["open"] * 5
    assert rows[0][1:4] == ['find "it", here', "200", "ok"]
    assert rows[0][5:] == ["2.000000", "1.750000", "0.250000"]
    assert [row[3] for row in rows[:5]] == ["ok", "refused", "failed", "censored", "dropped"]
    assert rows[4][5:] == ["", "", ""]
    between_s = float(rows[1][4]) - float(rows[0][4])
    assert between_s == pytest.approx(0.001, abs=1e-6)


def test_what_can_not_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(SamplesError, match="missing"):
        write_csv(tmp_path / "all.csv", [("open", [tmp_path / "none.bin"])])
    with pytest.raises(BenchError, match="cannot write"):
        write_csv(tmp_path, [])
