// Shared by the widgets of a live session: following traits, and the controls of the clock.

/** Call a function after a pause without further calls. */
function onceQuiet(milliseconds, call) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), milliseconds);
  };
}

/** Acknowledge updates to the kernel, at most once per frame. */
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

/** A form in which Enter in any field submits, even where a notebook intercepts the key. */
function formWith(className, submit, ...children) {
  const send = (event) => {
    event.preventDefault();
    submit();
  };
  return make("form", { className, on: {
    submit: send,
    keydown: (event) => {
      if (event.key === "Enter" && !event.isComposing && event.target.tagName === "INPUT") send(event);
    },
  } }, ...children);
}

/** Call functions now, and whenever their traits change, until the signal. */
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

/** Show problems at their fields; `fields` returns the fields by name. */
function followProblems(model, signal, fields) {
  follow(model, signal, { problems: () => {
    const problems = model.get("problems") ?? {};
    for (const [name, { show }] of Object.entries(fields())) show(problems[name]);
  } });
}

/** Controls of the clock: play and pause, speed, step, to a time, to the next batch. */
function clockBar(model, signal) {
  const ask = (action, more = {}) => model.send({ do: action, ...more });
  const title = make("strong");
  const at = make("output", { className: "asyncsim-now", ariaLabel: "present moment" });
  const play = button("▶ Play", () => ask(model.get("clock").playing ? "pause" : "play"),
    { className: "asyncsim-play asyncsim-main" });
  const speed = make("select", {
    on: { change: () => ask("speed", { speed: Number(speed.value) }) } });
  const step = button("Step", () => ask("step"),
    { title: "advance to the next event" });
  const moment = make("input", { size: 9, placeholder: "22:00", autocomplete: "off",
    title: "a clock time, or a date and time: 2026-01-06 07:00" });
  const problems = { moment: problemOf(moment), speed: problemOf(speed) };
  const until = formWith("asyncsim-until", () => ask("until", { moment: moment.value }),
    labelled("run until", moment), make("button", { type: "submit", text: "Go" }),
    problems.moment.line);
  const batch = button("To next batch", () => ask("batch"),
    { title: "advance to one second before the next batch starts" });
  const notice = make("p", { className: "asyncsim-notice", role: "status" });

  follow(model, signal, {
    choices: () => {
      const { scenario, speeds, batch: has } = model.get("choices");
      setText(title, scenario);
      speed.replaceChildren(...speeds.map((s) => make("option", { value: s, text: speedText(s) })));
      batch.hidden = !has;
    },
    clock: () => {
      const { at: now, playing, speed: current } = model.get("clock");
      setText(at, now);
      setText(play, playing ? "❚❚ Pause" : "▶ Play");
      if (![...speed.options].some((option) => Number(option.value) === current))
        speed.append(make("option", { value: current, text: speedText(current) }));
      if (document.activeElement !== speed) speed.value = String(current);
    },
    notice: () => setText(notice, model.get("notice")),
  });
  const bar = make("div", { className: "asyncsim-bar asyncsim-clock", role: "group",
    ariaLabel: "clock" }, title, at, play, labelled("speed", speed),
    problems.speed.line, step, batch, until);
  followProblems(model, signal, () => problems);
  return { bar, notice };
}
