"""The view in a real JupyterLab."""

import pytest

pytestmark = pytest.mark.xdist_group("browser")
CELL = """
import asyncsim as sim
arrivals = sim.Scattered(1000, between=("08:00", "20:00"))
scenario = sim.Scenario.load({path!r}).replace(arrivals=arrivals)
session = sim.live(scenario, against=sim.Polling("15min"), speed=600, seed=1)
session.run_until("19:00")
session.view()
"""


def test_view_moves_as_the_clock_runs(notebook, pytestconfig):
    """Something is drawn, and another picture when time has passed; the numbers agree."""
    book = notebook(CELL.format(path=str(pytestconfig.rootpath / "data" / "nightly_ledger.toml")))
    widget = book.panel.locator(".asyncsim-view")
    widget.wait_for()
    canvas = widget.locator("canvas")
    assert canvas.count() == 2
    book.page.wait_for_timeout(1500)
    before = canvas.first.evaluate("(canvas) => canvas.toDataURL()")
    blank = canvas.first.evaluate(
        "(c) => { const e = document.createElement('canvas'); e.width = c.width;"
        " e.height = c.height; return e.toDataURL(); }"
    )
    assert before != blank
    book.screenshot("before_batch")
    book.kernel("session.run_until('22:01')")
    book.page.wait_for_timeout(1500)
    assert canvas.first.evaluate("(canvas) => canvas.toDataURL()") != before
    said = widget.locator(".asyncsim-says").all_inner_texts()
    waiting = book.kernel("print(*(session.lane(label).waiting for label in session.strategies))")
    for text, number in zip(said, waiting.split(), strict=True):
        assert f": {int(number):,} waiting" in text
    book.screenshot("during_batch")
    widget.get_by_role("button", name="Play").click()
    frames = int(widget.get_attribute("data-frames"))
    book.page.wait_for_timeout(2000)
    drawn = int(widget.get_attribute("data-frames")) - frames
    assert drawn > 5
    print(f"{drawn / 2:.0f} frames a second while the clock runs, 1,000 instances")
    widget.get_by_role("button", name="Pause").click()
    book.theme(dark=True)
    book.screenshot("dark")
    book.theme(dark=False)
