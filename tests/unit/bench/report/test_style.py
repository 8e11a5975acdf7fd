"""The report's colours can be read, and told apart by those who see fewer of them."""

import re
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.report.charts import COLORS
from bench.report.page import STYLE
from bench.report.phrases import VERDICTS

Vector = NDArray[np.float64]

TEXT_CONTRAST_MIN = 4.5
GRAPHICS_CONTRAST_MIN = 3.0
"""WCAG 2.2, success criteria 1.4.3 and 1.4.11, level AA."""
DISTANCE_MIN = 13.0
"""CIE 1976 colour difference; 2.3 is just noticeable, and lines are thin."""

SEEN_AS = {
    "all colours": np.eye(3),
    "no red": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                        [-0.003882, -0.048116, 1.051998]]),
    "no green": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                          [-0.011820, 0.042940, 0.968881]]),
    "no blue": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                         [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
"""Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
Deficiency", 2009, severity 1, on linear RGB."""

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def colors(theme: int) -> dict[str, str]:
    found = re.findall(r"(--[\w-]+): light-dark\((#\w{6}), (#\w{6})\)", STYLE.read_text())
    return {name: themes[theme] for name, *themes in found}


def linear(color: str) -> Vector:
    """Linear RGB of sRGB, IEC 61966-2-1."""
    part = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def contrast(color: str, other: str) -> float:
    dark, light = sorted(float(TO_XYZ[1] @ linear(each)) for each in (color, other))
    return (light + 0.05) / (dark + 0.05)


def lab(rgb: Vector) -> Vector:
    xyz = TO_XYZ @ rgb / WHITE
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(color: str, other: str, seen: Vector) -> float:
    first, second = (lab(np.clip(seen @ linear(each), 0, 1)) for each in (color, other))
    return float(np.linalg.norm(first - second))


def test_the_measures_agree_with_known_values() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert distance("#000000", "#ffffff", SEEN_AS["all colours"]) == pytest.approx(100, abs=0.1)
    red_and_green = [distance("#b05000", "#507000", seen) for seen in SEEN_AS.values()]
    assert red_and_green[0] > 2 * red_and_green[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read(theme: int) -> None:
    named = colors(theme)
    weak = [
        (name, ground)
        for name in ("--text", "--muted", "--link", "--good", "--bad", "--warn")
        for ground in ("--card", "--page")
        if contrast(named[name], named[ground]) < TEXT_CONTRAST_MIN
    ]
    assert weak == []


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_lines_can_be_seen(theme: int) -> None:
    named = colors(theme)
    drawn = [*COLORS, "--faint", "--limit"]
    weak = [n for n in drawn if contrast(named[n], named["--card"]) < GRAPHICS_CONTRAST_MIN]
    assert weak == []


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("sight", SEEN_AS)
def test_lines_can_be_told_apart(theme: int, sight: str) -> None:
    named = colors(theme)
    close = [
        (first, second)
        for first, second in combinations(COLORS, 2)
        if distance(named[first], named[second], SEEN_AS[sight]) < DISTANCE_MIN
    ]
    assert close == []


def test_every_verdict_has_a_tone() -> None:
    style = STYLE.read_text()
    plain = {"invalid", "void"}  # as the style of all of them is
    assert {name for name in VERDICTS if f".verdict.{name}" not in style} == plain
