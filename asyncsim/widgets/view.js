// The view: a diagram for each strategy, and its numbers as a table.

const GLIDE = 110; // milliseconds in which a token covers two thirds of its path
const HOURS = 4; // simulated hours in a chart
const POINTS = 800; // in a chart; beyond that every second one is dropped
const SPEAK = 2000; // milliseconds between updates for a screen reader

/** Values of the last hours. */
class History {
  constructor() {
    this.times = [];
    this.values = [];
  }

  add(time, value) {
    if (time < this.times.at(-1)) this.times.length = this.values.length = 0;
    if (time === this.times.at(-1)) {
      this.values[this.values.length - 1] = value;
      return;
    }
    this.times.push(time);
    this.values.push(value);
    const old = this.times.findIndex((t) => t >= time - HOURS * 3600) - 1;
    if (old > 0) for (const list of [this.times, this.values]) list.splice(0, old);
    if (this.times.length > POINTS) {
      const last = this.times.length - 1;
      const kept = (_, k) => k % 2 === 0 || k === last;
      this.times = this.times.filter(kept);
      this.values = this.values.filter(kept);
    }
  }
}

/** A simulation in one sentence; its last two places are the ends. */
function summaryOf({ label, waiting, counts }) {
  const [done, failed] = counts.slice(-2);
  const lost = failed ? `, ${number(failed)} failed` : "";
  return `${label}: ${number(waiting)} waiting, ${number(done)} done${lost}`;
}

/** The external systems of a simulation in words. */
function outsideOf({ outside = {} }) {
  return Object.entries(outside).map(([name, { lines }]) =>
    `; outside, ${name}: ${lines.filter(Boolean).join(", ")}`).join("");
}

const LEGEND = [
  ["■", "work", "an instance in a step, or in the queue for a worker"],
  ["■", "wait", "an instance that waits: a record in a dashed box"],
  ["■", "ended", "an instance that has ended"],
  ["■", "refused", "an instance that has failed"],
  ["■", "outside", "an item that an external system processes (double border; ▶ while a batch runs)"],
  ["○", "polling", "a check: goes to the external system and back"],
  ["▲", "third", "a callback: comes from the external system"],
  ["✗", "refused", "a callback that is lost"],
];

/** Meaning of shapes and colours. */
function legendPart() {
  const items = LEGEND.map(([sign, colour, text]) => make("li", {},
    make("span", { className: `asyncsim-sign asyncsim-sign-${colour}`, text: sign, "aria-hidden": "true" }),
    text));
  return make("details", { className: "asyncsim-legend", open: true }, make("summary", { text: "Legend" }),
    make("ul", {}, ...items, make("li", { text: "shows at most 12 checks and 12 callbacks per step at a time" })));
}

/** A button that starts the scenario again, unless that would delete a journal. */
function resetButton(model) {
  const why = model.get("choices").why_no_reset ?? "";
  return button("Reset", () => model.send({ do: "reset" }), { disabled: Boolean(why),
    title: why || "restart the scenario from the beginning; your actions are discarded" });
}

/** One simulation of the page: its summary, its load and its diagram. */
function simulationPart() {
  const says = make("span", { className: "asyncsim-says" });
  const load = make("span", { className: "asyncsim-load" });
  const canvas = make("canvas", { className: "asyncsim-canvas" });
  canvas.setAttribute("role", "img");
  const section = make("section", { className: "asyncsim-simulation" },
    make("div", { className: "asyncsim-row" }, says, load), canvas);
  return { section, canvas, diagram: new Diagram(canvas), history: new History(),
    show: (simulation) => {
      setText(says, summaryOf(simulation));
      const { busy, workers, queue } = simulation;
      const boxes = workers <= 16 ? `${"■".repeat(busy)}${"□".repeat(workers - busy)} ` : "";
      setText(load, `${boxes}${busy} of ${workers} workers busy, ${number(queue)} jobs in the queue`);
    } };
}

/** The numbers of all simulations as a table. */
function tablePart() {
  const head = make("tr");
  const body = make("tbody");
  const table = make("table", { className: "asyncsim-places" },
    make("caption", { text: "Instances by place, for each strategy" }), make("thead", {}, head), body);
  return { table, show: (plan, simulations) => {
    const places = plan.places.map((place, k) => [k, place]).filter(([, place]) =>
      place && ["step", "async step", "end"].includes(place[0]));
    places.sort(([, a], [, b]) => a[3] - b[3] || a[4] - b[4]);
    const names = ["strategy", "waiting records", ...places.map(([, place]) => place[1])];
    while (head.cells.length < names.length) head.append(make("th", { scope: "col" }));
    names.forEach((text, k) => setText(head.cells[k], text));
    while (body.rows.length < simulations.length) {
      body.append(make("tr", {}, make("th", { scope: "row" }),
        ...names.slice(1).map(() => make("td"))));
    }
    simulations.forEach((simulation, r) => {
      const cells = [simulation.label, number(simulation.waiting),
        ...places.map(([k]) => number(simulation.counts[k]))];
      cells.forEach((text, k) => setText(body.rows[r].cells[k], text));
    });
  } };
}

/** Draws on request, at most once per frame. */
function painter(parts, root) {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let frame = 0;
  let last = 0;
  const paint = (now) => {
    frame = 0;
    const share = still.matches ? 1 : 1 - Math.exp(-Math.min(now - last, 100) / GLIDE);
    last = now;
    let moving = false;
    const all = parts();
    const most = all.reduce((m, { history }) => history.values.reduce((a, b) => Math.max(a, b), m), 0);
    for (const { diagram, history } of all) {
      moving = diagram.move(share, now) || moving;
      diagram.draw(history, most, HOURS, now, still.matches);
    }
    root.dataset.frames = String(Number(root.dataset.frames ?? 0) + 1);
    if (moving) ask();
  };
  const ask = () => {
    if (!frame) frame = requestAnimationFrame(paint);
  };
  return { ask, stop: () => cancelAnimationFrame(frame) };
}

/** Apply a picture from the kernel. */
function takePicture(message, buffers, plan, parts) {
  message.simulations.forEach((simulation, k) => {
    const bytes = buffers[k];
    // A copy, because an array of two-byte numbers needs an aligned start
    const places = new Uint16Array(
      bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    const { diagram, history, show } = parts[k];
    const again = message.now < history.times.at(-1); // the session was reset
    diagram.take(simulation, places, diagram.simulation === null || again);
    diagram.marks.add(simulation, performance.now());
    history.add(message.now, simulation.waiting);
    show(simulation);
  });
}

export default {
  render({ model, el }) {
    const ending = new AbortController();
    const { signal } = ending;
    const { bar, notice } = clockBar(model, signal);
    const root = panelOf("view");
    const simulations = make("div", { className: "asyncsim-simulations" });
    const table = tablePart();
    const parts = [];
    const paint = painter(() => parts, root);
    const seen = acknowledge(model);
    const plan = () => model.get("plan");
    let spoken = -SPEAK;

    const resize = () => {
      const width = Math.floor(simulations.clientWidth);
      if (!width) return;
      for (const { diagram } of parts) if (diagram.width !== width) diagram.resize(plan(), width);
      paint.ask();
    };
    const speak = (all) => {
      if (performance.now() - spoken < SPEAK) return;
      spoken = performance.now();
      all.forEach((simulation, k) => parts[k].canvas.setAttribute("aria-label",
        `${model.get("process")} under ${summaryOf(simulation)}${outsideOf(simulation)}`));
    };
    const onMessage = (message, buffers) => {
      while (parts.length < message.simulations.length) {
        parts.push(simulationPart());
        simulations.append(parts.at(-1).section);
        parts.at(-1).diagram.resize(plan(), Math.max(Math.floor(simulations.clientWidth), 300));
      }
      takePicture(message, buffers, plan(), parts);
      table.show(plan(), message.simulations);
      speak(message.simulations);
      paint.ask();
      seen();
    };
    bar.append(resetButton(model));
    root.append(bar, notice, legendPart(), simulations, make("div", { className: "asyncsim-scroll" }, table.table));
    el.append(root);
    const watcher = new ResizeObserver(resize);
    watcher.observe(simulations);
    // A canvas does not follow a change of theme; the style sheet needs a moment to load
    const theme = new MutationObserver(() => setTimeout(paint.ask, 300));
    theme.observe(document.body, { attributeFilter: ["data-jp-theme-light", "class"] });
    model.on("msg:custom", onMessage);
    signal.addEventListener("abort", () => {
      model.off("msg:custom", onMessage);
      watcher.disconnect();
      theme.disconnect();
      paint.stop();
    });
    model.send({ do: "hello" });
    return () => ending.abort();
  },
};
