"""The explorer in a real JupyterLab."""

import pytest

pytestmark = pytest.mark.xdist_group("browser")
CELL = """
import asyncsim as sim
explorer = sim.explore()
explorer
"""


def test_explorer_draws_what_a_slider_says(notebook):
    """A slider moved by keyboard: the picture changes, and so do the figures in the kernel."""
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
    print(
        f"slider to picture at 10,000 instances: median {took[5]:.0f} ms, worst {took[-1]:.0f} ms"
    )
    book.screenshot("moved")
    book.theme(dark=True)
    book.screenshot("dark")
    book.theme(dark=False)
