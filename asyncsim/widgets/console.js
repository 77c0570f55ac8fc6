// The console of a live session. State comes as model.get("state"); what a person does goes back as
// a message { do: … }.

function fieldsForm() {
  const rows = make("div", { className: "asyncsim-data" });
  const addRow = () => {
    const n = rows.children.length + 1;
    const name = make("input", { size: 12, "aria-label": `name of data field ${n}`, placeholder: "InvoiceNo" });
    const value = make("input", { size: 12, "aria-label": `value of data field ${n}`, placeholder: "42" });
    rows.append(make("div", {}, name, " = ", value));
  };
  addRow();
  return {
    element: make("div", {}, rows, button("+ field", addRow, { className: "asyncsim-small" })),
    values: () => [...rows.children].map((row) => [...row.querySelectorAll("input")].map((i) => i.value)),
  };
}

function render({ model, el }) {
  const send = (act, more = {}) => model.send({ do: act, ...more });
  const root = panelOf("console");

  // the clock
  const title = make("strong");
  const now = make("span", { className: "asyncsim-now" });
  const play = button("▶ Play", () => send(model.get("state").playing ? "pause" : "play"));
  const speed = make("select", { on: { change: () => send("speed", { value: Number(speed.value) }) } });
  const until = make("input", { size: 8, value: "22:00", on: { keydown: onEnter(runUntil) } });
  function runUntil() { send("run until", { moment: until.value }); }
  const clock = make("div", { className: "asyncsim-bar", role: "group", ariaLabel: "clock" },
    title, now, play,
    button("Step", () => send("step"), { title: "play the next instant at which anything happens" }),
    button("To next batch", () => send("next batch")),
    labelled("run until", until), button("Go", runUntil, { ariaLabel: "run until this moment" }),
    labelled("speed", speed));

  // finishing
  const number = make("input", { size: 10, placeholder: "5_31", autocomplete: "off", on: { keydown: onEnter(finish) } });
  const data = fieldsForm();
  function finish() {
    send("finish", { number: number.value, fields: data.values() });
    number.focus();
    number.select();
  }
  const form = make("div", { className: "asyncsim-form", role: "group", ariaLabel: "finish a step" },
    labelled("serial number", number), data.element,
    button("Finish", finish, { className: "asyncsim-main" }),
    button("Retry", () => send("retry", { number: number.value }), { title: "enter the step once more, under a new number" }),
    button("Start instance", () => send("start", { fields: data.values() })));

  // records
  const like = make("input", { size: 12, type: "search", on: { input: debounced(() => send("show", { like: like.value })) } });
  const places = make("span");
  const earlier = button("◀", () => turn(-1), { ariaLabel: "earlier records" });
  const later = button("▶", () => turn(1), { ariaLabel: "later records" });
  function turn(by) {
    const { first, most } = model.get("state");
    send("show", { first: Math.max(0, first + by * most) });
  }
  const body = make("tbody");
  const records = make("div", { className: "asyncsim-records" },
    make("div", { className: "asyncsim-bar" }, labelled("filter", like), earlier, places, later),
    make("table", {},
      make("caption", { text: "Steps that wait" }),
      make("thead", {}, make("tr", {},
        ...["serial number", "process", "step", "system", "since", "for"].map((text) => make("th", { scope: "col", text })))),
      body));

  // answers
  const message = make("div", { className: "asyncsim-message", role: "alert" });
  const log = make("ol", { className: "asyncsim-log" });
  const beside = make("div", { className: "asyncsim-beside" });
  const answers = make("div", { className: "asyncsim-answers" }, message,
    make("h4", { text: "Answers" }), make("div", { role: "log", "aria-live": "polite" }, log), beside);

  root.append(clock, make("div", { className: "asyncsim-columns" },
    make("div", {}, form, answers), records));
  el.append(root);

  function rowOf(row) {
    const pick = button(row.number, () => { number.value = row.number; number.focus(); },
      { className: "asyncsim-pick", title: "take this number" });
    return make("tr", { "data-number": row.number }, make("td", {}, pick),
      ...[row.process, row.step, row.system, row.since, row.waited].map((text) => make("td", { text })));
  }

  let shownRows = "";
  let shownLog = "";
  function show() {
    const state = model.get("state");
    setText(title, state.scenario);
    setText(now, state.now);
    setText(play, state.playing ? "⏸ Pause" : "▶ Play");
    const speeds = state.speeds.join();
    if (speed.dataset.speeds !== speeds) {
      speed.dataset.speeds = speeds;
      speed.replaceChildren(...state.speeds.map((value) => make("option", { value, text: `${value} ×` })));
    }
    speed.value = String(state.speed);
    const last = Math.min(state.first + state.most, state.total);
    setText(places, state.total ? `${state.first + 1} to ${last} of ${state.total.toLocaleString("en")}` : "none");
    earlier.disabled = state.first === 0;
    later.disabled = last >= state.total;
    const rows = JSON.stringify(state.rows);
    if (rows !== shownRows) {
      shownRows = rows;
      const focused = document.activeElement?.closest?.("tr")?.dataset.number;
      body.replaceChildren(...state.rows.map(rowOf));
      if (focused) body.querySelector(`tr[data-number="${CSS.escape(focused)}"] button`)?.focus();
    }
    setText(message, state.message);
    const lines = JSON.stringify(state.log);
    if (lines !== shownLog) {
      shownLog = lines;
      log.replaceChildren(...state.log.map((line) => make("li", {},
        make("span", { className: `asyncsim-code asyncsim-code-${Math.floor(line.code / 100)}`, text: String(line.code) }),
        ` ${line.at} `, make("strong", { text: line.number }), ` ${line.text}`)));
    }
    beside.replaceChildren(...(state.beside ? [
      make("h4", { text: `${state.beside.number}, side by side` }),
      make("table", {}, ...state.beside.rows.map((row) => make("tr", {},
        make("th", { scope: "row", text: row.strategy }), make("td", { text: row.says }))))] : []));
  }
  model.on("change:state", show);
  show();
  return () => model.off("change:state", show);
}

function onEnter(act) {
  return (event) => { if (event.key === "Enter") { event.preventDefault(); act(); } };
}

function debounced(act, pause = 150) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(act, pause); };
}

export default { render };
