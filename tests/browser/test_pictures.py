"""Pictures in JupyterLab, in a saved notebook, and in its HTML."""

import json

import nbformat
import pytest
from in_browser import running

MAKE = """
import matplotlib.pyplot as plt  # with it, a notebook would show every figure as a PNG, too
import asyncsim as sim

scenario = sim.Scenario.load("example:nightly_ledger")
found = sim.compare(scenario, [sim.Callback(), sim.Polling("15min")], replications=2,
                    progress=False)
found.plot("overhead")
"""
IMAGES = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output img"
SAVE = "window.jupyterapp.commands.execute('docmanager:save')"


def test_a_picture_has_its_text_in_jupyterlab(notebook, lab, page):
    """And its width; the saved notebook has it once, and so has its HTML."""
    opened = notebook(MAKE, "print(found.plot('overhead').alt)")
    image = page.locator(IMAGES)
    image.wait_for(timeout=90_000)  # it imports Matplotlib
    assert image.count() == 1
    alt = image.get_attribute("alt")
    assert alt.startswith("nightly ledger, 2 replications. Requests per wait against")
    assert page.locator("pre", has_text=alt).count() == 1
    assert image.evaluate("(one) => one.naturalWidth") == 850
    assert image.bounding_box()["width"] <= 850
    opened.screenshot("picture")
    page.evaluate(SAVE)
    page.wait_for_timeout(500)
    saved = nbformat.read(lab[1] / f"{opened.name}.ipynb", as_version=4)
    text = json.dumps(saved)
    assert text.count("iVBORw0KGgo") == 1  # how every PNG file begins
    exported = pytest.importorskip("nbconvert").HTMLExporter().from_notebook_node(saved)[0]
    assert exported.count(f'alt="{alt}"') == 1


def test_a_notebook_of_others_shows_its_pictures(browser, lab):
    """JupyterLab sanitises the HTML of a notebook that it does not trust; this is harmless."""
    html = '<img alt="a picture" width="40" src="data:image/png;base64,{}">'
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # noqa: E501
    output = nbformat.v4.new_output("display_data", data={"text/html": html.format(pixel)})
    cell = nbformat.v4.new_code_cell("found.plot()", outputs=[output], execution_count=1)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), lab[1] / "others.ipynb")
    with running(browser[1]):
        page = browser[0].new_page()
        page.goto(f"{lab[0]}/lab/tree/others.ipynb")
        image = page.locator(".jp-OutputArea-output img").first
        image.wait_for(timeout=60_000)
        assert image.get_attribute("alt") == "a picture"
        assert image.evaluate("(one) => one.naturalWidth") == 1
        page.close()
