// The console: waiting records, a form that finishes them, and a log of the answers.

const KIND = { 2: "ok", 4: "refused" };
const MARK = { ok: "✓", refused: "✗" };

/** One page of the waiting records, a filter, and buttons to turn pages. */
function recordsPart(model, signal, pick) {
  const turn = (first) => model.send({ do: "turn", like: filter.value, first });
  const filter = make("input", { type: "search", className: "asyncsim-filter", size: 14,
    placeholder: "number, step or system", on: { input: onceQuiet(150, () => turn(0)) } });
  const count = make("span", { className: "asyncsim-count" });
  const page = () => model.get("records");
  const before = button("‹ Earlier", () => turn(page().first - page().most));
  const after = button("Later ›", () => turn(page().first + page().most));
  const head = ["serial number", "process", "step", "system", "waiting since"];
  const body = make("tbody");
  const table = make("table", { className: "asyncsim-records" },
    make("caption", { text: "Waiting records" }),
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col", text })))),
    body);

  const newRow = () => {
    const taken = button("", () => pick(taken.textContent),
      { className: "asyncsim-pick", title: "select this number" });
    return make("tr", {}, make("td", {}, taken), ...head.slice(1).map(() => make("td")));
  };
  const draw = () => {
    const { rows, total, first, waiting, like } = page();
    while (body.rows.length < rows.length) body.append(newRow());
    while (body.rows.length > rows.length) body.lastElementChild.remove();
    rows.forEach((cells, k) => {
      const row = body.rows[k];
      row.dataset.number = cells[0];
      setText(row.cells[0].firstElementChild, cells[0]);
      for (let c = 1; c < cells.length; c++) setText(row.cells[c], cells[c]);
    });
    const shown = rows.length ? `${first + 1}–${first + rows.length} of ` : "";
    const fits = like ? ` that match, of ${waiting.toLocaleString("en")}` : "";
    setText(count, `${shown}${total.toLocaleString("en")} waiting${fits}`);
    before.disabled = first === 0;
    after.disabled = first + rows.length >= total;
  };
  follow(model, signal, { records: draw });
  return make("section", { className: "asyncsim-waiting" },
    make("div", { className: "asyncsim-row" }, labelled("find", filter), count,
      make("span", { className: "asyncsim-row" }, before, after)),
    make("div", { className: "asyncsim-scroll", tabIndex: 0, role: "region",
      ariaLabel: "waiting records" }, table));
}

/** Names and values of data fields; a new row opens when the last one is used. */
function fieldsPart() {
  const list = make("div", { className: "asyncsim-fields", role: "group", ariaLabel: "data fields" });
  const problems = { fields: problemOf(list) };
  const add = () => {
    const n = list.children.length + 1;
    const name = make("input", { size: 10, autocomplete: "off", placeholder: "name",
      ariaLabel: `name of data field ${n}` });
    const value = make("input", { size: 12, autocomplete: "off", placeholder: "value",
      ariaLabel: `value of data field ${n}` });
    const row = make("div", { className: "asyncsim-pair", on: { input: () => {
      if (row === list.lastElementChild) add();
    } } }, name, value);
    const [ofName, ofValue] = [problemOf(name), problemOf(value)];
    Object.assign(problems, { [`name ${n}`]: ofName, [`value ${n}`]: ofValue });
    row.append(ofName.line, ofValue.line);
    list.append(row);
  };
  add();
  const read = () =>
    [...list.children].map((row) => [...row.querySelectorAll("input")].map((i) => i.value));
  return { list, read, problems };
}

/** The form: a serial number, data fields, and buttons for actions. */
function formPart(model, signal) {
  const number = make("input", { className: "asyncsim-serial", size: 10, autocomplete: "off",
    spellcheck: false, placeholder: "5_31", on: {
      input: onceQuiet(200, () => model.send({ do: "choose", number: number.value })),
    } });
  const fields = fieldsPart();
  const ofNumber = problemOf(number);
  let asked = false;
  const back = () => {
    number.focus();
    number.select(); // typing replaces it, Enter sends it again
  };
  // The number is part of the message, so that Enter never overtakes the last key
  const ask = (action) => {
    model.send({ do: action, number: number.value, fields: fields.read() });
    asked = true;
    back();
  };
  const form = formWith("asyncsim-form", () => ask("finish"),
    labelled("serial number", number), ofNumber.line,
    make("fieldset", {}, make("legend", { text: "data fields to return" }), fields.list,
      fields.problems.fields.line),
    make("div", { className: "asyncsim-row" },
      make("button", { type: "submit", className: "asyncsim-main", text: "Finish" }),
      button("Retry", () => ask("retry"),
        { title: "enter the step again under a new number, as an operator does" }),
      button("Start instance", () => ask("start"),
        { title: "start an instance of the process with these data fields" })));
  const pick = (text) => {
    number.value = text;
    model.send({ do: "choose", number: text });
    back();
  };
  followProblems(model, signal, () => ({ number: ofNumber, ...fields.problems }));
  follow(model, signal, { problems: () => {
    const wrong = form.querySelector("[aria-invalid]");
    if (wrong && asked && form.contains(document.activeElement)) wrong.focus();
    asked = asked && !wrong;
  } });
  return { form, pick, twinStates: twinStatesPart(model, signal) };
}

/** State of the selected number under each strategy. */
function twinStatesPart(model, signal) {
  const list = make("dl", { className: "asyncsim-beside" });
  follow(model, signal, { twin_states: () => {
    const { number, rows } = model.get("twin_states");
    while (list.children.length < rows.length * 2) list.append(make("dt"), make("dd"));
    while (list.children.length > rows.length * 2) list.lastElementChild.remove();
    rows.forEach(([strategy, words], k) => {
      setText(list.children[2 * k], `${number} under ${strategy}`);
      setText(list.children[2 * k + 1], words);
    });
  } });
  return list;
}

/** Answers, newest first; a screen reader announces new ones. */
function logPart(model, signal) {
  const list = make("ol");
  const log = make("div", { className: "asyncsim-log", role: "log", ariaLabel: "answers",
    tabIndex: 0, "aria-live": "polite" }, list);
  let newest = 0;
  follow(model, signal, { answers: () => {
    const entries = model.get("answers");
    for (const entry of entries.filter(({ key }) => key > newest).reverse()) {
      const kind = KIND[Math.floor(entry.code / 100)];
      list.prepend(make("li", { className: `asyncsim-${kind}` },
        make("span", { className: "asyncsim-mark", "aria-hidden": "true", text: MARK[kind] }), " ",
        make("span", { className: "asyncsim-code", text: String(entry.code) }), " ", entry.words, " ",
        ...(entry.data ? [make("code", { text: entry.data }), " "] : []),
        make("time", { text: entry.at })));
      newest = entry.key;
    }
    while (list.children.length > entries.length) list.lastElementChild.remove();
  } });
  return make("section", { className: "asyncsim-answers" }, make("h4", { text: "Answers" }), log);
}

export default {
  render({ model, el }) {
    const ending = new AbortController();
    const { signal } = ending;
    const { bar, notice } = clockBar(model, signal);
    const { form, pick, twinStates } = formPart(model, signal);
    const root = panelOf("console");
    root.append(bar, notice,
      make("div", { className: "asyncsim-sides" },
        recordsPart(model, signal, pick),
        make("div", { className: "asyncsim-side" }, form, twinStates, logPart(model, signal))));
    el.append(root);
    const seen = acknowledge(model);
    for (const name of ["clock", "records", "answers", "twin_states"]) {
      model.on(`change:${name}`, seen);
      signal.addEventListener("abort", () => model.off(`change:${name}`, seen));
    }
    model.send({ do: "hello" });
    return () => ending.abort();
  },
};
