"""Every notebook of the course runs from top to bottom, and its prose agrees with its results."""

import ast
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import nbformat
import prose
import pytest

from asyncsim.exercises.checkers import ChoiceChecker
from asyncsim.exercises.gradebook import chapters

NotebookClient = pytest.importorskip("nbclient", reason="needs the group dev").NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
SOLUTIONS = sorted((FOLDER / "solutions").glob("*.ipynb"))
CHAPTERS = chapters()
CHECKED = re.compile(r'exercises\.check\(\s*"([^"]+)"')
HANDED_IN = """
import json
from importlib import import_module
from asyncsim import exercises
marks = {name: feedback.verdict.mark.value for name, feedback in exercises.given().items()}
"""
SHOWN = """
shown = import_module("asyncsim.exercises.course.nb%s").SHOWN
marks = {**marks, **{name: globals()[name] == value for name, value in shown.items()}}
"""


def names(path: Path) -> list[str]:
    """Return the exercises that a notebook checks, in their order."""
    cells = nbformat.read(path, as_version=4).cells
    return [
        name for cell in cells if cell.cell_type == "code" for name in CHECKED.findall(cell.source)
    ]


def parameters(path: Path) -> int:
    """Return the place of the cell whose values papermill replaces."""
    cells = nbformat.read(path, as_version=4).cells
    (place,) = [k for k, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    return place


def played(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: str, injected: str = ""
) -> dict[str, object]:
    """Run all cells and one more, whose last line of output is returned; no cell may raise.

    What is injected stands in a cell after the parameters, as papermill does it; other values make
    other numbers, so that those of the prose are not checked then.
    """
    # Settings and sockets of the user who runs the tests are left alone
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # figures are to be drawn as a reader sees them
    notebook = nbformat.read(path, as_version=4)
    numbers = [] if injected else prose.markers(notebook)
    if injected:
        notebook.cells.insert(parameters(path) + 1, nbformat.v4.new_code_cell(injected))
    last = f"{ask}\n{prose.questions(numbers, path.stem)}\nprint(json.dumps([marks, answers]))"
    notebook.cells.append(nbformat.v4.new_code_cell(last))
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
    said = "".join(out.text for out in notebook.cells[-1].outputs if out.get("name") == "stdout")
    marks, answers = json.loads(said.splitlines()[-1])
    assert prose.false_ones(numbers, answers) == []
    return marks


def test_there_are_notebooks() -> None:
    """An empty list would pass every test below."""
    stems = {
        "00_start_here",
        "01_quickstart",
        "02_polling_or_callback",
        "03_fire_the_callback",
        "04_when_callbacks_go_wrong",
        "05_nightly_batch_and_the_herd",
        "06_capacity_analysis",
        "07_bring_your_own_log",
        "08_workshop_capstone",
        "09_the_new_nightly_batch",
    }
    assert stems <= {path.stem for path in NOTEBOOKS}
    assert {path.stem for path in SOLUTIONS} == set(CHAPTERS)


# Warnings within a notebook are part of what it shows and stay in its kernel. What is ignored here
# are those of the client itself: sockets and loops that are closed a moment too late.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cell raises, numbers of the prose are true, exercises are open and have the same case."""
    exercises = {exercise.name: "not answered yet" for exercise in CHAPTERS.get(path.stem, ())}
    shown = SHOWN % path.stem if path.stem in CHAPTERS else ""
    marks = played(path, tmp_path, monkeypatch, HANDED_IN + shown)
    assert {name: mark for name, mark in marks.items() if mark is not True} == exercises


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_solution_passes(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every exercise of the notebook is solved, and numbers of the prose are true."""
    marks = played(path, tmp_path, monkeypatch, HANDED_IN)
    assert marks == {exercise.name: "right" for exercise in CHAPTERS[path.stem]}


@pytest.mark.parametrize(
    "path", NOTEBOOKS + SOLUTIONS, ids=lambda path: f"{path.parent.stem[0]}{path.stem}"
)
def test_every_number_in_prose_has_a_marker(path: Path) -> None:
    """In digits or words; what each is held against is evaluated by the tests above."""
    assert prose.misfits(nbformat.read(path, as_version=4)) == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_parameters_stand_near_the_top(path: Path) -> None:
    """One cell of assignments, tagged for papermill, before all other code but imports."""
    cells = nbformat.read(path, as_version=4).cells
    body = ast.parse(cells[parameters(path)].source).body
    assert {type(each) for each in body} == {ast.Assign}
    assert sum(cell.cell_type == "code" for cell in cells[: parameters(path)]) <= 1


@pytest.mark.filterwarnings("ignore")
def test_a_notebook_runs_with_other_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To its end: nothing in it depends on the seed or the number of replications."""
    path = next(path for path in NOTEBOOKS if path.stem.startswith("02"))
    marks = played(path, tmp_path, monkeypatch, HANDED_IN, "seed, replications = 77, 3")
    assert set(marks.values()) == {"not answered yet"}


@pytest.mark.parametrize("paths", [NOTEBOOKS, SOLUTIONS], ids=["course", "solutions"])
def test_every_exercise_stands_once(paths: list[Path]) -> None:
    """Each of the registry is in its own notebook exactly once, and there are no others."""
    there = Counter((path.stem, name) for path in paths for name in names(path))
    registered = [(book, exercise.name) for book, group in CHAPTERS.items() for exercise in group]
    assert there == Counter(registered)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_short_and_ends_with_exercises(path: Path) -> None:
    """One story in fewer than 15 code cells, with predictions, and exercises at the end.

    Pictures are those of the toolkit.
    """
    cells = nbformat.read(path, as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert sum(cell.cell_type == "code" for cell in cells) < 15
    assert any("**Predict" in text for text in texts)
    assert not [c for c in cells if c.cell_type == "code" and "matplotlib" in c.source]
    heading = [k for k, cell in enumerate(cells) if cell.source.startswith("## Exercises")]
    checks = [k for k, cell in enumerate(cells) if "exercises.check(" in cell.source]
    if path.stem in CHAPTERS:
        assert len(heading) == 1
        assert heading[0] < min(checks)
    assert "## Exercises" in "\n".join(texts)
    assert cells[-1].cell_type == "markdown"


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem in CHAPTERS], ids=lambda p: p.stem)
def test_choices_stand_before_their_check(path: Path) -> None:
    """The statements in the notebook are those of the checker."""
    cells = nbformat.read(path, as_version=4).cells
    task = {
        name: before.source
        for before, cell in pairwise(cells)
        for name in CHECKED.findall(cell.source)
        if cell.cell_type == "code"
    }
    for exercise in CHAPTERS[path.stem]:
        if isinstance(exercise.checker, ChoiceChecker):
            for letter, option in exercise.checker.options.items():
                assert f"* ({letter}) {option.statement}" in task[exercise.name]
