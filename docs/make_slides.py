"""Make slides of the notebooks: ``make slides``, into ``out/slides/``.

A heading begins a slide; a prediction, a cell, its table and the text about it come below, one
after the other, so that the question appears before the answer. reveal.js comes from the package
sphinx-revealjs and formulas become MathML: the slides load nothing from the internet.
"""

from __future__ import annotations

import argparse
import re
import shutil
from importlib import resources
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from nbclient import NotebookClient
from nbconvert import SlidesExporter
from nbformat import NotebookNode

ROOT = Path(__file__).parent.parent
TEMPLATES = Path(__file__).parent
PARTS = re.compile(r"\n(?=#{1,3} |> \*\*Predict|!\[)|(?<=[.:])\n\n(?=\|)|(?<=\.svg\))\n")
"""Where parts begin: headings, predictions, pictures and what follows them, tables in a text."""
MOST_LINES = 6
"""Longer code leaves no room for its output."""
WIDGET = "application/vnd.jupyter.widget-view+json"
"""Left out: progress bars are complete, and a console needs its notebook."""
FORMULA = re.compile(r"\$([^$\n]+)\$")


def sliced(notebook: NotebookNode) -> NotebookNode:
    """Return the notebook cut into slides."""
    cells = []
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            cells += [_placed(part, "subslide") for part in _code_and_shown(cell)]
            continue
        for k, part in enumerate(PARTS.split(cell.source)):
            text = FORMULA.sub(lambda found: convert(found[1]), part.strip())
            heading = text.startswith("#")
            below = k > 0 and text.startswith(">")  # a question comes below its own heading only
            kind = "slide" if heading else "fragment" if below else "subslide"
            cells.append(_placed(nbformat.v4.new_markdown_cell(text), kind))
    metadata = {key: value for key, value in notebook.metadata.items() if key != "widgets"}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def _code_and_shown(cell: NotebookNode) -> list[NotebookNode]:
    """Return a cell; or two if its output is a table, or does not fit below its code."""
    cell["outputs"] = [shown for shown in cell.outputs if WIDGET not in shown.get("data", {})]
    table = any("<table" in shown.get("data", {}).get("text/html", "") for shown in cell.outputs)
    if not table and (not cell.outputs or cell.source.count("\n") < MOST_LINES):
        return [cell]
    shown = nbformat.v4.new_code_cell(outputs=cell.outputs)
    shown.metadata["transient"] = {"remove_source": True}
    cell["outputs"] = []
    return [cell, shown]


def _placed(cell: NotebookNode, kind: str) -> NotebookNode:
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


def slides(path: Path, folder: Path, run: bool = True) -> Path:
    """Write the slides of one notebook; with `run`, with the output of its cells."""
    notebook = nbformat.read(path, as_version=4)
    if run:
        where = {"metadata": {"path": str(path.parent)}}
        quiet = ["--IPKernelApp.log_level=ERROR"]  # no warning about encryption
        NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            resources=where,
            extra_arguments=quiet,
        ).execute()
    exporter = SlidesExporter(
        template_name="slides_template", extra_template_basedirs=[str(TEMPLATES)]
    )
    exporter.embed_images = True  # the slides lie in another folder than the notebook's pictures
    exporter.reveal_url_prefix = "reveal"
    exporter.reveal_theme = "white"  # its fonts are in the package; other themes load theirs
    page, _ = exporter.from_notebook_node(
        sliced(notebook), {"metadata": {"name": path.stem, "path": str(path.parent)}}
    )
    target = folder / f"{path.stem}.html"
    target.write_text(page, encoding="utf-8")
    return target


def course(folder: Path) -> list[Path]:
    """Return the notebooks of the course, whose names begin with a number."""
    return sorted(folder.glob("[0-9][0-9]_*.ipynb"))


def with_reveal(folder: Path) -> None:
    """Copy reveal.js beside the slides."""
    found = resources.files("sphinx_revealjs") / "_static" / "revealjs"
    with resources.as_file(found) as source:
        for name in ("dist", "plugin/notes", "LICENSE"):
            place = folder / "reveal" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if (source / name).is_dir():
                shutil.copytree(source / name, place, dirs_exist_ok=True)
            else:
                shutil.copy(source / name, place)


def main() -> None:
    """Make slides of all notebooks, or of those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "slides")
    parser.add_argument("--no-run", action="store_true", help="without the output of the cells")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with_reveal(arguments.out)
    for path in arguments.notebooks:
        if not path.is_file():
            parser.error(f"{path} is not a file; give paths such as notebooks/00_start_here.ipynb")
    paths = arguments.notebooks or course(ROOT / "notebooks")
    for path in paths:
        print(f"slides of {path.stem}", flush=True)
        slides(path, arguments.out, run=not arguments.no_run)
    print(f"slides: {arguments.out}")


if __name__ == "__main__":
    main()
