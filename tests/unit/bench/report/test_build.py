"""report.html of made-up runs, as a file; test_report_browser.py opens it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_run import PHASES, made_run
from support.made_samples import PhaseSpec
from support.report_html import Report

from bench.errors import BenchError
from bench.records.run_record import CapacityRecord, Level, Step
from bench.report import charts
from bench.report.build import build
from bench.report.markup import Html, data, markup, tag
from bench.report.page import CARDS_MAX
from bench.report.phrases import VERDICTS
from bench.report.timeline import EVENTS_MAX, PANELS
from bench.run.record import Judgement
from bench.stats.curves import POINTS_MAX

HOSTILE = "<script>alert(1)</script>&\"'</style>{%y}"
SMALL = (PhaseSpec("users-1", users=1, rate_per_s=30, duration_s=9),)


def built(folder: Path) -> Report:
    return Report(build(folder).read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_run(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return built(folder)


def change(folder: Path, **parts: Any) -> Path:
    """Replaces parts of run.json, which then has no digests."""
    path = folder / "run.json"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | parts | {"digests": {}}))
    return folder


# ---- one file, on its own


def test_the_page_asks_for_nothing(report: Report) -> None:
    assert report.attributes("src") == []
    assert all(str(target).startswith("#") for target in report.attributes("href"))
    assert all("url(" not in style and "@import" not in style for style in report.styles)
    policies = [attrs["content"] for _, attrs in report.tags if "http-equiv" in attrs]
    assert [str(policy).startswith("default-src 'none'") for policy in policies] == [True]


def test_links_lead_to_what_is_there(report: Report, tmp_path: Path) -> None:
    for found in (report, built(made_run(tmp_path, (), ()))):
        names = found.attributes("id")
        assert {str(target)[1:] for target in found.attributes("href")} <= set(names)
        assert len(names) == len(set(names))


def test_it_is_built_anew_from_what_is_recorded(folder: Path) -> None:
    first = build(folder).read_bytes()
    assert build(folder).read_bytes() == first
    assert not list(folder.glob("*.partial"))


# ---- what is shown


def test_a_whole_run_has_every_section(report: Report) -> None:
    assert report.headings == [
        "Valid", "Figures", "Percentiles", "Capacity", "Over time", "Stages", "Operations",
        "Probes", "Checks", "Settings", "Environment",
    ]  # fmt: skip


def test_what_a_run_does_not_have_is_left_out(tmp_path: Path) -> None:
    found = built(made_run(tmp_path / "run", SMALL, ()))
    left = ["Figures", "Percentiles", "Over time", "Operations", "Settings", "Environment"]
    assert found.headings[1:] == left
    assert "schedule" not in found.text.lower()
    assert all(panel.title not in found.text for panel in PANELS)


def test_nothing_was_measured(tmp_path: Path) -> None:
    found = built(made_run(tmp_path / "run", (), (), judgement=Judgement(problems=["no stack"])))
    assert found.headings == ["Invalid", "Settings", "Environment"]
    assert "no stack" in found.text


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_verdict_comes_first_in_plain_words(tmp_path: Path, verdict: str) -> None:
    made_run(tmp_path, SMALL, ())
    found = built(change(tmp_path, verdict=verdict, reasons=["the first", "the second"]))
    name, meaning = VERDICTS[verdict]
    assert found.headings[0] == name
    places = [found.text.index(part) for part in (meaning, "the first", "the second")]
    assert places == sorted(places)
    assert places[-1] < found.text.rindex("Figures")


def test_every_figure_is_one_that_plotly_knows(report: Report) -> None:
    assert len(report.figures) > 20
    template = charts.TEMPLATE
    for figure in [{"data": [], "layout": {"template": template}}, *report.figures]:
        go.Figure(orjson.loads(re.sub(rb'"--[\w-]+"', b'"#123456"', orjson.dumps(figure))))


def test_each_state_of_a_step_has_a_mark() -> None:
    step = Step(100, True, "", 100.0, 1.0, 2.0, 3.0, 0.0, 0, 0.1)
    steps = [step, replace(step, held=False), replace(step, held=False, unknown=True)]
    for trace in charts.capacity(CapacityRecord(Level(), 100, steps)).traces:
        assert trace["marker"]["symbol"] == ["circle", "x", "diamond-open"]
        assert trace["customdata"] == ["held", "not held", "unknown"]


def test_every_colour_is_in_the_style(report: Report) -> None:
    used = set(
        re.findall(r'"(--[\w-]+)"', orjson.dumps([report.figures, charts.TEMPLATE]).decode())
    )
    (style,) = report.styles
    assert {name for name in used if f"{name}: light-dark(" not in style} == set()
    assert set(charts.COLORS) <= used


def test_every_axis_has_a_title(report: Report) -> None:
    for figure in report.figures:
        for name in ("xaxis", "yaxis"):
            axis = figure["layout"][name]
            is_category = figure["data"][0].get("orientation") == "h" and name == "yaxis"
            assert is_category or axis["title"]["text"]


def test_warm_up_is_shaded_and_time_counts_from_the_window(report: Report) -> None:
    shaded = [
        [(shape["x0"], shape["x1"]) for shape in figure["layout"]["shapes"]]
        for figure in report.figures
        if figure["layout"]["xaxis"]["title"]["text"] == "time, s"
    ]
    assert all(areas for areas in shaded)
    measured = [areas for areas in shaded if areas[0][1] == 0]
    assert measured
    assert all(-5 < areas[0][0] < -3 for areas in measured)


def test_operations_of_one_bar_follow_each_other(report: Report) -> None:
    waterfalls = [f for f in report.figures if f["data"][0].get("orientation") == "h"]
    assert len(waterfalls) == len(PHASES) - 1
    for figure in waterfalls:
        segments = sorted(
            (operation, base, length, trace["name"])
            for trace in figure["data"]
            for operation, base, length in zip(trace["y"], trace["base"], trace["x"], strict=True)
        )
        for operation in ("find_user", "checkout"):
            ends = 0.0
            own = [segment for segment in segments if segment[0] == operation]
            assert own[0][3] == "schedule lag"
            assert own[-1][3] == "client receive"
            for _, base, length, _ in own:
                assert base == pytest.approx(ends)
                ends = base + length


def test_a_stage_may_come_twice(tmp_path: Path) -> None:
    stage = {"requests": 1, "mean_ms": 2.0, "p50_ms": 2.0, "p99_ms": 2.0}
    twice = [{"name": name} | stage for name in ("order", "topic", "order")]
    total = {"mean": 6.0, "p50": 6.0, "p99": 6.0}
    operation = {"requests": 1, "disordered": 0, "incomplete": 0, "total_ms": total}
    made_run(tmp_path, SMALL, ("stages",))
    content = {"schema_version": 1, "requests": 1, "disordered": 0, "incomplete": 0}
    operations = {"checkout": operation | {"stages": twice}}
    path = tmp_path / "stages-users-1.json"
    path.write_bytes(orjson.dumps(content | {"operations": operations}))
    found = built(tmp_path)
    (order,) = (t for figure in found.figures for t in figure["data"] if t["name"] == "order")
    assert (order["base"], order["x"]) == ([0, 4], [2, 2])


def test_many_phases_are_folded(tmp_path: Path) -> None:
    many = tuple(
        PhaseSpec(f"step-{index}", rate_per_s=20, duration_s=9) for index in range(CARDS_MAX + 1)
    )
    found = built(made_run(tmp_path / "run", many, ()))
    folds = [attrs for name, attrs in found.tags if name == "details"]
    assert len(folds) == 2 * len(many)
    assert all("open" not in attrs for attrs in folds)
    assert "card" not in found.attributes("class")


# ---- bounds


def test_no_curve_is_longer_than_it_may_be(tmp_path: Path) -> None:
    long = (PhaseSpec("open", rate_per_s=10, warmup_s=300, duration_s=600),)
    found = built(made_run(tmp_path / "run", long))
    for trace in (trace for figure in found.figures for trace in figure["data"]):
        longest = 5 * EVENTS_MAX if "fill" in trace or "y2" in trace.values() else POINTS_MAX
        assert len(trace["x"]) <= longest
    assert "(200 longest)" in found.text


# ---- whatever was recorded


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    operations = {HOSTILE: (0.5, 2.0), "find_user": (0.5, 3.0)}
    made_run(tmp_path, (PhaseSpec("open", rate_per_s=60, duration_s=9),), operations=operations)
    found = built(change(tmp_path, verdict="void", reasons=[HOSTILE], run_id=HOSTILE))
    assert found.text.count(HOSTILE) >= 5
    plain = built(made_run(tmp_path / "plain", SMALL))
    scripts = [sum(name == "script" for name, _ in each.tags) for each in (found, plain)]
    assert scripts[0] - len(found.figures) == scripts[1] - len(plain.figures)
    for trace in (trace for figure in found.figures for trace in figure["data"]):
        assert "<script" not in orjson.dumps(trace).decode()


@given(st.text())
def test_text_comes_back_as_it_went_in(text: str) -> None:
    page = f"<html>{tag('p', text, title=text)}{data({'data': text})}</html>"
    found = Report(page)
    assert [figure["data"] for figure in found.figures] == [text]
    assert found.text == text.replace("\r\n", "\n").replace("\r", "\n") or found.text == text
    assert found.attributes("title") == [text]


def test_markup_is_escaped_once() -> None:
    inner = tag("b", "a < b", hidden=True, title=None)
    assert inner == "<b hidden>a &lt; b</b>"
    assert markup(["&", None, inner, (Html("<i>"),)]) == f"&amp;{inner}<i>"


# ---- what can't be read


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("samples-users-1-0.bin", None, "missing"),
        ("series-users-1.json", None, "cannot read"),
        ("series-users-1.json", b'{"schema_version": 1, "at_', "truncated or not JSON"),
        ("series-users-1.json", b'{"schema_version": 2}', "newer version"),
        ("stages-users-1.json", b"[]", "no schema_version"),
        ("stages-users-1.json", b'{"schema_version": 1, "operations": {"x": {}}}', "not hold"),
        ("series-users-1.json", b'{"schema_version": 1, "at_ns": [2, 1]}', "is not a series"),
        ("run.json", b'{"schema_version": 9}', "newer version"),
    ],
)
def test_one_line_says_what_is_wrong(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = made_run(tmp_path, SMALL) / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(BenchError, match=message) as caught:
        build(tmp_path)
    (line,) = str(caught.value).splitlines()
    assert name in line
    assert not (tmp_path / "report.html").exists()
