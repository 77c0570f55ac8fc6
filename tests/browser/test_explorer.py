"""The explorer in a real JupyterLab."""

import json

import pytest

CELL = """
import asyncsim as sim
explorer = sim.explore()
explorer
"""


def check_losses(book, widget):
    """With 20 % lost the curve ends at 80 %, 95 % are never reached, and losses come first."""
    widget.get_by_label("callbacks lost").press("End")
    first = widget.locator("tbody tr").first
    first.get_by_text(" of ").wait_for()
    assert first.locator("th").inner_text() == "never resumed"
    found = json.loads(
        book.kernel("import json; print(json.dumps(explorer.state['strategies'][0]))")
    )
    share = found["unresumed"] / found["armed"]
    assert 0.18 < share < 0.22
    cell = first.locator("td").first
    assert f"({float(f'{100 * share:.3g}'):g}\u00a0%)" in cell.inner_text()
    colours = [
        one.evaluate("(cell) => getComputedStyle(cell).color") for one in first.locator("td").all()
    ]
    assert colours[0] != colours[1]
    assert widget.locator("tbody tr").nth(1).locator("td").first.inner_text() == "never"
    ends = [
        float(line.get_attribute("points").split()[-1].split(",")[1])
        for line in widget.locator("polyline").all()
    ]
    bottom = float(
        widget.locator("polyline").nth(1).get_attribute("points").split()[0].split(",")[1]
    )
    assert (bottom - ends[0]) / (bottom - ends[1]) == pytest.approx(1 - share, abs=0.01)
    book.screenshot("lost")


def test_explorer_draws_the_setting_of_a_slider(notebook):
    """A slider moved by keyboard changes the picture and the settings in the kernel."""
    book = notebook(CELL)
    widget = book.panel.locator(".asyncsim-explorer")
    widget.wait_for()
    lines = widget.locator("polyline")
    before = lines.nth(1).get_attribute("points")
    volume = widget.get_by_label("instances")
    for _ in range(2):
        volume.press("ArrowRight")
    interval = widget.get_by_label("polling interval")
    interval.press("ArrowRight")
    assert interval.get_attribute("aria-valuetext") == "30 min"
    book.page.wait_for_function(
        "([line, before]) => line.isConnected && line.getAttribute('points') !== before"
        " || !line.isConnected",
        arg=[lines.nth(1).element_handle(), before],
    )
    book.page.wait_for_function(
        "(root) => Number(root.dataset.latencyMs) > 0", arg=widget.element_handle()
    )
    book.page.wait_for_timeout(500)
    assert book.kernel("print(explorer.exploration.settings['interval'])") == "1800"
    assert book.kernel("print(explorer.state['instances'])") == "10000"
    assert lines.nth(1).get_attribute("points") != before
    took = []
    for key in ("ArrowLeft", "ArrowLeft", "ArrowRight", "ArrowRight", "ArrowLeft") * 2:
        widget.evaluate("(root) => { delete root.dataset.latencyMs; }")
        interval.press(key)
        book.page.wait_for_function(
            "(root) => Number(root.dataset.latencyMs) > 0", arg=widget.element_handle()
        )
        took.append(float(widget.get_attribute("data-latency-ms")))
    took.sort()
    check_losses(book, widget)
    print(
        f"slider to picture at 10,000 instances: median {took[5]:.0f} ms, worst {took[-1]:.0f} ms"
    )
    book.screenshot("moved")
    book.theme(dark=True)
    book.screenshot("dark")
    book.theme(dark=False)
