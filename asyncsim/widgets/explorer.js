// The explorer: sliders on the left, the distribution of latencies and the overhead on the right.
// State arrives as model.get("state"); a slider sends { moves: { name: place }, stamp }.

const COLOURS = ["var(--callback)", "var(--polling)"];
const DASHES = ["", "6 3"];
const TICKS = [[0.001, "1 ms"], [0.01, "10 ms"], [0.1, "0.1 s"], [1, "1 s"], [10, "10 s"], [60, "1 min"],
  [600, "10 min"], [3600, "1 h"], [36000, "10 h"], [360000, "100 h"]];
const PATIENCE = 3000; // milliseconds; the kernel may have been restarted
const WIDE = 560, HIGH = 250, LEFT = 44, RIGHT = 12, TOP = 12, BOTTOM = 34;

function svg(tag, options = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(options)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

function duration(seconds) {
  if (seconds === null) return "none";
  if (seconds < 0.9995) return `${(seconds * 1000).toPrecision(3) * 1} ms`;
  if (seconds < 99.95) return `${seconds.toPrecision(3) * 1} s`;
  return seconds < 5970 ? `${(seconds / 60).toPrecision(3) * 1} min` : `${(seconds / 3600).toPrecision(3) * 1} h`;
}

const percent = (share) => `${(share * 100).toPrecision(3) * 1}\u00a0%`;
const unresumed = (s) => s.unresumed / Math.max(s.armed, 1);

function counted(s) {
  const count = s.unresumed.toLocaleString("en");
  return s.unresumed ? `${count} of ${s.armed.toLocaleString("en")} (${percent(unresumed(s))})` : count;
}

function render({ model, el }) {
  const root = panelOf("explorer");
  const title = make("strong");
  const sliders = make("div", { className: "asyncsim-sliders", role: "group", ariaLabel: "settings" });
  const problem = make("div", { className: "asyncsim-message", role: "alert" });
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", class: "asyncsim-picture" });
  const table = make("table", { className: "asyncsim-figures" });
  const spoken = make("div", { className: "asyncsim-hidden", "aria-live": "polite" });
  root.append(title, make("div", { className: "asyncsim-columns" }, sliders,
    make("div", {}, problem, make("div", { className: "asyncsim-scroll" }, picture), table, spoken)));
  el.append(root);

  const inputs = new Map();
  function addSlider(control) {
    const shown = make("output", { className: "asyncsim-value" });
    const input = make("input", {
      type: "range", min: 0, max: control.texts.length - 1, step: 1,
      on: { input: () => { showValue(input, shown, control); send(control.name, Number(input.value)); } },
    });
    const row = labelled(control.label, input);
    row.append(shown);
    sliders.append(row);
    inputs.set(control.name, { input, shown, control });
  }
  function showValue(input, shown, control) {
    const text = control.texts[Number(input.value)];
    setText(shown, text);
    input.setAttribute("aria-valuetext", text);
  }
  // While the kernel computes one setting, moves are collected; the last of each slider is sent
  const moves = new Map();
  let asked = 0;
  function send(name, place) {
    moves.set(name, place);
    if (!asked || performance.now() - asked > PATIENCE) ask();
  }
  function ask() {
    asked = performance.now();
    model.send({ moves: Object.fromEntries(moves), stamp: asked });
    moves.clear();
  }

  const x = (seconds) => {
    const [low, high] = [Math.log10(0.01), Math.log10(100000)];
    const at = (Math.log10(Math.max(seconds, 0.01)) - low) / (high - low);
    return LEFT + Math.min(Math.max(at, 0), 1) * (WIDE - LEFT - RIGHT);
  };
  const y = (share) => HIGH - BOTTOM - share * (HIGH - TOP - BOTTOM);

  function axes() {
    const parts = [];
    for (const [seconds, text] of TICKS) {
      if (seconds < 0.01 || seconds > 100000) continue;
      parts.push(svg("line", { x1: x(seconds), x2: x(seconds), y1: TOP, y2: HIGH - BOTTOM, class: "asyncsim-grid" }));
      parts.push(svg("text", { x: x(seconds), y: HIGH - BOTTOM + 14, "text-anchor": "middle" }, text));
    }
    for (const share of [0, 0.5, 1]) {
      parts.push(svg("line", { x1: LEFT, x2: WIDE - RIGHT, y1: y(share), y2: y(share), class: "asyncsim-grid" }));
      parts.push(svg("text", { x: LEFT - 5, y: y(share) + 4, "text-anchor": "end" }, `${share * 100} %`));
    }
    parts.push(svg("text", { x: (LEFT + WIDE) / 2, y: HIGH - 4, "text-anchor": "middle" }, "resumed within this time after the work was complete"));
    return parts;
  }

  function line(strategy, k, shares) {
    // Quantiles of resumed waits: among all armed waits, the curve ends where unresumed ones begin
    const resumed = 1 - unresumed(strategy);
    const points = strategy.curve.map((seconds, i) => `${x(seconds).toFixed(1)},${y(shares[i] * resumed).toFixed(1)}`);
    const parts = [svg("polyline", { points: points.join(" "), fill: "none", stroke: COLOURS[k], "stroke-width": 2.5, "stroke-dasharray": DASHES[k] })];
    if (strategy.unresumed) {
      const at = y(resumed);
      parts.push(svg("line", { x1: LEFT, x2: WIDE - RIGHT, y1: at, y2: at, stroke: COLOURS[k], "stroke-dasharray": "1 4" }));
      parts.push(svg("text", { x: WIDE - RIGHT, y: at + (k ? 13 : -4), "text-anchor": "end", class: "asyncsim-lost" }, `${percent(unresumed(strategy))} never resumed`));
    }
    if (strategy.theory !== null) {
      const at = x(strategy.theory);
      parts.push(svg("path", { d: `M${at - 5},${TOP - 9} h10 l-5,9 z`, fill: COLOURS[k] }));
    }
    return parts;
  }

  function show() {
    const state = model.get("state");
    setText(title, state.scenario);
    for (const control of state.controls) {
      if (!inputs.has(control.name)) addSlider(control);
      const { input, shown } = inputs.get(control.name);
      if (document.activeElement !== input || !input.dataset.set) input.value = state.places[control.name];
      input.dataset.set = "yes";
      showValue(input, shown, control);
    }
    setText(problem, state.problem);
    picture.replaceChildren(...axes(), ...state.strategies.flatMap((strategy, k) => line(strategy, k, state.shares)));
    const lossy = state.strategies.some((s) => s.unresumed);
    const ofResumed = lossy ? " of resumed waits" : "";
    const rows = [
      ["never resumed", counted, (s) => s.unresumed],
      ["95 % within", (s) => (s.p95 === null && s.unresumed ? "never" : duration(s.p95)), (s) => s.p95 === null && s.unresumed],
      [`mean latency${ofResumed}`, (s) => duration(s.mean)],
      ["closed form ▾", (s) => duration(s.theory) + (s.theory_unresumed ? `, ${percent(s.theory_unresumed)} never` : "")],
      ["requests per wait", (s) => s.requests.toFixed(s.requests < 10 ? 2 : 0)],
      ["worker time", (s) => duration(s.worker_seconds)],
      ["longest queue", (s) => s.longest_queue.toLocaleString("en")],
    ];
    table.replaceChildren(make("thead", {}, make("tr", {}, make("td"),
      ...state.strategies.map((s, k) => make("th", { scope: "col", className: `asyncsim-name-${k}`, text: s.name })))),
    make("tbody", {}, ...rows.map(([name, format, lost]) => make("tr", {}, make("th", { scope: "row", text: name }),
      ...state.strategies.map((s) => make("td", { className: lost && lost(s) ? "asyncsim-lost" : "", text: format(s) }))))));
    const sentence = state.strategies.map((s) => `${s.name}: ${s.unresumed ? `never resumed ${counted(s)}, ` : ""}mean latency${ofResumed} ${duration(s.mean)}, ${s.requests.toFixed(1)} requests per wait`).join("; ");
    setText(spoken, sentence);
    picture.setAttribute("aria-label", `Share of steps resumed within a time. ${sentence}`);
    if (state.stamp && state.stamp === asked) {
      asked = 0;
      if (moves.size) ask();
      requestAnimationFrame(() => { root.dataset.latencyMs = (performance.now() - state.stamp).toFixed(1); });
    }
  }
  model.on("change:state", show);
  show();
  return () => model.off("change:state", show);
}

export default { render };
