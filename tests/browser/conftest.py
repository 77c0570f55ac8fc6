"""A real JupyterLab in a real Chromium, one of each for the whole test session.

Without Chromium the tests are skipped, and name what to install. No browser is ever downloaded:
it is the Debian package `chromium`, driven by the Python package `playwright`.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from in_browser import EVALUATE, SCREENSHOTS, running

BROWSERS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-browser",
    "--ip=127.0.0.1",
    "--allow-root",
    "--ServerApp.port_retries=0",
    "--IdentityProvider.token=",
    "--LabApp.expose_app_in_browser=True",
    "--ServerApp.disable_check_xsrf=True",
    "--ServerApp.terminals_enabled=False",
)
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
QUIET = '{"fetchNews": "false", "checkForUpdates": false}'
OPEN = """async ([path, id, run]) => {
  const app = window.jupyterapp;
  const asked = { path, factory: "Notebook", kernel: id ? { id } : undefined };
  const panel = await app.commands.execute("docmanager:open", asked);
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  app.shell.activateById(panel.id);
  if (run) await app.commands.execute("notebook:run-all-cells");
  return panel.sessionContext.session.kernel.id;
}"""
# Closing would ask whether to save
CLOSE = """() => [...window.jupyterapp.shell.widgets("main")].forEach((panel) => panel.dispose())"""
SHUT_DOWN = """async (id) => {
  const manager = window.jupyterapp.serviceManager.kernels;
  await manager.shutdown(id);
}"""
FORGET = """
import ipywidgets
ipywidgets.Widget.close_all()
get_ipython().run_line_magic("reset", "-f")
"""


def free_port():
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def chromium():
    """The path of a Chromium on this machine."""
    pytest.importorskip("playwright", reason="browser tests need the package playwright")
    pytest.importorskip("jupyterlab", reason="browser tests need the package jupyterlab")
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if found is None:
        pytest.skip("browser tests need Chromium: install Debian's package 'chromium'")
    return found


@pytest.fixture(scope="session")
def lab(chromium, tmp_path_factory):
    """The address of a JupyterLab, and the folder it shows."""
    folder, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home")
    settings = home / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(QUIET)
    port = free_port()
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "lab" / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "lab" / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    command = [sys.executable, "-m", "jupyterlab", f"--port={port}", *FLAGS, str(folder)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/api", timeout=1).close()
            break
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    else:
        process.kill()
    if process.poll() is not None:
        pytest.fail(f"JupyterLab did not start:\n{(home / 'log').read_text()}")
    yield address, folder
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture(scope="session")
def browser(chromium):
    """The browser of the session, and the loop Playwright runs in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)  # else every other test would think that one is running
        yield browser, loop
        with running(loop):
            browser.close()
        asyncio._set_running_loop(loop)


@pytest.fixture(scope="session")
def browser_page(browser, lab):
    """The one page with JupyterLab in it, and the loop Playwright runs in."""
    with running(browser[1]):
        page = browser[0].new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(30_000)
        page.goto(f"{lab[0]}/lab")
        page.wait_for_function("window.jupyterapp && window.jupyterapp.restored", timeout=60_000)
        page.evaluate("window.jupyterapp.restored")
    return page, browser[1]


class Notebook:
    """A notebook that is open and has run."""

    def __init__(self, page, name):
        self.page = page
        self.name = name
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def kernel(self, code):
        """Run code in its kernel; return what it prints."""
        text = self.page.evaluate(EVALUATE, code)
        assert not text.startswith("ERROR"), text
        return text.strip()

    def theme(self, dark):
        """Change JupyterLab's theme."""
        name = "JupyterLab Dark" if dark else "JupyterLab Light"
        command = "window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
        self.page.evaluate(f"(theme) => {command}", name)
        wanted = "false" if dark else "true"
        light = f"body[data-jp-theme-light='{wanted}']"
        self.page.wait_for_selector(light, state="attached")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def barriers(self, selector):
        """Return what axe finds in the way of people who cannot see well or use a mouse."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page, context=selector).response["violations"]
        return [(one["id"], node["html"][:200]) for one in found for node in one["nodes"]]

    def screenshot(self, what):
        """Write a picture for a person to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{self.name}_{what}.png")


@pytest.fixture
def page(browser_page):
    """The page, and Playwright's loop running while a test uses it."""
    page, loop = browser_page
    with running(loop):
        yield page


@pytest.fixture(scope="session")
def kernels():
    """The kernel that notebooks use one after the other, once there is one."""
    return []


@pytest.fixture
def notebook(page, lab, request, kernels):
    """Return what writes a notebook of some cells, opens it, and runs it.

    One kernel does for all, since to start one and to import asyncsim takes as long as a test. With
    ``fresh`` the notebook has a kernel of its own, and is not run yet.
    """
    name = request.node.name.removeprefix("test_")
    own = []

    def opened(*cells, fresh=False):
        made = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": KERNEL},  # else JupyterLab asks which one
        )
        nbformat.write(made, lab[1] / f"{name}.ipynb")
        shared = None if fresh or not kernels else kernels[0]
        kernel = page.evaluate(OPEN, [f"{name}.ipynb", shared, not fresh])
        if fresh:
            own.append(kernel)
        elif not kernels:
            kernels.append(kernel)
        return Notebook(page, name)

    yield opened
    if not own:
        page.evaluate(EVALUATE, FORGET)
    page.evaluate(CLOSE)
    for kernel in own:
        page.evaluate(SHUT_DOWN, kernel)
