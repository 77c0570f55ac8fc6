"""The site that ``make lite`` builds, in a real Chromium that is kept off the internet.

It shows how far the site comes by itself: JupyterLab, Python, the packages that are pure Python,
and what of asyncsim needs no NumPy. NumPy, pandas, SciPy and Matplotlib come from Pyodide's own
distribution; without them `import asyncsim` cannot succeed, and that it asks for them at the right
address is all that can be seen here.
"""

import functools
import http.server
import re
import threading
from importlib.metadata import version
from pathlib import Path

import pytest
from in_browser import EVALUATE, SCREENSHOTS, running

SITE = Path(__file__).parents[2] / "out" / "lite"
if not (SITE / "index.html").is_file():
    pytest.skip("the site is not built: make lite builds it", allow_module_level=True)

OPEN = """async (path) => {
  const app = window.jupyterapp;
  const panel = await app.commands.execute("docmanager:open", { path, factory: "Notebook" });
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  app.shell.activateById(panel.id);
}"""
PARTS = """
import importlib.util, sys, types
import piplite
await piplite.install("asyncsim", deps=False)
package = types.ModuleType("asyncsim")  # its parts, without the import of all of them
package.__spec__ = importlib.util.find_spec("asyncsim")
package.__path__ = list(package.__spec__.submodule_search_locations)
sys.modules["asyncsim"] = package
"""


class Site:
    """A notebook of the site, and what it asked the internet for."""

    def __init__(self, page, asked):
        self.page = page
        self.asked = asked

    def python(self, code):
        """Run code in the kernel; return what it prints."""
        return self.page.evaluate(EVALUATE, code).strip()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and writes nothing."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def opened(browser):
    """Notebook 01 in the site, with a kernel that has answered."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=SITE)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    asked = []

    def scenario_error(route):
        asked.append(route.request.url)
        route.abort()

    with running(browser[1]):
        context = browser[0].new_context(viewport={"width": 1400, "height": 900})
        context.route(lambda url: not url.startswith(address), scenario_error)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{address}/lab/index.html")
        page.wait_for_function("window.jupyterapp && window.jupyterapp.restored")
        page.evaluate("window.jupyterapp.restored")
        page.evaluate(OPEN, "notebooks/01_quickstart.ipynb")
    yield Site(page, asked)
    with running(browser[1]):
        context.close()
    server.shutdown()
    server.server_close()


@pytest.fixture
def site(opened, browser):
    """The notebook, while a test uses it."""
    with running(browser[1]):
        yield opened


def test_lab_and_kernel_start_without_the_internet(site):
    """JupyterLab, the notebooks beside their data, and Python: all of it lies in the site."""
    said = site.python("import sys, os; print(sys.platform, *sorted(os.listdir('..')))")
    assert said == "emscripten data notebooks"
    assert site.python("print(open('../data/person.toml').read(17))") == "# A person comple"
    assert site.page.locator(".jp-NotebookPanel h1", has_text="A step that waits").count()
    assert not site.asked
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    site.page.screenshot(path=SCREENSHOTS / "lite.png")


def test_what_is_pure_python_is_there(site):
    """An import finds it without any %pip, in the releases of constraints.txt."""
    names = "simpy, ipywidgets, anywidget, attrs, cronsim, holidays, tqdm.auto, tomli_w, sqlite3"
    code = f"import {names}, tzdata, zoneinfo\nprint(simpy.__version__, ipywidgets.__version__)"
    assert site.python(code) == f"{version('simpy')} {version('ipywidgets')}"
    assert site.python("print(zoneinfo.ZoneInfo('Europe/Berlin'))") == "Europe/Berlin"
    assert not site.asked


def test_widgets_appear(site):
    """One of ipywidgets and one of anywidget, which console, view and explorer are made of."""
    code = """
class Shown(anywidget.AnyWidget):
    _esm = "export default { render({ el }) { el.innerHTML = '<b class=shown>5_31</b>'; } }"
"""
    assert site.python(code) == ""
    show = """async (code) => {
      const app = window.jupyterapp;
      const cell = app.shell.currentWidget.content.widgets.find((w) => w.model.type === "code");
      cell.model.sharedModel.setSource(code);
      app.shell.currentWidget.content.activeCellIndex =
        app.shell.currentWidget.content.widgets.indexOf(cell);
      await app.commands.execute("notebook:run-cell");
    }"""
    site.page.evaluate(show, "ipywidgets.VBox([ipywidgets.IntSlider(), Shown()])")
    site.page.wait_for_selector(".widget-slider")
    assert site.page.locator("b.shown").inner_text() == "5_31"


def test_the_wheel_installs_and_asks_pyodide_for_the_rest(site):
    """Seven packages are not in the site; each is asked for in the release that fits."""
    assert site.python(PARTS) == ""
    said = site.python("import importlib.metadata; print(importlib.metadata.version('asyncsim'))")
    assert said == version("asyncsim")
    assert "No module named" in site.python("import numpy, pandas, scipy, matplotlib")
    found = {re.sub(r"-\d.*", "", url.rpartition("/")[2]) for url in site.asked}
    assert {"numpy", "pandas", "scipy", "matplotlib"} <= found
    assert found <= {"numpy", "pandas", "scipy", "matplotlib", "contourpy", "kiwisolver", "pillow"}
    assert all(re.match(r"https://cdn\.jsdelivr\.net/pyodide/v[\d.]+/full/", u) for u in site.asked)


def test_every_module_can_be_read_by_the_python_of_the_browser(site):
    """It is a later one than those that the tests run on."""
    code = """
import pathlib, warnings
with warnings.catch_warnings():
    warnings.simplefilter("error")
    for path in pathlib.Path(package.__path__[0]).rglob("*.py"):
        compile(path.read_text(), str(path), "exec")
"""
    assert site.python(PARTS + code) == ""


def test_a_store_works_outside_the_drive_and_says_so_on_it(site):
    """A database is kept in Python's own files; closed, it can be copied to the drive and back."""
    code = """
import shutil
from asyncsim.live.store import Input, Store
store = Store("/tmp/kept.db")
store.own()
store.note(Input("finish", "5_31", {"InvoiceNo": 42}, instant=3.0, answer="FINISHED"))
store.close()
shutil.copy("/tmp/kept.db", "kept.db")
shutil.copy("kept.db", "/tmp/again.db")
store = Store("/tmp/again.db")
print(store.inputs()[0].data)
store.close()
try:
    Store("wrong.db")
except Exception as error:
    print(type(error).__name__, error)
"""
    data, refused = site.python(PARTS + code).splitlines()
    assert data == "{'InvoiceNo': 42}"
    assert refused.startswith("ScenarioError store '/drive/notebooks/wrong.db' cannot be used")
    assert "'/tmp/kept.db'" in refused


def test_there_are_no_processes_and_a_bar_and_a_clock_do_without_threads(site):
    """What asyncsim takes for granted elsewhere is really missing here, and it goes on."""
    code = """
import asyncio, warnings
from asyncsim.live.real_time_clock import Ticking
from asyncsim.experiment.parallel import processes, threads_start
from asyncsim.experiment.parallel import progress_bar
with warnings.catch_warnings(record=True) as said, processes(2) as executor:
    print(executor, threads_start(), said[0].message)
with warnings.catch_warnings():
    warnings.simplefilter("error")
    with progress_bar(True, total=3) as bar:
        bar.update(3)
instant = [0.0]
def advance(target, budget):
    instant[0] = target
    return True
clock = Ticking(advance, lambda: instant[0], speed=3600)
clock.start()
while instant[0] < 60:
    await asyncio.sleep(0.01)
clock.stop()
"""
    said = site.python(PARTS + code)
    assert "None False n_jobs=2 needs processes" in said
    assert "ERROR" not in said
