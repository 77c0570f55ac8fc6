// The view: one canvas for each strategy. Dots glide to where their instance is; pictures come ten
// times a second, what lies between them is drawn here.

const HEIGHT = 210;
const WAITS = 1, DONE = 2, FAILED = 3;
const COLOURS = ["--callback", "--polling"];
const GLIDE = 0.18; // share of the remaining way that a dot goes in each frame

function render({ model, el }) {
  const send = (act) => model.send({ do: act });
  const root = panelOf("view");
  const title = make("strong");
  const now = make("span", { className: "asyncsim-now" });
  const play = button("▶ Play", () => send(model.get("state").playing ? "pause" : "play"));
  root.append(make("div", { className: "asyncsim-bar", role: "group", ariaLabel: "clock" }, title, now, play,
    button("To next batch", () => send("next batch"))));
  const panels = [];
  el.append(root);

  function panel(k) {
    const canvas = make("canvas", { role: "img" });
    const says = make("div", { className: "asyncsim-says" });
    const part = { canvas, says, dots: new Map(), k };
    root.append(make("div", {}, says, canvas));
    return part;
  }

  // Where things are: columns of equal width, a heap of waiting records above its step
  function boxes(places, width) {
    const columns = Math.max(...places.map((p) => p.column), 0) + 2;
    const wide = width / columns;
    const spread = new Map(places.map((p) => [p.node, {
      ...p, x: (p.column + 0.5) * wide, y: HEIGHT - 40 + p.row * 34, wide: Math.min(wide * 0.78, 150),
    }]));
    spread.set("end", { x: (columns - 0.5) * wide, y: HEIGHT - 40, wide: wide * 0.78 });
    return spread;
  }

  function target(place, state, i, box, piles) {
    if (state === DONE || state === FAILED) {
      const end = box.get("end");
      return [end.x + ((i * 7919) % 41) - 20, end.y - 12 + ((i * 104729) % 25)];
    }
    const spot = box.get(place);
    if (!spot) return [4, HEIGHT - 40];
    if (state === WAITS) {
      const n = piles.get(place) || 0;
      piles.set(place, n + 1);
      const across = Math.max(Math.floor(spot.wide / 6), 1);
      const up = Math.floor(n / across);
      return [spot.x - spot.wide / 2 + 3 + (n % across) * 6, spot.y - 20 - (up * 5) % (HEIGHT - 70)];
    }
    return [spot.x + ((i * 31) % 21) - 10, spot.y + 8];
  }

  function aim(part, lane, box) {
    const piles = new Map();
    const seen = new Set();
    for (let i = 0; i < lane.tokens.length / 2; i += 1) {
      const id = lane.first + i;
      const [x, y] = target(lane.tokens[2 * i], lane.tokens[2 * i + 1], id, box, piles);
      const dot = part.dots.get(id) || { x: 0, y: HEIGHT - 40 };
      Object.assign(dot, { toX: x, toY: y, state: lane.tokens[2 * i + 1] });
      part.dots.set(id, dot);
      seen.add(id);
    }
    for (const id of part.dots.keys()) if (!seen.has(id)) part.dots.delete(id);
  }

  function draw(part, lane, state, width) {
    const { canvas } = part;
    const scale = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = HEIGHT * scale;
      canvas.style.height = `${HEIGHT}px`;
    }
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(name).trim();
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, HEIGHT);
    const box = boxes(state.places, width);
    pen.font = `12px ${style.fontFamily}`;
    pen.textAlign = "center";
    for (const spot of box.values()) {
      const end = spot.name === undefined;
      pen.strokeStyle = style.color;
      pen.lineWidth = 1;
      pen.setLineDash(spot.kind === "wait" ? [4, 3] : []);
      pen.strokeRect(spot.x - spot.wide / 2, spot.y - 14, spot.wide, 34);
      pen.fillStyle = style.color;
      pen.fillText(end ? `ended: ${(lane.done + lane.failed).toLocaleString("en")}` : spot.name, spot.x, spot.y + 33, spot.wide + 20);
    }
    pen.setLineDash([]);
    let moving = false;
    for (const dot of part.dots.values()) {
      dot.x += (dot.toX - dot.x) * GLIDE;
      dot.y += (dot.toY - dot.y) * GLIDE;
      moving ||= Math.abs(dot.toX - dot.x) + Math.abs(dot.toY - dot.y) > 0.5;
      pen.fillStyle = dot.state === FAILED ? colour("--text") : colour(dot.state === DONE ? "--third" : COLOURS[part.k]);
      if (dot.state === WAITS) pen.fillRect(dot.x - 2.5, dot.y - 2, 5, 4);
      else { pen.beginPath(); pen.arc(dot.x, dot.y, 2.6, 0, 7); pen.fill(); }
    }
    // workers, as a row of squares in the corner: filled ones are busy
    for (let i = 0; i < Math.min(lane.workers, 32); i += 1) {
      pen.strokeStyle = style.color;
      pen.fillStyle = colour(COLOURS[part.k]);
      if (i < lane.busy) pen.fillRect(width - 14 - i * 11, 4, 9, 9);
      pen.strokeRect(width - 14 - i * 11, 4, 9, 9);
    }
    pen.textAlign = "right";
    pen.fillStyle = style.color;
    pen.fillText(lane.queue ? `workers, ${lane.queue.toLocaleString("en")} queue` : "workers", width - 20 - Math.min(lane.workers, 32) * 11, 13);
    return moving;
  }

  let frame = 0;
  function animate() {
    frame = 0;
    const state = model.get("state");
    const width = root.clientWidth - 20;
    if (width <= 0) return;
    let moving = false;
    state.lanes.forEach((lane, k) => { moving = draw(panels[k], lane, state, width) || moving; });
    root.dataset.frames = String(Number(root.dataset.frames || 0) + 1);
    if (moving) frame = requestAnimationFrame(animate);
  }
  function wake() { if (!frame) frame = requestAnimationFrame(animate); }

  function show() {
    const state = model.get("state");
    setText(title, state.scenario);
    setText(now, state.now);
    setText(play, state.playing ? "⏸ Pause" : "▶ Play");
    const width = Math.max(root.clientWidth - 20, 300);
    const box = boxes(state.places, width);
    state.lanes.forEach((lane, k) => {
      panels[k] ||= panel(k);
      aim(panels[k], lane, box);
      const failed = lane.failed ? `, ${lane.failed.toLocaleString("en")} failed` : "";
      const text = `${lane.name}: ${lane.waiting.toLocaleString("en")} waiting, ${lane.done.toLocaleString("en")} done${failed}, ${lane.busy} of ${lane.workers} workers busy`;
      setText(panels[k].says, text);
      panels[k].canvas.setAttribute("aria-label", text);
    });
    wake();
  }
  const resized = new ResizeObserver(show);
  resized.observe(root);
  model.on("change:state", show);
  show();
  return () => { model.off("change:state", show); resized.disconnect(); cancelAnimationFrame(frame); };
}

export default { render };
