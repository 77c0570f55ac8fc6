"""The view in a real JupyterLab."""

import pytest

pytestmark = pytest.mark.xdist_group("browser")
SIMPLE = """
import asyncsim as sim
arrivals = sim.Scattered(1000, between=("08:00", "20:00"))
scenario = sim.Scenario.load({path!r}).replace(arrivals=arrivals)
session = sim.live(scenario, against=sim.Polling("15min"), speed=600, seed=1)
session.run_until("19:00")
session.view()
"""
BRANCHES = """
import asyncsim as sim
steps = [
    sim.Step("validate", work=sim.exponential("20s")),
    sim.Choice("known?", [(0.7, [sim.Step("rate")]), (0.3, [sim.AsyncStep("ask", "people")])]),
    sim.Parallel(
        "both",
        [
            [sim.AsyncStep("post", "ledger")],
            [sim.Step("print", work="3s"), sim.AsyncStep("ship", "people", timeout="4h")],
        ],
    ),
    sim.Step("notify"),
]
people = sim.OnlineService(sim.exponential("2h"), lanes=None)
scenario = sim.Scenario(
    name="branches",
    process=sim.Process("order to cash", steps),
    systems={"ledger": sim.NightlyBatch(start="22:00", item_time="150ms"), "people": people},
    arrivals=sim.Poisson("1000/day", between=("08:00", "20:00")),
)
session = sim.live(scenario, against=sim.Polling("15min"), speed=600, seed=1)
session.run_until("15:00")
session.view()
"""
PIXELS = "(canvas) => canvas.toDataURL()"
BLANK = """(canvas) => {
  const empty = document.createElement("canvas");
  [empty.width, empty.height] = [canvas.width, canvas.height];
  return empty.toDataURL();
}"""


def shown(book, cell):
    """Return the view of a notebook with one cell, once it has been drawn."""
    opened = book(cell)
    widget = opened.panel.locator(".asyncsim-view")
    widget.locator("canvas").nth(1).wait_for()
    wait_for_frames(opened, widget, 0)
    return opened, widget


def wait_for_frames(book, widget, more_than):
    script = "([element, n]) => Number(element.dataset.frames ?? 0) > n"
    book.page.wait_for_function(script, arg=[widget.element_handle(), more_than])


def test_view_moves_as_the_clock_runs(notebook, pytestconfig):
    """Something is drawn, and another picture when time has passed; the numbers agree."""
    path = str(pytestconfig.rootpath / "data" / "nightly_ledger.toml")
    book, widget = shown(notebook, SIMPLE.format(path=path))
    canvas = widget.locator("canvas")
    assert canvas.count() == 2
    before = canvas.first.evaluate(PIXELS)
    assert before != canvas.first.evaluate(BLANK)
    book.screenshot("before_batch")
    book.kernel("session.run_until('22:01')")
    waiting = book.kernel("print(*(session.lane(label).waiting for label in session.strategies))")
    for k, number in enumerate(waiting.split()):
        line = widget.locator(".asyncsim-says").nth(k)
        text = f": {int(number):,} waiting"
        book.page.wait_for_function(
            "([element, text]) => element.textContent.includes(text)",
            arg=[line.element_handle(), text],
        )
        assert widget.locator(".asyncsim-places tbody tr").nth(k).locator(
            "td"
        ).first.inner_text() == (f"{int(number):,}")
    assert canvas.first.evaluate(PIXELS) != before
    book.page.wait_for_timeout(800)  # until all have settled, for the picture
    book.screenshot("during_batch")
    assert book.barriers(".asyncsim-view") == []
    widget.get_by_role("button", name="Play").focus()
    book.page.keyboard.press("Space")
    frames = int(widget.get_attribute("data-frames"))
    wait_for_frames(book, widget, frames + 20)
    assert book.kernel("print(session.playing)") == "True"
    widget.get_by_role("button", name="Pause").click()
    book.page.wait_for_timeout(800)  # until all have settled
    frames = int(widget.get_attribute("data-frames"))
    book.theme(dark=True)
    wait_for_frames(book, widget, frames)  # drawn anew in other colours
    book.screenshot("dark")
    assert book.barriers(".asyncsim-view") == []
    book.theme(dark=False)


def test_view_of_choices_and_parallel_branches(notebook):
    """Every place is drawn, and named in the table."""
    book, widget = shown(notebook, BRANCHES)
    names = widget.locator(".asyncsim-places thead th").all_inner_texts()
    assert names == [
        *("strategy", "records that wait", "validate", "rate", "ask", "post", "print", "ship"),
        *("notify", "done", "failed"),
    ]
    book.page.wait_for_timeout(800)  # until all have settled, for the picture
    book.screenshot("branches")
    label = widget.locator("canvas").first.get_attribute("aria-label")
    assert label.startswith("order to cash under callback: ")
