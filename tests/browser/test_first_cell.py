"""The first cell after an installation: a bar that moves, and nothing of it in a saved notebook."""

import pytest

CELL = """
import os, tempfile
os.environ.setdefault("NUMBA_CACHE_DIR", tempfile.mkdtemp())  # as after an installation
import asyncsim as sim
from asyncsim.fast import background_compilation
background_compilation.CHILD = "import time; time.sleep(30)"  # in place of compiling
scenario = sim.Scenario(
    name="nightly ledger",
    process=sim.Process("order to cash", [sim.AsyncStep("post", "ledger")]),
    systems={"ledger": sim.NightlyBatch("22:00", item_time="150ms")},
    arrivals=sim.UniformArrivals(300, between=("08:00", "20:00")),
)
strategies = [sim.Callback("50ms"), sim.LongPolling("1min")]
comparison = sim.compare(scenario, strategies, replications=6)
"""
RUN = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
OUTPUTS = """() => window.jupyterapp.shell.currentWidget.context.model.toJSON().cells
  .flatMap((cell) => cell.outputs)"""


def test_the_first_comparison_shows_what_goes_on_and_leaves_nothing(notebook):
    """The bar moves while kernels are compiled, says so, and is gone in the end; nothing is red."""
    pytest.importorskip("numba")
    book = notebook(CELL, fresh=True)
    book.page.evaluate(RUN)
    bar = book.panel.locator(".jp-OutputArea-output", has_text="compiling the kernels")
    bar.wait_for(timeout=60_000)
    book.screenshot("bar")
    book.kernel("print(len(comparison.strategies))")  # waits for the cell
    bar.wait_for(state="detached")
    assert book.panel.locator("[data-mime-type*=stderr]").count() == 0
    book.screenshot("after")
    assert [output.get("data") for output in book.page.evaluate(OUTPUTS)] in ([], [{}])
