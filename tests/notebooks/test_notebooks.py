"""Every notebook of the course runs from top to bottom."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    """An empty list would pass every test below."""
    names = {
        "00_start_here",
        "01_quickstart",
        "02_polling_or_callback",
        "03_fire_the_callback",
        "04_when_callbacks_go_wrong",
        "05_nightly_batch_and_the_herd",
        "06_capacity_analysis",
        "08_workshop_capstone",
    }
    assert names <= {path.stem for path in NOTEBOOKS}


# Warnings within a notebook are part of what it shows and stay in its kernel. What is ignored here
# are those of the client itself: sockets and loops that are closed a moment too late.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cell raises, and every code cell was executed."""
    # Settings and sockets of whoever runs the tests are left alone
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # figures are to be drawn as a reader sees them
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()  # raises CellExecutionError, with the cell and its traceback
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.execution_count
            assert not [out for out in cell.outputs if out.output_type == "error"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_short_and_ends_with_exercises(path: Path) -> None:
    """One story in fewer than 15 code cells, with predictions, and something to do at the end."""
    cells = nbformat.read(path, as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert sum(cell.cell_type == "code" for cell in cells) < 15
    assert any("**Predict" in text for text in texts)
    assert "## Exercises" in texts[-1]
    assert cells[-1].cell_type == "markdown"
