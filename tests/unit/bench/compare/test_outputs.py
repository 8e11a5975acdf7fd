"""What is written of a comparison, and the command that writes it."""

import re
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest
from support.compared import PAIRS, changed, compared
from support.made_sets import (
    Change,
    Run,
    a_set,
    cpu,
    settings,
    write_set,
)

from bench.calibrate.aa_spread import SpreadError, read_spreads
from bench.cli.main import call
from bench.compare.outputs import MARK, action_benchmark, junit, markdown, write_outputs
from bench.errors import ExitCode
from bench.records.typed_json import to_plain


def test_markdown_has_the_verdict_first(tmp_path: Path) -> None:
    text = markdown(changed(tmp_path, cpu("gateway", 1.12)))
    lines = text.splitlines()
    assert lines[0] == MARK
    assert lines[1].startswith("## REGRESSION: open gateway CPU ratio: +12.0 %")
    row = next(line for line in lines if line.startswith("| open gateway CPU ratio |"))
    assert row.endswith("| **REGRESSION** |")
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    bars = [re.sub(r"^open [\w ]{17}", "", line) for line in lines if "●" in line][:6]
    assert bars[0].index("●") > bars[1].index("●")
    assert bars[0].endswith("▶")


def test_a_bar_is_the_interval_on_the_scale_of_its_alarm(tmp_path: Path) -> None:
    text = markdown(changed(tmp_path, cpu("kafka", 1.05)))
    (bar,) = re.findall(r"^open kafka CPU ratio +(·.*)$", text, re.MULTILINE)
    assert len(bar) == 41
    assert (bar.index("│"), bar.index("┊")) == (20, 10)
    assert abs(bar.index("●") - 30) <= 1


def test_names_from_a_record_break_no_output(tmp_path: Path) -> None:
    def strange(run: Run) -> None:
        figures = run["phases"][0]["window"]["cpu"].pop("kafka")
        run["phases"][0]["window"]["cpu"]["a|b<c>&\x01"] = figures

    found = compared(tmp_path, a_set("A", PAIRS, strange), a_set("B", PAIRS, strange))
    assert "| open a\\|b<c>&\x01 CPU ratio |" in markdown(found)
    names = [case.get("name") for case in ElementTree.fromstring(junit(found)).iter("testcase")]
    assert "open a|b<c>&\N{REPLACEMENT CHARACTER} CPU ratio" in names


@pytest.mark.parametrize(
    ("changes", "pairs", "counts"),
    [
        ([], PAIRS, {"tests": "13", "failures": "0", "errors": "0", "skipped": "0"}),
        ([cpu("gateway", 1.1)], PAIRS, {"failures": "1", "errors": "0", "skipped": "0"}),
        ([], 2, {"tests": "13", "failures": "0", "errors": "0", "skipped": "9"}),
        ([settings(workers=2)], 2, {"tests": "1", "failures": "0", "errors": "1"}),
    ],
)
def test_junit(tmp_path: Path, changes: list[Change], pairs: int, counts: dict[str, str]) -> None:
    found = changed(tmp_path, *changes, pairs=pairs)
    suite = ElementTree.fromstring(junit(found))[0]
    assert counts.items() <= dict(suite.items()).items()
    assert len(suite) == int(suite.get("tests", ""))
    for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        inside = [child for case in suite for child in case if child.tag == tag]
        assert str(len(inside)) == suite.get(name)
        assert all(child.get("message") for child in inside)


def test_the_form_of_github_action_benchmark(tmp_path: Path) -> None:
    def with_capacity(run: Run) -> None:
        level = {"p99_ms": 50, "failed_share": 0.0}
        run["capacity"] = {"level": level, "knee_per_s": 900.0, "steps": []}

    found = compared(tmp_path, a_set("A", PAIRS, with_capacity), a_set("B", PAIRS, with_capacity))
    smaller, bigger = (action_benchmark(found, lower) for lower in (True, False))
    assert [entry["name"] for entry in bigger] == ["capacity"]
    assert len(smaller) == 16
    for entry in (*smaller, *bigger):
        assert set(entry) == {"name", "unit", "value", "extra"}
        assert isinstance(entry["value"], float)


def test_all_files_are_written(tmp_path: Path) -> None:
    found = changed(tmp_path)
    paths = write_outputs(found, tmp_path / "new" / "out")
    assert sorted(path.name for path in paths) == [
        "benchmark-smaller.json",
        "comment.md",
        "comparison.json",
        "junit.xml",
    ]
    written = orjson.loads((tmp_path / "new" / "out" / "comparison.json").read_bytes())
    assert written == to_plain(found)


# ---- the spread of comparisons of a commit with itself


def with_itself(folder: Path, comparisons: int, *changes: Change) -> Path:
    def of_a(run: Run) -> None:
        run["commit"] = {"id": "aaaaaaaaaa", "dirty": False}

    for number in range(comparisons):
        slower = cpu("gateway", 1.02 if number % 2 else 0.98)
        found = changed(folder / "runs" / str(number), of_a, slower, *changes, pairs=3)
        write_outputs(found, folder / "aa" / str(number))
    return folder / "aa"


def test_the_spread_of_comparisons(tmp_path: Path) -> None:
    spreads = read_spreads(with_itself(tmp_path, 10))
    assert spreads["open gateway CPU ratio"] == pytest.approx(0.0297, abs=0.003)
    assert spreads["open kafka CPU ratio"] < 0.005
    assert spreads["open failed"] == 0


def test_comparisons_that_tell_no_spread(tmp_path: Path) -> None:
    with pytest.raises(SpreadError, match=r"has 3 comparisons .* needs at least 10"):
        read_spreads(with_itself(tmp_path, 3))
    write_outputs(changed(tmp_path / "two", pairs=1), tmp_path / "of_two")
    with pytest.raises(SpreadError, match="compares two commits"):
        read_spreads(tmp_path / "of_two")
    (tmp_path / "of_two" / "comparison.json").write_text("{}")
    with pytest.raises(SpreadError, match="is not a comparison"):
        read_spreads(tmp_path / "of_two")


# ---- the command


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = str(write_set(tmp_path / "a", a_set("A", PAIRS)))
    b = str(write_set(tmp_path / "b", a_set("B", PAIRS, cpu("gateway", 1.1))))
    out = tmp_path / "out"
    assert call(["compare", a, b, "--out", str(out)]) == 10
    printed = capsys.readouterr().out
    assert "## REGRESSION" in printed
    assert (out / "comment.md").read_text() in printed + "\n"


@pytest.mark.parametrize("option", ["--budgets", "--aa"])
def test_an_option_that_names_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert call(["compare", "a", "b", option, str(tmp_path / "none")]) == ExitCode.UNREADABLE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
