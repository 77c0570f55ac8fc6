// Shared by all widgets: making elements in one line. All of them are native elements, which
// keyboards and screen readers can handle.

function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "on") {
      for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    } else if (name === "text") {
      element.textContent = value;
    } else if (name in element && name !== "list") {
      element[name] = value;
    } else {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// The outermost element of a widget. It keeps keys to itself: JupyterLab would treat the arrow keys
// of a slider, and letters typed on a button, as its own shortcuts.
function panelOf(name) {
  const own = (event) => event.stopPropagation();
  return make("div", { className: `asyncsim asyncsim-${name}`, on: { keydown: own },
    "data-lm-suppress-shortcuts": "true" });
}

function button(text, act, options = {}) {
  return make("button", { type: "button", text, on: { click: act }, ...options });
}

let count = 0;

function withId(element) {
  element.id ||= `asyncsim-${Date.now().toString(36)}-${(count += 1)}`;
  return element;
}

function labelled(text, input) {
  const { id } = withId(input);
  return make("span", { className: "asyncsim-field" }, make("label", { htmlFor: id, text }), input);
}

/** The line that shows the problem of a field; typing in the field clears it. */
function problemOf(field) {
  const line = withId(make("span", { className: "asyncsim-problem", "aria-live": "polite" }));
  const show = (text = "") => {
    setText(line, text);
    if (text) {
      field.setAttribute("aria-describedby", line.id);
      if (field.matches("input, select")) field.setAttribute("aria-invalid", "true");
    } else {
      field.removeAttribute("aria-describedby");
      field.removeAttribute("aria-invalid");
    }
  };
  field.addEventListener("input", () => show());
  show();
  return { line, show };
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
