// The console: records that wait, a form that finishes them, and a log of the answers.

const KIND = { 2: "ok", 4: "refused" };
const MARK = { ok: "✓", refused: "✗" };

/** The table of waiting records, one page of it, and what turns the pages. */
function recordsPart(model, signal, pick) {
  const turn = (first) => model.send({ do: "turn", like: filter.value, first });
  const filter = make("input", { type: "search", className: "as-filter", size: 14,
    placeholder: "number, step or system", oninput: onceQuiet(150, () => turn(0)) });
  const count = make("span", { className: "as-count" });
  const page = () => model.get("records");
  const before = make("button", { type: "button", className: "as-before",
    onclick: () => turn(page().first - page().most) }, "‹ Previous");
  const after = make("button", { type: "button", className: "as-after",
    onclick: () => turn(page().first + page().most) }, "Next ›");
  const head = ["Serial number", "Process", "Step", "System", "Waiting since"];
  const body = make("tbody");
  const table = make("table", { className: "as-records" },
    make("caption", {}, "Records that wait"),
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    body);

  const newRow = () => {
    const button = make("button", { type: "button", className: "as-number",
      onclick: () => pick(button.textContent) });
    return make("tr", {}, make("td", {}, button), ...head.slice(1).map(() => make("td")));
  };
  const draw = () => {
    const { rows, total, first, waiting, like } = page();
    while (body.rows.length < rows.length) body.append(newRow());
    while (body.rows.length > rows.length) body.lastElementChild.remove();
    rows.forEach((cells, k) => {
      const row = body.rows[k];
      write(row.cells[0].firstElementChild, cells[0]);
      for (let c = 1; c < cells.length; c++) write(row.cells[c], cells[c]);
    });
    const shown = rows.length ? `${first + 1}–${first + rows.length} of ` : "";
    const fits = like ? ` that fit, ${waiting.toLocaleString("en")} in all` : "";
    write(count, `${shown}${total.toLocaleString("en")} waiting${fits}`);
    before.disabled = first === 0;
    after.disabled = first + rows.length >= total;
  };
  follow(model, signal, { records: draw });
  return make("section", { className: "as-waiting" },
    make("div", { className: "as-row" }, labelled("Find", filter), count, before, after),
    make("div", { className: "as-scroll", tabIndex: 0, role: "region",
      ariaLabel: "Records that wait" }, table));
}

/** Names and values of data fields; a new row opens when the last one is used. */
function fieldsPart() {
  const list = make("div", { className: "as-fields", role: "group", ariaLabel: "Data fields" });
  const add = () => {
    const name = make("input", { className: "as-field", size: 10, autocomplete: "off",
      placeholder: "name", ariaLabel: "Name of a data field" });
    const value = make("input", { className: "as-value", size: 12, autocomplete: "off",
      placeholder: "value", ariaLabel: "Value of the data field" });
    const row = make("div", { className: "as-pair", oninput: () => {
      if (row === list.lastElementChild) add();
    } }, name, value);
    list.append(row);
  };
  add();
  const read = () =>
    [...list.children].map((row) => [...row.querySelectorAll("input")].map((i) => i.value));
  return { list, read };
}

/** The form: a number, data fields, and what can be done with them. */
function formPart(model, signal) {
  const number = make("input", { className: "as-serial", size: 10, autocomplete: "off",
    spellcheck: false, placeholder: "5_31",
    oninput: onceQuiet(200, () => model.send({ do: "choose", number: number.value })) });
  const fields = fieldsPart();
  const back = () => {
    number.focus();
    number.select(); // typing replaces it, Enter sends it once more
  };
  // The number goes with the message: no key can be overtaken by the Enter after it
  const ask = (deed) => {
    model.send({ do: deed, number: number.value, fields: fields.read() });
    back();
  };
  const form = formWith("as-form", () => ask("finish"),
    labelled("Serial number", number),
    make("fieldset", {}, make("legend", {}, "Data fields handed back"), fields.list),
    make("div", { className: "as-row" },
    make("button", { type: "submit", className: "as-finish as-main" }, "Finish"),
    make("button", { type: "button", className: "as-retry", onclick: () => ask("retry"),
      title: "As an operator does: the step is entered once more, under a new number" },
    "Try again"),
    make("button", { type: "button", className: "as-start", onclick: () => ask("start"),
      title: "Start an instance of the process, with these data fields" }, "Start instance")));
  const pick = (text) => {
    number.value = text;
    model.send({ do: "choose", number: text });
    back();
  };
  return { form, pick, fates: fatesPart(model, signal) };
}

/** How the chosen number stands under each strategy. */
function fatesPart(model, signal) {
  const list = make("dl", { className: "as-fates" });
  follow(model, signal, { fates: () => {
    const { number, rows } = model.get("fates");
    while (list.children.length < rows.length * 2) list.append(make("dt"), make("dd"));
    while (list.children.length > rows.length * 2) list.lastElementChild.remove();
    rows.forEach(([strategy, words], k) => {
      write(list.children[2 * k], `${number} under ${strategy}`);
      write(list.children[2 * k + 1], words);
    });
  } });
  return list;
}

/** Answers, the latest on top; a screen reader reads those that come in. */
function logPart(model, signal) {
  const list = make("ol", { className: "as-log", role: "log", ariaLabel: "Answers",
    tabIndex: 0 });
  list.setAttribute("aria-live", "polite");
  let newest = 0;
  follow(model, signal, { answers: () => {
    const entries = model.get("answers");
    for (const entry of entries.filter(({ key }) => key > newest).reverse()) {
      const kind = KIND[Math.floor(entry.code / 100)];
      list.prepend(make("li", { className: `as-${kind}` },
        make("span", { className: "as-code" }, `${MARK[kind]} ${entry.code}`), " ",
        make("span", { className: "as-words" }, entry.words), " ",
        ...(entry.data ? [make("code", {}, entry.data), " "] : []),
        make("time", {}, entry.at)));
      newest = entry.key;
    }
    while (list.children.length > entries.length) list.lastElementChild.remove();
  } });
  return make("section", { className: "as-answers" }, make("h4", {}, "Answers"), list);
}

export default {
  render({ model, el }) {
    const ending = new AbortController();
    const { signal } = ending;
    const { bar, notice } = clockBar(model, signal);
    const { form, pick, fates } = formPart(model, signal);
    makeOurs(el, "as-console");
    el.append(bar, notice,
      make("div", { className: "as-columns" },
        recordsPart(model, signal, pick),
        make("div", { className: "as-side" }, form, fates, logPart(model, signal))));
    const seen = acknowledge(model);
    for (const name of ["clock", "records", "answers", "fates"]) {
      model.on(`change:${name}`, seen);
      signal.addEventListener("abort", () => model.off(`change:${name}`, seen));
    }
    model.send({ do: "hello" });
    return () => ending.abort();
  },
};
