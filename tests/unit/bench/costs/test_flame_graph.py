from collections import Counter
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from bench.costs.flame_graph import NARROWEST, WIDTH, folded, svg

SVG = "{http://www.w3.org/2000/svg}"


def boxes(picture: str) -> dict[str, tuple[float, float, float]]:
    """Name and share of each box → its x, y and width."""
    found = {}
    for group in ElementTree.fromstring(picture).iter(f"{SVG}g"):
        box = group.find(f"{SVG}rect")
        title = group.find(f"{SVG}title").text
        found[title] = tuple(float(box.get(name)) for name in ("x", "y", "width"))
    return found


def test_lines_of_py_spy_are_read():
    lines = ["main (a.py:1);run (b.py:2) 3", "main (a.py:1);run (b.py:2) 1", "no number", "", " 5"]
    assert folded(lines) == {("main (a.py:1)", "run (b.py:2)"): 4}


def test_a_box_is_as_wide_as_its_share_and_stands_on_its_caller():
    found = boxes(svg("t", Counter({("main", "a"): 3, ("main", "b"): 1})))
    main, a, b = found["main, 100.0%"], found["a, 75.0%"], found["b, 25.0%"]
    assert (main[2], a[2], b[2]) == (WIDTH, WIDTH * 3 / 4, WIDTH / 4)
    assert a[1] == b[1] < main[1]
    assert (a[0], b[0]) == (0, WIDTH * 3 / 4)


def test_what_is_too_narrow_is_left_out():
    many = round(WIDTH / NARROWEST)
    at_edge = boxes(svg("t", Counter({("x",): many - 1, ("y",): 1})))
    below = boxes(svg("t", Counter({("x",): many, ("y",): 1})))
    assert (len(at_edge), len(below)) == (2, 1)


def test_nothing_seen_is_an_empty_picture():
    assert boxes(svg("t", Counter())) == {}


names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1)


@given(st.dictionaries(st.lists(names, min_size=1, max_size=5).map(tuple), st.integers(1, 9)))
def test_any_names_make_an_svg(stacks):
    ElementTree.fromstring(svg("<&>", Counter(stacks)))
