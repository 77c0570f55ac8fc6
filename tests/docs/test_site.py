"""The documentation site: it builds without a warning, is complete, and needs no internet."""

import asyncio
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import asyncsim as sim

pytest.importorskip("sphinx", reason="needs the group docs")
pytest.importorskip("myst_nb", reason="needs the group docs")

from sphinx.config import eval_config_file
from sphinx.project import Project
from sphinx.util.tags import Tags

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
GLOSSARY = ROOT / "docs" / "glossary.md"
LOADS = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "use": ("href",),
}
"""Attributes that a browser fetches, by tag; also `link`, unless it only names a relation."""
ONLY_NAMES = {"next", "prev", "index", "search", "canonical", "author", "copyright"}


class Page(HTMLParser):
    """Contents of a page: anchors, links, loaded files and pictures."""

    def __init__(self, path):
        super().__init__()
        self.path, self.text = path, path.read_text("utf-8")
        self.anchors, self.links, self.loads, self.pictures = set(), [], [], []
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        of = {name: value or "" for name, value in attrs}
        self.anchors |= {of[name] for name in ("id", "name") if name in of}
        if tag == "a" and "href" in of:
            self.links.append(of["href"])
        if tag == "link" and not ONLY_NAMES.issuperset(of.get("rel", "").split()):
            self.loads.append(of["href"])
        self.loads += [of[name] for name in LOADS.get(tag, ()) if name in of]
        self.loads += re.findall(r"url\(([^)]+)\)", of.get("style", ""))
        if tag == "img":
            self.pictures.append(of)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site; pages of docs/ are executed, notebooks have their own test."""
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-t", "quick"]
    command += ["-c", ROOT / "docs", "-d", folder / "doctrees", ROOT, folder / "site"]
    built = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site):
    """Return all pages except source listings, by path."""
    found = {path: Page(path) for path in site.rglob("*.html")}
    return {path: page for path, page in found.items() if "_modules" not in path.parts}


def test_the_site_has_its_pages_and_builds_without_a_warning(site):
    """README comes first, every notebook has its page; Sphinx counts warnings as errors."""
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()
    assert (site / "CHANGELOG.html").exists()
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / "docs" / page.relative_to(ROOT / "docs")).with_suffix(".html").exists()
    for notebook in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"):
        assert (site / "notebooks" / f"{notebook.stem}.html").exists()


def test_a_notebook_outside_the_course_is_not_a_page(tmp_path):
    """A reader's own notebooks may fail and may lack a title."""
    settings = eval_config_file(ROOT / "docs" / "conf.py", Tags())
    (tmp_path / "notebooks").mkdir()
    for name in ("01_quickstart.ipynb", "Untitled.ipynb"):
        (tmp_path / "notebooks" / name).touch()
    project = Project(tmp_path, {".ipynb": "myst-nb"})
    found = project.discover(settings["exclude_patterns"], settings["include_patterns"])
    assert found == {"notebooks/01_quickstart"}


def test_a_page_that_fails_is_shown_with_its_cell_and_its_error(tmp_path):
    """The error output shows the failing cell, without a log file."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Words\n")
    head = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n# A page\n\n"
    page = tmp_path / "docs" / "claims.md"
    page.write_text(head + "```{code-cell} ipython3\nwrong = 1 / 0\n```\n")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", ROOT / "docs"]
    command += [tmp_path, tmp_path / "site"]
    built = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert built.returncode != 0
    assert "claims.md" in built.stderr
    assert "wrong = 1 / 0" in built.stderr
    assert "ZeroDivisionError" in built.stderr
    assert "division by zero" in built.stderr
    assert "reading docs/claims" in built.stdout
    assert "without encryption" not in built.stderr  # a warning of the kernel, irrelevant here


def test_every_public_name_is_described_once(pages):
    """Each name of `__all__` has one entry in the reference, with its docstring below it."""
    entries = "".join(page.text for path, page in pages.items() if path.parent.name == "api")
    for name in sim.__all__:
        parts = re.split(rf'<dt class="[^"]*" id="asyncsim\.{name}">', entries)
        assert len(parts) == 2, f"{name} has {len(parts) - 1} entries"
        description = parts[1].partition("</dt>")[2]
        assert re.match(r"\s*<dd>(?:<p>Bases: .*?</p>\s*)?<p>\w", description, re.DOTALL), name


def test_no_page_asks_for_anything_outside(pages, site):
    """Scripts, styles, fonts and pictures are part of the site; only links lead outside."""
    for path, page in pages.items():
        for load in page.loads:
            assert not urlsplit(load).scheme or load.startswith("data:"), f"{path.name}: {load}"
            assert not load.startswith("//"), f"{path.name}: {load}"
    for style in site.rglob("*.css"):
        text = style.read_text("utf-8")
        outside = re.findall(r"(?:@import\s+|url\(\s*)['\"]?((?:https?:)?//[^'\")\s]+)", text)
        assert not outside, f"{style.name}: {outside}"


def test_links_lead_somewhere(pages):
    """Each link within the site leads to an existing page and anchor."""
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.name}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{path.name}: {link}"


def test_pictures_have_a_text(pages):
    """Each picture has an alt text that is not its file name."""
    for path, page in pages.items():
        for picture in page.pictures:
            assert picture.get("alt", "").strip(), f"{path.name}: {picture['src']}"
            assert picture["alt"] != picture["src"], f"{path.name}: {picture['src']}"


def test_the_pages_were_executed(pages, site):
    """The pages of docs/ show the output of their cells: pictures, tables, no error."""
    for name in ("how_the_engines_work", "claims"):
        page = pages[site / "docs" / f"{name}.html"]
        assert page.pictures
        assert "cell_output" in page.text
        assert "Traceback" not in page.text


def terms():
    """Return the terms of the glossary."""
    text = re.search(r"```{glossary}\n(.*?)```", GLOSSARY.read_text("utf-8"), re.S)
    return [line for line in text[1].splitlines() if line and not line.startswith(" ")]


def test_there_are_terms():
    """An empty list would pass the test below."""
    assert {"serial number", "wait", "herd", "resume latency"} <= set(terms())


@pytest.mark.parametrize("term", terms())
def test_terms_of_the_glossary_are_in_use(term):
    """An unused term needs no entry: another page or the package has it, as a whole word."""
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page != GLOSSARY]
    texts = [ROOT / "README.md", *pages, *(ROOT / "asyncsim").rglob("*.py")]
    pattern = re.compile(r"\b" + term.replace(" ", r"\s+") + r"\b", re.IGNORECASE)
    assert any(pattern.search(text.read_text("utf-8")) for text in texts)


def test_a_browser_makes_no_request_and_search_works(site):
    """In Chromium no page makes a request, and the search works from disk."""
    playwright = pytest.importorskip("playwright.async_api")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("needs Chromium (on Debian: apt-get install chromium)")

    async def look():
        async with playwright.async_playwright() as driver:
            browser = await driver.chromium.launch(
                executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            tab = await browser.new_page()
            asked = []
            tab.on("request", lambda request: asked.append(request.url))
            tab.on("pageerror", lambda error: asked.append(str(error)))
            for name in ("index", "docs/claims", "docs/api/live", "notebooks/01_quickstart"):
                await tab.goto((site / f"{name}.html").as_uri())
            await tab.goto((site / "search.html").as_uri() + "?q=herd")
            await tab.wait_for_selector("#search-results li", timeout=20_000)
            await browser.close()
            return [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]

    assert asyncio.run(look()) == []
