// One simulation of the view: a process drawn on a canvas, with instances that move through it.

const ROW = 118; // height of a row of the process
const OUTSIDE = 74; // height of a row of external systems below it
const CHART = 54; // height of the chart below them
const SYSTEM = 230; // the least width of an external system
const GAP = 14;
const TITLE = 32;
const NOWHERE = 0xffff;
const CALLING = 0x8000; // added to a place while the step makes its call
const SETTLED = 0.3; // pixels
const FLIGHT = 650; // milliseconds that a check or a callback takes
const STAGGER = 250; // milliseconds over which the marks of one picture start
const MOST_MARKS = 80;
const COLOURS = { step: "--work", "async step": "--wait", end: "--ended", failed: "--refused" };

const number = (value) => value.toLocaleString("en");

/** Boxes of the places, for a width in pixels. */
function boxesOf(plan, width) {
  const whole = plan.widths.reduce((sum, w) => sum + w, 0);
  const unit = (width - GAP) / whole;
  const left = [GAP];
  for (const w of plan.widths) left.push(left.at(-1) + w * unit);
  const height = plan.rows * ROW;
  return plan.places.map((place) => {
    if (!place) return null;
    const [kind, name, system, column, row] = place;
    const x = left[column];
    const w = left[column + 1] - x - GAP;
    if (kind === "end") {
      const share = height - GAP;
      return name === "done"
        ? { kind, name, system, x, w, y: GAP / 2, h: share * 0.62 - 4 }
        : { kind: "failed", name, system, x, w, y: GAP / 2 + share * 0.62 + 4, h: share * 0.38 - 4 };
    }
    return { kind, name, system, x, w, y: row * ROW + GAP / 2, h: ROW - GAP };
  });
}

/** Boxes of the external systems below the process, by name. */
function systemBoxesOf(plan, width) {
  const steps = plan.places.filter((place) => place?.[0] === "async step");
  const names = [...new Set(steps.map((place) => place[2]))];
  const columns = Math.max(Math.min(Math.floor((width - GAP) / SYSTEM), names.length), 1);
  const w = (width - GAP) / columns;
  return Object.fromEntries(names.map((name, k) => [name, {
    x: GAP + (k % columns) * w,
    y: plan.rows * ROW + Math.floor(k / columns) * OUTSIDE + 8,
    w: w - GAP,
    h: OUTSIDE - 14,
    last: Math.floor((names.length - 1) / columns) + 1, // rows in all
  }]));
}

/** Checks and callbacks between the server and the external systems. */
class Marks {
  constructor() {
    this.marks = [];
  }

  /** Start the marks of a picture. */
  add({ checks = [], callbacks = [] }, now) {
    for (const [place, n] of checks) this.send("check", place, n, now);
    for (const [place, n, lost] of callbacks) {
      this.send("callback", place, n, now);
      this.send("lost", place, lost, now);
    }
  }

  send(kind, place, n, now) {
    for (let k = 0; k < n && this.marks.length < MOST_MARKS; k++) {
      this.marks.push({ kind, place, from: now + (k / n) * STAGGER, aside: ((k * 37) % 60) - 30 });
    }
  }

  /** Remove those that have arrived; false if none is left. */
  move(now) {
    this.marks = this.marks.filter(({ from }) => now - from < FLIGHT);
    return this.marks.length > 0;
  }

  /** Draw each mark; `still` puts all of them half-way. */
  draw(ctx, colour, boxes, systems, now, still) {
    for (const { kind, place, from, aside } of this.marks) {
      const [step, system] = [boxes[place], systems[boxes[place]?.system]];
      const share = still ? 0.5 : (now - from) / FLIGHT;
      if (!system || share < 0) continue;
      const middle = step.x + step.w / 2 + aside;
      const x = Math.min(Math.max(middle, system.x + 8), system.x + system.w - 8);
      const [top, bottom] = [step.y + step.h - 26, system.y + system.h - 14];
      // A check goes there and back, a callback comes, a lost one stops half-way
      const way = still ? 0.5 : { check: 1 - Math.abs(1 - 2 * share), callback: 1 - share,
        lost: 1 - share / 2 }[kind];
      MARKS[kind](ctx, colour, middle + (x - middle) * way, top + (bottom - top) * way);
    }
  }
}

const MARKS = {
  check: (ctx, colour, x, y) => {
    ctx.beginPath();
    ctx.arc(x, y, 4.5, 0, 7);
    ctx.fillStyle = colour("--ground");
    ctx.fill();
    ctx.lineWidth = 2;
    ctx.strokeStyle = colour("--polling");
    ctx.stroke();
  },
  callback: (ctx, colour, x, y) => {
    ctx.beginPath();
    ctx.moveTo(x, y - 6);
    ctx.lineTo(x + 5.5, y + 5);
    ctx.lineTo(x - 5.5, y + 5);
    ctx.closePath();
    ctx.fillStyle = colour("--third");
    ctx.fill();
  },
  lost: (ctx, colour, x, y) => {
    ctx.beginPath();
    for (const d of [-4, 4]) {
      ctx.moveTo(x - 4, y - d);
      ctx.lineTo(x + 4, y + d);
    }
    ctx.lineWidth = 2.5;
    ctx.strokeStyle = colour("--refused");
    ctx.stroke();
  },
};

/** Tokens of one simulation, with present and target positions. */
class Tokens {
  constructor() {
    this.count = this.each = 0;
    this.places = new Uint16Array(0);
    this.calling = new Uint8Array(0);
    this.x = this.y = this.toX = this.toY = new Float32Array(0);
    this.sizes = [];
  }

  /** Apply a new picture; `fresh` puts every token at its target at once. */
  take(encoded, boxes, tracks, fresh) {
    const calling = Uint8Array.from(encoded, (place) => place !== NOWHERE && place >= CALLING);
    const places = encoded.map((place, i) => (calling[i] ? place - CALLING : place));
    const each = tracks ? places.length / tracks : 0;
    const old = { ...this };
    const size = places.length;
    Object.assign(this, { count: size, each, places, calling, encoded });
    for (const name of ["x", "y", "toX", "toY"]) this[name] = new Float32Array(size);
    const piles = pile(places, boxes);
    const rank = new Uint32Array(boxes.length);
    for (let i = 0; i < size; i++) {
      const place = places[i];
      if (place === NOWHERE) continue;
      const { box, cell, columns } = piles[place];
      const k = rank[place]++;
      this.toX[i] = box.x + 5 + (k % columns) * cell;
      this.toY[i] = box.y + box.h - 5 - (Math.floor(k / columns) + 1) * cell;
      const was = indexBefore(i, each, old);
      const known = was >= 0 && old.places[was] !== NOWHERE;
      this.x[i] = fresh ? this.toX[i] : known ? old.x[was] : Math.max(box.x - GAP, 0);
      this.y[i] = fresh || !known ? this.toY[i] : old.y[was];
    }
    this.sizes = piles.map((one) => (one ? Math.max(one.cell - (one.cell > 3 ? 1 : 0.4), 0.8) : 0));
  }

  /** Move every token towards its target; false once all have arrived. */
  move(share) {
    let moving = false;
    for (let i = 0; i < this.count; i++) {
      const dx = this.toX[i] - this.x[i];
      const dy = this.toY[i] - this.y[i];
      if (Math.abs(dx) + Math.abs(dy) < SETTLED) {
        this.x[i] = this.toX[i];
        this.y[i] = this.toY[i];
      } else {
        this.x[i] += dx * share;
        this.y[i] += dy * share;
        moving = true;
      }
    }
    return moving;
  }
}

/** Index of a token in the previous picture, which had fewer instances on each track. */
function indexBefore(i, each, old) {
  const instance = i % each;
  const was = Math.floor(i / each) * old.each + instance;
  return instance < old.each && was < old.count ? was : -1;
}

/** Arrangement of the tokens at each place: smaller where there are many. */
function pile(places, boxes) {
  const counts = new Uint32Array(boxes.length);
  for (const place of places) if (place !== NOWHERE) counts[place]++;
  return boxes.map((box, k) => {
    if (!box) return null;
    const w = Math.max(box.w - 10, 4);
    const h = Math.max(box.h - TITLE - 8, 4);
    let cell = Math.min(8, Math.max(Math.sqrt((w * h) / Math.max(counts[k], 1)), 0.5));
    while (cell > 0.5 && Math.floor(w / cell) * Math.floor(h / cell) < counts[k]) cell *= 0.96;
    return { box, cell, columns: Math.max(Math.floor(w / cell), 1) };
  });
}

/** The canvas of one simulation. */
class Diagram {
  constructor(canvas) {
    this.canvas = canvas;
    this.tokens = new Tokens();
    this.marks = new Marks();
    this.boxes = [];
    this.systems = {};
    this.width = 0;
    this.simulation = null;
  }

  resize(plan, width) {
    this.plan = plan;
    this.width = width;
    this.boxes = boxesOf(plan, width);
    this.systems = systemBoxesOf(plan, width);
    const rows = Object.values(this.systems)[0]?.last ?? 0;
    this.height = plan.rows * ROW + rows * OUTSIDE + CHART;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.height = `${this.height}px`;
    this.ratio = ratio;
    if (this.simulation) this.take(this.simulation, this.tokens.encoded, true);
  }

  take(simulation, places, fresh) {
    this.simulation = simulation;
    this.tokens.take(places, this.boxes, this.plan.tracks, fresh);
  }

  move(share, now) {
    const [tokens, marks] = [this.tokens.move(share), this.marks.move(now)];
    return tokens || marks;
  }

  draw(history, most, hours, now, still) {
    if (!this.simulation || !this.width) return;
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(name).trim() || "#888";
    const ctx = this.canvas.getContext("2d");
    ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    ctx.clearRect(0, 0, this.width, this.height);
    ctx.font = `12px ${style.fontFamily}`;
    this.drawLines(ctx, colour);
    this.boxes.forEach((box, k) => box && this.drawBox(ctx, colour, box, k));
    for (const name of Object.keys(this.systems)) this.drawSystem(ctx, colour, name);
    this.drawTokens(ctx, colour);
    this.marks.draw(ctx, colour, this.boxes, this.systems, now, still);
    drawChart(ctx, colour, { ...history, most, hours }, this.width, this.height);
  }

  drawLines(ctx, colour) {
    ctx.strokeStyle = colour("--line");
    ctx.lineWidth = 1.5;
    for (const [from, to] of this.plan.lines) {
      const a = this.boxes[from];
      const b = this.boxes[to];
      if (!a || !b) continue;
      const [ax, bx] = [a.x + a.w - inset(a), b.x + inset(b)];
      const [ay, by] = [a.y + a.h / 2, b.y + b.h / 2];
      ctx.beginPath();
      ctx.moveTo(ax, ay);
      ctx.bezierCurveTo((ax + bx) / 2, ay, (ax + bx) / 2, by, bx, by);
      ctx.stroke();
    }
  }

  /** An external system: double border, text, and a square for each item in progress. */
  drawSystem(ctx, colour, name) {
    const [box, state] = [this.systems[name], this.simulation.outside?.[name]];
    if (!state) return;
    ctx.lineWidth = 1;
    ctx.strokeStyle = colour("--line");
    ctx.setLineDash([2, 4]);
    for (const step of this.boxes.filter((one) => one?.kind === "async step" && one.system === name)) {
      const x = step.x + step.w / 2;
      ctx.beginPath();
      ctx.moveTo(x, step.y + step.h);
      ctx.lineTo(Math.min(Math.max(x, box.x + 8), box.x + box.w - 8), box.y);
      ctx.stroke();
    }
    ctx.setLineDash([]);
    ctx.fillStyle = colour("--ground");
    ctx.strokeStyle = colour(state.runs ? "--outside" : "--soft");
    ctx.lineWidth = state.runs ? 2.5 : 1;
    ctx.fillRect(box.x, box.y, box.w, box.h);
    ctx.strokeRect(box.x, box.y, box.w, box.h);
    ctx.lineWidth = 1;
    ctx.strokeRect(box.x + 3, box.y + 3, box.w - 6, box.h - 6);
    const { working, lines: [clock, ...rest] } = state;
    const shown = Math.min(working, Math.floor((box.w / 3 - 10) / 11));
    const width = box.w - 20 - 11 * shown;
    writeIn(ctx, colour("--text"), `${state.runs ? "▶ " : ""}outside: ${name}`
      + (clock ? ` · ${clock}` : ""), box.x + 10, box.y + 18, box.w - 20);
    rest.forEach((text, k) => writeIn(ctx, colour("--soft"), text, box.x + 10,
      box.y + 34 + 15 * k, width));
    ctx.fillStyle = colour("--outside");
    for (let k = 0; k < shown; k++) ctx.fillRect(box.x + box.w - 18 - 11 * k, box.y + 34, 8, 8);
  }

  drawBox(ctx, colour, box, k) {
    const narrow = isNarrow(box);
    ctx.strokeStyle = colour(box.kind === "async step" ? "--wait" : "--soft");
    ctx.lineWidth = box.kind === "async step" ? 2 : 1;
    ctx.fillStyle = colour("--raised");
    ctx.setLineDash(box.kind === "async step" ? [5, 3] : []);
    ctx.beginPath();
    if (narrow) {
      const [x, y] = [box.x + box.w / 2, box.y + box.h / 2];
      const r = box.w / 2 - inset(box);
      ctx.moveTo(x, y - r);
      for (const [dx, dy] of [[r, 0], [0, r], [-r, 0]]) ctx.lineTo(x + dx, y + dy);
      ctx.closePath();
    } else ctx.roundRect(box.x, box.y, box.w, box.h, 6);
    ctx.fill();
    ctx.stroke();
    ctx.setLineDash([]);
    if (narrow) {
      ctx.textAlign = "center";
      const [x, y] = [box.x + box.w / 2, box.y + box.h / 2 + 25];
      if (box.kind !== "join") writeIn(ctx, colour("--soft"), box.name, x, y, box.w + 3 * GAP);
      ctx.textAlign = "start";
      return;
    }
    const sign = box.kind === "failed" ? "✗ " : "";
    writeIn(ctx, colour("--text"), sign + box.name, box.x + 6, box.y + 14, box.w - 10);
    const [count, calling] = [this.simulation.counts[k], this.simulation.calling[k]];
    const called = calling ? `, ${number(calling)} calling` : "";
    const what = box.kind === "async step"
      ? `${number(count - calling)} wait for ${box.system}${called}` : number(count);
    writeIn(ctx, colour("--soft"), what, box.x + 6, box.y + 28, box.w - 10);
  }

  drawTokens(ctx, colour) {
    const { places, calling, x, y, sizes, count } = this.tokens;
    for (const [kind, name] of Object.entries(COLOURS)) {
      ctx.fillStyle = colour(name);
      const mine = this.boxes.map((box) => box?.kind === kind);
      for (let i = 0; i < count; i++) {
        const place = places[i];
        if (place === NOWHERE) continue;
        if (calling[i] ? kind === "step" : mine[place]) ctx.fillRect(x[i], y[i], sizes[place], sizes[place]);
      }
    }
  }
}

/** Gateways are drawn as a small diamond in the middle of their box. */
function isNarrow(box) {
  return ["choice", "fork", "join"].includes(box.kind);
}

/** Distance of a place from the sides of its box. */
function inset(box) {
  return isNarrow(box) ? Math.max(box.w / 2 - 11, 0) : 0;
}

/** Write text, shortened to a width. */
function writeIn(ctx, colour, text, x, y, width) {
  ctx.fillStyle = colour;
  let shown = text;
  while (shown.length > 1 && ctx.measureText(shown).width > width) shown = `${shown.slice(0, -2)}…`;
  ctx.fillText(shown, x, y);
}

/** Waiting records over time, at the bottom of the canvas. */
function drawChart(ctx, colour, { times, values, most, hours }, width, height) {
  const top = height - CHART + 18;
  const bottom = height - 4;
  const [left, right] = [GAP, width - GAP];
  ctx.strokeStyle = colour("--line");
  ctx.lineWidth = 1;
  ctx.beginPath();
  ctx.moveTo(left, bottom + 0.5);
  ctx.lineTo(right, bottom + 0.5);
  ctx.stroke();
  const label = `Waiting records in the last ${hours} hours (full height: ${number(most)})`;
  writeIn(ctx, colour("--soft"), label, left, top - 6, right - left);
  if (times.length < 2 || !most) return;
  const span = hours * 3600;
  const x = (k) => Math.max(right - ((times.at(-1) - times[k]) / span) * (right - left), left);
  const y = (k) => bottom - (values[k] / most) * (bottom - top);
  ctx.beginPath();
  ctx.moveTo(x(0), bottom);
  for (let k = 0; k < times.length; k++) ctx.lineTo(x(k), y(k));
  ctx.lineTo(right, bottom);
  ctx.globalAlpha = 0.25;
  ctx.fillStyle = ctx.strokeStyle = colour("--wait");
  ctx.fill();
  ctx.globalAlpha = 1;
  ctx.beginPath();
  for (let k = 0; k < times.length; k++) ctx.lineTo(x(k), y(k));
  ctx.lineWidth = 1.5;
  ctx.stroke();
}
