"""Pictures of made-up figures: well-formed, the same bytes each time, each theme in its colours."""

from xml.etree import ElementTree

import pytest

from bench.records.run_record import CapacityRecord, Level, Step
from bench.report import images
from bench.report.waterfall import Operation, Stage, Times
from bench.stats.curves import Percentiles

CURVE = Percentiles([1.0, 2.0, 10.0, 100.0, 1000.0], [1.0, 1.5, 3.0, 8.0, 40.0], exact=4)
STAGES = [Stage("gateway", 0.0, Times(0.1, 0.1, 0.2)), Stage("user topic", 0.1, Times(2.0, 1, 3))]
CHECKOUT = Operation("checkout", 100, Times(2.1, 1.2, 3.4), STAGES)


def step(rate_per_s: float, p99_ms: float | None, held: bool, unknown: bool = False) -> Step:
    known = None if p99_ms is None else p99_ms / 4
    return Step(rate_per_s, held, "", rate_per_s, known, p99_ms, p99_ms, 0.0, 0, 0.1, unknown)


def searched(knee_per_s: float | None, *steps: Step) -> CapacityRecord:
    return CapacityRecord(Level(p99_ms=50.0, failed_share=0.0), knee_per_s, [*steps])


HELD = searched(100, step(200, 90, False), step(100, 9, True), step(300, None, False))
PICTURES = {
    "percentiles": images.percentiles([images.Line("64 users", CURVE)]),
    "waterfall": images.waterfall(CHECKOUT),
    "knee": images.knee(HELD),
    "no rate held": images.knee(searched(None, step(100, 90, False))),
}


def words(svg: bytes) -> str:
    return " ".join(ElementTree.fromstring(svg).itertext())


@pytest.mark.parametrize("theme", images.THEMES)
@pytest.mark.parametrize("name", PICTURES)
def test_the_same_data_is_the_same_picture(name: str, theme: str) -> None:
    drawn = images.draw(PICTURES[name], theme)
    assert drawn == images.draw(PICTURES[name], theme)
    assert images.colors(theme)["--card"].encode() in drawn


def test_a_short_picture_says_the_same() -> None:
    long = b"""<g>
   <path d="M 49.45024 -196.384203
L 0.004 582.0" style="fill-opacity: 0.6"/>
  <use x="84.985208"/>
  <text transform="rotate(-90 12.3456)">0.12345 ms,
 99.999 %</text>
</g>"""
    assert (
        images.short(long)
        == b"""<g>
<path d="M 49.45 -196.38
L 0 582.0" style="fill-opacity: 0.6"/>
<use x="84.99"/>
<text transform="rotate(-90 12.35)">0.12345 ms,
 99.999 %</text>
</g>"""
    )


def test_a_picture_names_what_it_shows() -> None:
    told = {name: words(images.draw(picture, "light")) for name, picture in PICTURES.items()}
    assert "64 users" in told["percentiles"]
    assert "99.9 %" in told["percentiles"]
    assert "user topic" in told["waterfall"]
    assert "2.00" in told["waterfall"]
    assert "0.100" not in told["waterfall"], "too narrow for a label"
    assert "highest that held: 100/s" in told["knee"]
    assert "highest that held" not in told["no rate held"]


def test_a_step_of_which_nobody_can_tell_has_a_mark_of_its_own() -> None:
    held, failed, unknown = (
        images.draw(images.knee(searched(None, step(100, 90, *state))), "light")
        for state in ((True,), (False,), (False, True))
    )
    assert len({held, failed, unknown}) == 3


def test_a_lower_bound_is_dashed() -> None:
    dashed = b"stroke-dasharray"
    exact = images.percentiles([images.Line("64 users", CURVE._replace(exact=5))])
    assert dashed in images.draw(PICTURES["percentiles"], "light")
    assert dashed not in images.draw(exact, "light")


def test_the_colours_of_the_themes_are_those_of_the_report() -> None:
    light, dark = map(images.colors, images.THEMES)
    assert (
        light.keys()
        == dark.keys()
        >= {"--text", "--card", "--limit", *(f"--c{n}" for n in range(1, 9))}
    )
    assert light["--text"] != dark["--text"]


def test_growth_has_an_area_for_each_group_and_a_line_for_the_p99() -> None:
    points = [
        images.Grown(value, {"gateway": 100.0, "flink": 200.0 + value}, 10.0 * value)
        for value in (1.0, 2.0, 4.0)
    ]
    picture = images.growth("partitions", points)
    for theme in images.THEMES:
        svg = images.draw(picture, theme)
        assert svg == images.draw(picture, theme)
        for label in (b"gateway", b"flink", b"partitions", b"p99, ms"):
            assert label in svg


@pytest.mark.parametrize(("last", "is_log"), [(99.0, False), (100.0, True)])
def test_values_of_several_decades_are_drawn_by_their_logarithm(last: float, is_log: bool) -> None:
    points = [images.Grown(value, {"flink": 200.0}, 10.0) for value in (1.0, 10.0, last)]
    svg = images.draw(images.growth("users", points), images.THEMES[0])
    assert (b"10^" in svg or b"mathregular" in svg or b"$\\mathdefault" in svg) == is_log
