// What the widgets of a live session share: making elements, and the clock's controls.

/** Make an element: properties first, then children (elements or text). */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A label with its control inside, so that neither needs an id. */
function labelled(text, control) {
  return make("label", {}, make("span", {}, text), control);
}

/** Change text only where it differs: a page that stands still is not touched. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Call a function once things have been quiet for a while. */
function onceQuiet(milliseconds, call) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), milliseconds);
  };
}

/** Tell the kernel that a picture has been shown, at most once per frame. */
function acknowledge(model) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      model.send({ do: "seen" });
    });
  };
}

/** Make the element ours: our look, and keys that a notebook around it does not take away. */
function makeOurs(el, name) {
  el.classList.add("as-widget", name);
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take Enter as "edit the cell"
}

/** A form in which Enter in any field submits, also where a notebook keeps browsers from it. */
function formWith(className, submit, ...children) {
  return make("form", { className, onsubmit: (event) => {
    event.preventDefault();
    submit();
  }, onkeydown: (event) => {
    if (event.key !== "Enter" || event.isComposing || event.target.tagName !== "INPUT") return;
    event.preventDefault();
    submit();
  } }, ...children);
}

/** Call functions when traits change, and now, until the signal. */
function follow(model, signal, handlers) {
  for (const [name, handler] of Object.entries(handlers)) {
    model.on(`change:${name}`, handler);
    signal.addEventListener("abort", () => model.off(`change:${name}`, handler));
    handler();
  }
}

function speedText(speed) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const [size, unit] = units.find(([seconds]) => speed >= seconds) ?? [1, "s"];
  return `1 s shows ${+(speed / size).toPrecision(4)} ${unit}`;
}

/** The present moment, play and pause, speed, step, to a clock time, to the next batch. */
function clockBar(model, signal) {
  const ask = (deed, more = {}) => model.send({ do: deed, ...more });
  const at = make("output", { className: "as-at", ariaLabel: "Present moment" });
  const play = make("button", { type: "button", className: "as-play as-main",
    onclick: () => ask(model.get("clock").playing ? "pause" : "play") });
  const speed = make("select", { className: "as-speed",
    onchange: () => ask("speed", { speed: Number(speed.value) }) });
  const step = make("button", { type: "button", className: "as-step", onclick: () => ask("step"),
    title: "Play the next instant at which anything happens" }, "Step");
  const moment = make("input", { className: "as-moment", size: 9, placeholder: "22:00",
    autocomplete: "off", title: "A clock time, or a date and time: 2026-01-06 07:00" });
  const until = formWith("as-until", () => ask("until", { moment: moment.value }),
    labelled("To", moment), make("button", { type: "submit" }, "Go"));
  const batch = make("button", { type: "button", className: "as-batch",
    title: "Play up to a second before the next batch begins",
    onclick: () => ask("batch") }, "To the next batch");
  const notice = make("p", { className: "as-notice", role: "status" });

  follow(model, signal, {
    choices: () => {
      const { speeds, batch: has } = model.get("choices");
      speed.replaceChildren(...speeds.map((s) => make("option", { value: s }, speedText(s))));
      batch.hidden = !has;
    },
    clock: () => {
      const { at: now, playing, speed: current } = model.get("clock");
      write(at, now);
      write(play, playing ? "❚❚ Pause" : "▶ Play");
      if (![...speed.options].some((option) => Number(option.value) === current))
        speed.append(make("option", { value: current }, speedText(current)));
      if (document.activeElement !== speed) speed.value = String(current);
      play.parentElement?.classList.toggle("as-playing", playing);
    },
    notice: () => write(notice, model.get("notice")),
  });
  const bar = make("div", { className: "as-clock", role: "group", ariaLabel: "Clock" },
    at, play, labelled("Speed", speed), step, until, batch);
  return { bar, notice };
}
