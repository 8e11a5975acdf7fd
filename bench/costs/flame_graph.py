"""A flame graph is an SVG file: a box for each function, as wide as the time that was seen in it.

After Brendan Gregg, "The Flame Graph", Communications of the ACM 59 (6), 2016.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr
from zlib import crc32

WIDTH = 1200
ROW = 17
"""A box is so many pixels high."""
CHARACTER = 6.6
"""A character of the labels is about so many pixels wide."""
NARROWEST = 0.5
"""A box of fewer pixels is left out, with all above it."""

Folded = Counter[tuple[str, ...]]
"""A stack, outermost function first, leads to how often it was seen."""


@dataclass(slots=True)
class _Box:
    count: int = 0
    inner: "dict[str, _Box]" = field(default_factory=dict)


def folded(lines: Iterable[str]) -> Folded:
    """`folded` reads lines of functions, joined by semicolons, and a number: what py-spy calls
    raw."""
    stacks: Folded = Counter()
    for line in lines:
        stack, _, count = line.rstrip().rpartition(" ")
        if count.isdecimal() and stack:
            stacks[tuple(stack.split(";"))] += int(count)
    return stacks


def svg(title: str, stacks: Folded) -> str:
    """`svg` returns the picture; pointing at a box shows its function and share."""
    root = _Box()
    for stack, count in stacks.items():
        box = root
        box.count += count
        for name in stack:
            box = box.inner.setdefault(name, _Box())
            box.count += count
    boxes = [*_placed(root, 0.0, 0, WIDTH / max(1, root.count))]
    height = (max((level for *_, level in boxes), default=0) + 2) * ROW
    drawn = "\n".join(
        _drawn(name, x, width, height - (level + 1) * ROW, count / root.count)
        for name, count, x, width, level in boxes
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="monospace" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n<text x="4" y="12">{escape(title)}: '
        f"{root.count:,} samples</text>\n{drawn}\n</svg>\n"
    )


def _placed(
    box: _Box, x: float, level: int, scale: float
) -> Iterator[tuple[str, int, float, float, int]]:
    for name, inner in sorted(box.inner.items()):
        width = inner.count * scale
        if width >= NARROWEST:
            yield name, inner.count, x, width, level
            yield from _placed(inner, x, level + 1, scale)
        x += width


def _drawn(name: str, x: float, width: float, y: float, share: float) -> str:
    letters = int((width - 4) / CHARACTER)
    label = name if len(name) <= letters else name[: letters - 1] + "…" if letters > 3 else ""
    tint = crc32(name.encode()) % 60
    return (
        f"<g><title>{escape(name)}, {share:.1%}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" '
        f"fill={quoteattr(f'hsl({tint},80%,{62 + tint % 7 * 2}%)')}/>"
        + (f'<text x="{x + 2:.1f}" y="{y + 12}">{escape(label)}</text>' if label else "")
        + "</g>"
    )
