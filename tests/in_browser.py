"""What the tests of widgets and those of the site in out/lite have in common."""

import asyncio
from contextlib import contextmanager
from pathlib import Path

SCREENSHOTS = Path(__file__).parents[1] / "out" / "screenshots"
EVALUATE = """async (code) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({ code, stop_on_error: true });
  let text = "";
  future.onIOPub = (message) => {
    if (message.header.msg_type === "stream") text += message.content.text;
    if (message.header.msg_type === "error") text += "ERROR " + message.content.evalue;
  };
  await future.done;
  return text;
}"""


@contextmanager
def running(loop):
    """Run Playwright's loop for a while."""
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)
