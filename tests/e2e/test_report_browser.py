"""report.html in a real browser, which has no network: what a person gets to see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright
from support import browser as browsers
from support.made_run import made_run
from support.made_samples import PhaseSpec

from bench.report.build import build

pytestmark = pytest.mark.asyncio(loop_scope="module")  # where the browser lives

WAIT_MS = 300_000
"""Ends a test that hangs; nothing that is waited for comes near it."""
SIZES = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
HOSTILE = "<script>document.title = 'taken'</script>"

DRAWN = "html[data-drawn]"
"""Set by the page when its charts are drawn."""
CHARTS = """() => [...document.querySelectorAll(".chart")]
  .filter((chart) => chart.querySelector(".plot").checkVisibility())
  .map((chart) => {
    const svg = chart.querySelector(".main-svg");
    const plot = chart.querySelector(".plot");
    return {
      title: chart.querySelector("h4").textContent,
      width: svg?.getBoundingClientRect().width ?? 0,
      height: svg?.getBoundingClientRect().height ?? 0,
      wanted: JSON.parse(chart.querySelector("script").textContent).data.length,
      drawn: chart.querySelectorAll(".scatterlayer .trace, .barlayer .trace").length,
      inside: svg && svg.getBoundingClientRect().right <= chart.getBoundingClientRect().right + 1,
      range: plot.layout?.xaxis?.range,
    };
  })"""
WIDTHS = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
BACKGROUND = "() => getComputedStyle(document.body).backgroundColor"
LINE = '() => document.querySelector(".scatterlayer .trace path.js-line").style.stroke'

SHOW_FIRST_PHASE = """() => {
  document.documentElement.style.scrollBehavior = "auto";
  document.querySelector("details.phase[open] .plot").scrollIntoView({ block: "center" });
}"""
SCROLLED_FROM = """async (before) => {
  while (scrollY === before) await new Promise(requestAnimationFrame);
  return scrollY;
}"""
RANGES = """() => [...document.querySelector("details.phase[open] .charts")
  .querySelectorAll(".plot")].map((plot) => plot.layout.xaxis.range.join())"""
ALIKE_AND_NOT = f"""(before) => {{
  const ranges = ({RANGES})();
  return new Set(ranges).size === 1 && ranges[0] !== before[0] && ranges;
}}"""
"""The ranges of the charts of a phase, once they are alike, and others than before."""
CUT_OFF = """() => [...document.querySelectorAll(".plot")].flatMap((plot) => {
  const space = plot.getBoundingClientRect();
  return [...plot.querySelectorAll(".xtitle, .ytitle, .xtick text, .ytick text")]
    .filter((text) => {
      const { left, right, top, bottom } = text.getBoundingClientRect();
      return left < space.left || right > space.right || top < space.top || bottom > space.bottom;
    })
    .map((text) => `${plot.getAttribute("aria-label")}: ${text.textContent}`);
})"""
OVERLAPS = """() => [...document.querySelectorAll(".plot")].flatMap((plot) =>
  [".xtick text", ".ytick text"].flatMap((kind) => {
    const boxes = [...plot.querySelectorAll(kind)].map((label) => label.getBoundingClientRect());
    return boxes.flatMap((a, index) => boxes.slice(index + 1)
      .filter((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
      .map(() => `${plot.getAttribute("aria-label")}: ${kind}`));
  }))"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(made_run(tmp_path_factory.mktemp("made") / "run"))


@pytest.fixture(scope="module")
def program() -> str:
    return browsers.find() or pytest.fail(browsers.MISSING)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(program: str) -> AsyncIterator[Browser]:
    """One process for all tests; each opens a context of its own, which shares nothing."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, timeout=WAIT_MS)
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, report: Path, size: str = "desk", scheme: Any = "light", **options: Any
) -> AsyncIterator[Page]:
    """The page with its charts drawn; fails for any error, and any request for another file."""
    context = await browser.new_context(viewport=SIZES[size], color_scheme=scheme, **options)
    context.set_default_timeout(WAIT_MS)
    await context.set_offline(True)
    page = await context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("request", lambda request: problems.append(f"request: {request.url}"))
    await page.goto(report.as_uri())
    await page.wait_for_selector(DRAWN, state="attached")
    yield page
    assert problems == [f"request: {report.as_uri()}"]
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_every_chart_is_drawn(
    browser: Browser, report: Path, tmp_path: Path, size: str, scheme: str
) -> None:
    async with opened(browser, report, size, scheme) as page:
        charts = await page.evaluate(CHARTS)
        await page.screenshot(path=tmp_path / f"report-{size}-{scheme}.png", full_page=True)
        assert (await page.evaluate(WIDTHS))[0] == SIZES[size]["width"]
        assert await page.evaluate(OVERLAPS) == []
        assert await page.evaluate(CUT_OFF) == []
    titles = [chart["title"] for chart in charts]
    assert titles[:3] == ["Latency by percentile", "Latency against rate", "Latency"]
    for title, count in {
        "Throughput": 3,
        "Errors": 1,
        "Memory": 3,
        "Where the time goes": 3,
    }.items():
        assert titles.count(title) == count
    for chart in charts:
        assert chart["drawn"] == chart["wanted"], chart
        assert min(chart["width"], chart["height"]) > 200, chart
        assert chart["inside"], chart
    assert (tmp_path / f"report-{size}-{scheme}.png").stat().st_size > 100_000


async def test_light_and_dark_differ_and_can_be_switched(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    seen: dict[str, tuple[str, str, bytes]] = {}

    async def look(name: str, page: Page) -> None:
        seen[name] = (
            await page.evaluate(BACKGROUND),
            await page.evaluate(LINE),
            await page.screenshot(path=tmp_path / f"{name}.png"),
        )

    async with opened(browser, report, scheme="light") as page:
        await look("light", page)
        await page.click("#theme")
        assert await page.get_attribute("#theme", "aria-pressed") == "true"
        await look("switched to dark", page)
        await page.click("#theme")
        await look("switched back", page)
    async with opened(browser, report, scheme="dark") as page:
        await look("dark", page)
    assert seen["light"][:2] == seen["switched back"][:2]
    assert seen["dark"][:2] == seen["switched to dark"][:2]
    assert all(a != b for a, b in zip(seen["light"], seen["dark"], strict=True))


async def test_charts_of_a_phase_are_zoomed_together(browser: Browser, report: Path) -> None:
    async with opened(browser, report) as page:
        before = await page.evaluate(CHARTS)
        plot = page.locator("details.phase[open] .plot").first
        await plot.focus()
        await page.keyboard.press("+")
        zoomed = await page.evaluate(CHARTS)
        await page.keyboard.press("Escape")
        after = await page.evaluate(CHARTS)
    assert [chart["range"] for chart in before] == [chart["range"] for chart in after]
    changed = [a["title"] for a, b in zip(before, zoomed, strict=True) if a["range"] != b["range"]]
    assert changed[:2] == ["Latency", "Throughput"]
    assert len(changed) == len(set(changed)) > 5
    ranges = {tuple(b["range"]) for a, b in zip(before, zoomed, strict=True) if a != b}
    assert len(ranges) == 1


async def test_a_drag_zooms_and_a_double_click_shows_all(browser: Browser, report: Path) -> None:
    """Plotly tells clicks apart by the page's clock, which this test sets: none is too slow."""
    async with opened(browser, report) as page:
        before = await page.evaluate(RANGES)
        plot = page.locator("details.phase[open] .plot").first
        await plot.scroll_into_view_if_needed()
        box = await plot.bounding_box()
        assert box is not None
        y = box["y"] + box["height"] / 2
        now = datetime.now(UTC)
        await page.clock.set_fixed_time(now)
        await page.mouse.move(box["x"] + box["width"] * 0.4, y)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=4)
        await page.mouse.up()
        zoomed = await (await page.wait_for_function(ALIKE_AND_NOT, arg=before)).json_value()
        await page.clock.set_fixed_time(now + timedelta(minutes=1))
        await page.mouse.dblclick(box["x"] + box["width"] * 0.5, y)
        whole = await (await page.wait_for_function(ALIKE_AND_NOT, arg=zoomed)).json_value()
    assert whole == before


async def test_a_trace_is_switched_off_with_the_keyboard(browser: Browser, report: Path) -> None:
    async with opened(browser, report) as page:
        chart = page.locator(".chart").first
        count = await chart.locator(".scatterlayer .trace").count()
        await chart.locator(".legend button").first.focus()
        await page.keyboard.press("Enter")
        assert await chart.locator(".scatterlayer .trace").count() == count - 1
        await page.keyboard.press("Enter")
        assert await chart.locator(".scatterlayer .trace").count() == count


async def test_a_folded_phase_is_drawn_when_it_is_opened(browser: Browser, report: Path) -> None:
    async with opened(browser, report) as page:
        fold = page.locator("#time details.phase").first
        assert await fold.get_attribute("open") is None
        await fold.locator("summary").first.focus()
        await page.keyboard.press("Enter")
        await fold.locator(".main-svg").first.wait_for()
        assert await fold.locator(".plot").count() > 5
        await fold.locator(".plot").last.locator(".main-svg").first.wait_for()


async def test_it_prints_light_within_the_paper(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    async with opened(browser, report, scheme="dark") as page:
        await page.emulate_media(media="print")
        await page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        charts = await page.evaluate(CHARTS)
        stroke = await page.evaluate(LINE)
        await page.evaluate("() => dispatchEvent(new Event('afterprint'))")
        assert await page.evaluate(LINE) != stroke
        await page.pdf(path=tmp_path / "report.pdf")
    assert max(chart["width"] for chart in charts) <= 680
    assert all(chart["inside"] for chart in charts)
    assert (tmp_path / "report.pdf").stat().st_size > 50_000


async def test_a_finger_on_a_chart_scrolls_the_page(browser: Browser, report: Path) -> None:
    async with opened(browser, report, "phone", has_touch=True, is_mobile=True) as page:
        await page.evaluate(SHOW_FIRST_PHASE)
        before = await page.evaluate("() => scrollY")
        finger = await page.context.new_cdp_session(page)
        for kind, ys in {"touchStart": [450], "touchMove": range(440, 250, -10)}.items():
            for y in ys:
                points = [{"x": 200, "y": y}]
                await finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        await finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert await page.evaluate(SCROLLED_FROM, before) > before


async def test_a_recorded_name_is_never_run(browser: Browser, tmp_path: Path) -> None:
    phases = (PhaseSpec("open", rate_per_s=60, duration_s=9),)
    operations = {HOSTILE: (0.5, 2.0), "find_user": (0.5, 3.0)}
    report = build(made_run(tmp_path, phases, operations=operations))
    async with opened(browser, report) as page:
        labels = await page.locator(".ytick text").all_text_contents()
        assert HOSTILE in labels
        assert await page.title() != "taken"


async def test_the_tables_need_no_script(browser: Browser, report: Path) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(report.as_uri())
    assert await page.locator("#figures table").first.is_visible()
    await context.close()
