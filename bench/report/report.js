"use strict";

const root = document.documentElement;
const template = document.getElementById("template").textContent;
const config = { responsive: true, displayModeBar: false, doubleClick: "reset" };
const NARROW_PX = 500; // half as many labels have room
const touch = matchMedia("(pointer: coarse)").matches; // there, a drag scrolls the page
const charts = [...document.querySelectorAll(".chart")].map((element) => ({
  element,
  plot: element.querySelector(".plot"),
  text: element.querySelector("script").textContent,
  switches: [...element.querySelectorAll(".legend button")],
  group: element.closest(".charts"), // they share a time axis
  range: null,
  isLinked: false,
}));

// ---- drawing

const probe = document.body.appendChild(document.createElement("i"));

/** Colours are names of style variables, as they are in the theme of now. */
function parse(text) {
  return JSON.parse(text, (key, value) => {
    if (!/color$/i.test(key) || typeof value !== "string" || !value.startsWith("--")) return value;
    probe.style.color = `var(${value})`;
    return getComputedStyle(probe).color;
  });
}

async function draw(chart) {
  if (!chart.plot.checkVisibility()) return; // folded away
  const { data, layout } = parse(chart.text);
  for (const button of chart.switches)
    for (const index of button.dataset.traces.split(" "))
      data[index].visible = button.getAttribute("aria-pressed") === "true";
  if (chart.range) layout.xaxis.range = chart.range;
  if (chart.plot.clientWidth < NARROW_PX)
    for (const ticks of ["tickvals", "ticktext"])
      layout.xaxis[ticks] = layout.xaxis[ticks]?.filter((_, index) => index % 2);
  layout.template = parse(template);
  layout.dragmode = touch ? false : "zoom";
  layout.width = chart.plot.clientWidth; // of now: paper may be narrower than the window
  await Plotly.react(chart.plot, data, layout, config);
  link(chart);
}

async function drawAll() {
  for (const chart of charts) {
    await draw(chart);
    await new Promise((resume) => setTimeout(resume)); // the page stays responsive meanwhile
  }
  root.dataset.drawn = "";
}

for (const fold of document.querySelectorAll("details"))
  fold.addEventListener("toggle", () => {
    for (const chart of charts) if (fold.open && fold.contains(chart.element)) draw(chart);
  });

// ---- charts that share a time axis

const linked = (chart) => charts.filter((other) => other.group === chart.group);
const full = (chart) => JSON.parse(chart.text).layout.xaxis.range;

function zoom(chart, range) {
  const all = full(chart);
  const whole = range[0] <= all[0] && range[1] >= all[1];
  for (const other of linked(chart)) {
    other.range = whole ? null : range;
    draw(other);
  }
}

function point(chart, x) {
  const [begin, end] = chart.range ?? full(chart);
  for (const { element } of linked(chart)) {
    element.toggleAttribute("data-cursor", x !== null);
    element.style.setProperty("--cursor", (x - begin) / (end - begin));
  }
}

function link(chart) {
  if (!chart.group || chart.isLinked) return;
  chart.isLinked = true;
  chart.plot.on("plotly_relayout", (change) => {
    if ("xaxis.range[0]" in change) zoom(chart, [change["xaxis.range[0]"], change["xaxis.range[1]"]]);
    else if ("xaxis.range" in change) zoom(chart, change["xaxis.range"]);
    else if (change["xaxis.autorange"]) zoom(chart, full(chart));
  });
  chart.plot.on("plotly_hover", (event) => point(chart, event.xvals[0]));
  chart.plot.on("plotly_unhover", () => point(chart, null));
  chart.plot.addEventListener("keydown", (event) => {
    const [begin, end] = chart.range ?? full(chart);
    const step = (end - begin) / 4;
    const ranges = {
      "+": [begin + step, end - step],
      "-": [begin - 2 * step, end + 2 * step],
      ArrowLeft: [begin - step, end - step],
      ArrowRight: [begin + step, end + step],
      Escape: full(chart),
    };
    if (!(event.key in ranges) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    zoom(chart, ranges[event.key]);
  });
}

// ---- switches

for (const chart of charts)
  for (const button of chart.switches)
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      draw(chart);
    });

const dark = matchMedia("(prefers-color-scheme: dark)");
const button = document.getElementById("theme");
const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";

function paint() {
  button.setAttribute("aria-pressed", isDark());
  charts.forEach(draw);
}

button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  paint();
});
dark.addEventListener("change", paint);
button.setAttribute("aria-pressed", isDark());

// ---- paper

const PAPER_WIDTH = "680px";
let theme;
addEventListener("beforeprint", () => {
  theme = root.dataset.theme;
  root.dataset.theme = "light";
  document.body.style.width = PAPER_WIDTH;
  paint();
});
addEventListener("afterprint", () => {
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  document.body.style.width = "";
  paint();
});

drawAll();
