"""What a notebook shows and keeps: objects in words, errors in a line, and no bars."""

import nbformat
import pytest

NotebookClient = pytest.importorskip("nbclient", reason="needs the group dev").NotebookClient

CELLS = {
    "begin": "import asyncsim as sim\nscenario = sim.Scenario.load('example:nightly_ledger')",
    "scenario": "scenario",
    "strategy": "sim.Polling('15min')",
    "session": "session = sim.live(scenario, hold=True)\nsession.run_until('12:00')\nsession",
    "bar": "both = [sim.Callback(), sim.Polling('1h')]\n"
    "found = sim.compare(scenario, both, replications=3)",
    "wrong": "# a comment\nsim.compare(\n    scenario, [sim.Polling('-5min')]\n)",
    "unknown": "session.finish('5000_31')",
    "own": "def half(x):\n    return x / 0\nhalf(1)",
}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The notebook after it has run, and the outputs of its cells by name."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
            patch.setenv(name, str(folder / name.lower()))
        cells = [nbformat.v4.new_code_cell(code) for code in CELLS.values()]
        book = nbformat.v4.new_notebook(cells=cells)
        NotebookClient(book, timeout=300, kernel_name="python3", allow_errors=True).execute()
    return book, {name: cell.outputs for name, cell in zip(CELLS, book.cells, strict=True)}


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("scenario", ["validate", "waits for ledger", "batch at 22:00", "4 workers"]),
        ("strategy", ["checks every 15 min, counted from the arming of the wait"]),
        ("session", ["1_31", "Monday 2026-01-05 12:00:00, paused", "in memory"]),
    ],
)
def test_an_object_shows_itself(notebook, cell, words):
    """As HTML, beside the text."""
    (output,) = notebook[1][cell]
    for word in words:
        assert word in output.data["text/html"]
    assert output.data["text/plain"]


def test_an_error_of_input_shows_the_line_of_the_cell_and_the_message(notebook):
    """Nothing of the package."""
    (output,) = notebook[1]["wrong"]
    assert output.traceback[0].endswith("In[6], line 3")
    assert output.traceback[1] == "---->   3     scenario, [sim.Polling('-5min')]"
    message = "ScenarioError: Polling.interval must be positive, got '-5min'"
    assert output.traceback[-1] == message
    assert len(output.traceback) == 4
    (output,) = notebook[1]["unknown"]
    assert "---->   1 session.finish('5000_31')" in output.traceback
    assert output.traceback[-1].startswith("UnknownSerialNumber: serial number '5000_31'")


def test_other_errors_are_those_of_ipython(notebook):
    """With each frame."""
    (output,) = notebook[1]["own"]
    assert output.ename == "ZeroDivisionError"
    assert "half" in "".join(output.traceback)
    assert "Traceback" in "".join(output.traceback)


def test_a_bar_leaves_nothing(notebook):
    """No text, no picture, and no state of widgets in the notebook's metadata."""
    book, outputs = notebook
    assert all(one.output_type == "display_data" and not one.data for one in outputs["bar"])
    assert "widgets" not in book.metadata
