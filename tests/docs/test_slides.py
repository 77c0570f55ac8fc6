"""Slides of the notebooks: questions before answers, and nothing from outside."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("make_slides", ROOT / "docs" / "make_slides.py")
make_slides = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_slides)
NOTEBOOKS = make_slides.course(ROOT / "notebooks")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_prediction_is_asked_for_before_its_answer_is_seen(path):
    """Every prediction is a separate step, and code is never on the slide of a heading."""
    cells = make_slides.sliced(nbformat.read(path, as_version=4)).cells
    kinds = [cell.metadata.slideshow.slide_type for cell in cells]
    assert kinds[0] == "slide"
    for cell, kind in zip(cells, kinds, strict=True):
        assert cell.source.count("**Predict.**") <= 1
        if "**Predict.**" in cell.source:
            assert cell.source.startswith("> **Predict.**")
            assert kind in ("fragment", "subslide")
        if cell.cell_type == "code":
            assert kind == "subslide"


@pytest.mark.parametrize(
    ("source", "data", "slides"),
    [
        ("comparison", {"text/html": "<div><table></table></div>"}, 2),
        ("figure", {"image/png": ""}, 1),
        ("pass\n" * 10 + "figure", {"image/png": ""}, 2),
        ("pass\n" * 10 + "pass", None, 1),
    ],
)
def test_a_table_and_what_long_code_shows_have_a_slide_of_their_own(source, data, slides):
    """On one slide with long code they would be cut off."""
    outputs = [nbformat.v4.new_output("execute_result", data)] if data else []
    cell = nbformat.v4.new_code_cell(source, outputs=outputs)
    cells = make_slides.sliced(nbformat.v4.new_notebook(cells=[cell])).cells
    assert [part.metadata.slideshow.slide_type for part in cells] == ["subslide"] * slides
    assert "".join(part.source for part in cells) == source
    assert [bool(part.outputs) for part in cells] == [False] * (slides - 1) + [bool(data)]


def test_a_table_on_its_own_slide_does_not_repeat_its_code(tmp_path):
    """The slide holds the table, and no empty code box."""
    table = {"text/html": "<table><td>12345</td></table>"}
    output = nbformat.v4.new_output("execute_result", table)
    cell = nbformat.v4.new_code_cell("comparison", outputs=[output])
    path = tmp_path / "one.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    text = make_slides.slides(path, tmp_path, False).read_text(encoding="utf-8")
    (shown,) = [section for section in text.split("<section")[1:] if "12345" in section]
    assert "<pre>" not in shown
    assert "<pre>" in text


def test_a_notebook_without_a_number_is_not_part_of_the_course(tmp_path):
    """JupyterLab opens in notebooks/, so readers create their own there."""
    for name in ("00_start_here.ipynb", "Untitled.ipynb", "08_workshop_capstone.ipynb"):
        (tmp_path / name).touch()
    found = [path.stem for path in make_slides.course(tmp_path)]
    assert found == ["00_start_here", "08_workshop_capstone"]


def test_a_picture_has_its_own_slide_and_needs_no_file_beside_it(tmp_path):
    """The slides lie in another folder than the notebook."""
    path = ROOT / "notebooks" / "00_start_here.ipynb"
    text = make_slides.slides(path, tmp_path, run=False).read_text(encoding="utf-8")
    (shown,) = [part for part in text.split("<section")[1:] if "data:image/svg+xml" in part]
    assert "<h1" not in shown
    assert "idea.svg" not in text


def test_nothing_of_the_text_is_lost():
    """All words of the notebook are on some slide; formulas are MathML."""
    path = ROOT / "notebooks" / "02_polling_or_callback.ipynb"
    notebook = nbformat.read(path, as_version=4)
    before = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    cells = make_slides.sliced(notebook).cells
    after = [cell.source for cell in cells if cell.cell_type == "markdown"]
    without = re.compile(r"\$[^$\n]+\$|<math.*?</math>", flags=re.DOTALL)
    one, two = (re.sub(r"\s+", " ", without.sub("", " ".join(texts))) for texts in (before, after))
    assert one.strip() == two.strip()
    assert "<math" in " ".join(after)


def test_slides_need_nothing_from_outside(tmp_path):
    """No script, style, font or picture comes from the internet; reveal.js is included."""
    make_slides.with_reveal(tmp_path)
    page = make_slides.slides(ROOT / "notebooks" / "02_polling_or_callback.ipynb", tmp_path, False)
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?(?:https?:)?//", text)
    assert not re.findall(r"(?:import|url\()\s*[\"']?https?://", text)
    for name in re.findall(r"(?:src|href)=\"(reveal/[^\"]+)\"", text):
        assert (tmp_path / name).exists(), name
        assert "googleapis" not in (tmp_path / name).read_text(encoding="utf-8")
    assert text.count("<section") > 20
