"""Sphinx settings of the site; run by ``make docs``, without internet.

The source is the repository itself: README is the first page, notebooks stay where they are.
"""

from __future__ import annotations

import logging
import shutil
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from myst_nb.core.execute import direct
from sphinx.application import Sphinx
from sphinx.domains.python import PyXRefRole

import asyncsim

WIDGET = "application/vnd.jupyter.widget-view+json"

project = "asyncsim"
author = "the authors of asyncsim"
release = version = metadata.version("asyncsim")
language = "en"

root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "notebooks/[0-9][0-9]_*.ipynb"]
exclude_patterns = [".venv", "out", "asyncsim", "tests", "data", "**/.ipynb_checkpoints"]
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "myst_nb"]

# --- docstrings ---------------------------------------------------------------------------------
default_role = "name"
add_module_names = False
maximum_signature_line_length = 88
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # parameters are described in words; signatures have defaults
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_attr_annotations = False  # stored are seconds, accepted is "15min"
napoleon_custom_sections = [("Attributes", "params_style")]  # a list, not entries of their own
napoleon_use_rtype = False
viewcode_line_numbers = True

# --- pages that run -----------------------------------------------------------------------------
nb_execution_mode = "force"  # a cache would not notice that asyncsim has changed
# tests/notebooks and tests/docs/test_situations.py run these
other_tests_run = ["notebooks/*", "docs/situations.md"]
nb_execution_excludepatterns = other_tests_run if tags.has("quick") else []  # noqa: F821
nb_execution_timeout = 300
# Without this the client logs each page, and its kernel warns about unencrypted connections
logging.getLogger("traitlets").setLevel(logging.WARNING)
direct.single_nb_execution = partial(
    direct.single_nb_execution, extra_arguments=["--IPKernelApp.log_level=ERROR"]
)
nb_execution_show_tb = True  # the cell and its error; make docs fails on a warning
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # scripts from a CDN; see `stand_in`
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_update_mathjax = False

# --- appearance ---------------------------------------------------------------------------------
html_theme = "furo"
html_title = "asyncsim"
html_show_copyright = False
html_math_renderer = "mathml"
html_show_search_summary = False  # browsers refuse to fetch it from disk
html_copy_source = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"


class Name(PyXRefRole):
    """Text in `single backticks`: a link if it is a public name, otherwise code.

    Sphinx's own role would link a parameter to any attribute of the same name.
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the link, or the code."""
        if self.text.split(".")[0] not in ("asyncsim", *asyncsim.__all__):
            return [nodes.literal(self.rawtext, self.text)], []
        self.name = "py:obj"
        return super().run()


PAGES = """
```{toctree}
:hidden:
:caption: Manual

docs/scenario_files
docs/command_line
docs/numbers
docs/capacity
docs/logs
docs/rest
docs/reliability
docs/speed
```

```{toctree}
:hidden:
:caption: Background

docs/how_the_engines_work
docs/claims
docs/situations
docs/facilitator
docs/in_the_browser
docs/glossary
CHANGELOG
ARCHITECTURE
CONTRIBUTING
SECURITY
```

```{toctree}
:hidden:
:caption: Notebooks
:glob:

notebooks/[0-9][0-9]_*
```

```{toctree}
:hidden:
:caption: Names

docs/api/index
```
"""


def pages(app: Sphinx, name: str, source: list[str]) -> None:
    """Print the page that is read, and attach all others below README."""
    print(f"reading {name}", flush=True)
    if name == root_doc:
        source[0] += PAGES


def formula(writer: Any, node: nodes.math) -> None:
    """Write a formula as MathML, which browsers draw without a script; MathJax is one."""
    writer.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def stand_in(app: Sphinx, doctree: nodes.document) -> None:
    """Replace each widget, which needs a kernel, by a sentence, and give pictures an alt text.

    Progress bars are removed.
    """
    for bundle in list(doctree.findall(lambda node: is_a(node, "mime_bundle"))):
        for shown in [part for part in bundle.children if part["mime_type"] == WIDGET]:
            if "%|" in bundle.astext():
                bundle.parent.remove(bundle)
            else:
                text = "JupyterLab (make lab) shows a widget here; it needs a running kernel."
                shown.children = [nodes.note("", nodes.paragraph("", text))]
    for section in doctree.findall(nodes.section):
        for cell in (part for part in section.children if is_a(part, "cell_code")):
            for image in cell.findall(nodes.image):
                title = section.next_node(nodes.title).astext()
                image.setdefault("alt", f"Picture of “{title}”, drawn by the code above it")


def is_a(node: nodes.Node, kind: str) -> bool:
    """Return whether MyST-NB made a node of this kind."""
    return isinstance(node, nodes.container) and node.get("nb_element") == kind


def first_page(app: Sphinx, problem: Exception | None) -> None:
    """Copy the first page to index.html."""
    if problem is None and app.builder.format == "html":
        shutil.copy(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the functions above."""
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    app.add_role("name", Name())
    app.connect("source-read", pages)
    app.connect("doctree-read", stand_in)
    app.connect("build-finished", first_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
