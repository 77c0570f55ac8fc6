"""Widgets in the narrow cell of a wide window: with the file browser open, or notebooks beside."""

import pytest

SESSION = """
import asyncsim as sim
step = sim.AsyncStep("post to ledger", "ledger")
session = sim.live(
    sim.Scenario(
        name="nightly ledger",
        process=sim.Process("order to cash", [step]),
        systems={"ledger": sim.NightlyBatch("22:00", item_time="1s")},
        arrivals=sim.Regular("1min"),
    ),
    against=sim.Polling("15min"),
    hold=True,
)
session.run_until("12:00")
"""
CELLS = {
    "explorer": "import asyncsim as sim\nsim.explore()",
    "console": SESSION + "session.console()",
    "view": SESSION + "session.view()",
}
OUTSIDE = """(root, width) => {
  root.parentElement.style.width = `${width}px`;
  const right = root.getBoundingClientRect().right;
  const scrolled = (part) => part.closest(".asyncsim-scroll, .asyncsim-hidden, caption");
  return [...root.querySelectorAll("*")]
    .filter((part) => part.getBoundingClientRect().right > right + 1 && !scrolled(part))
    .map((part) => part.outerHTML.slice(0, 120));
}"""


@pytest.mark.parametrize("widget", CELLS)
def test_nothing_sticks_out_of_a_narrow_cell(notebook, widget):
    """What is wider than its cell scrolls within it, and no slider is too short to be moved."""
    book = notebook(CELLS[widget])
    root = book.panel.locator(f".asyncsim-{widget}")
    root.wait_for()
    root.locator("input").first.wait_for()
    if widget == "console":  # with messages at its fields
        root.get_by_label("serial number", exact=True).press("Enter")
        root.get_by_label("run until").press("Enter")
        root.locator("[aria-invalid]").first.wait_for()
    for width in (900, 720, 470, 230):
        assert root.evaluate(OUTSIDE, width) == [], width
        sliders = root.locator("input[type=range]")
        lengths = sliders.evaluate_all("(all) => all.map((one) => one.clientWidth)")
        assert min(lengths, default=100) >= 100, width
