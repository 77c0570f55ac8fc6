"""The package in a Python from which is taken what a browser lacks; docs/in_the_browser.md."""

import subprocess
import sys

import pytest

SESSION = """
import asyncio, sys, threading, warnings
for name in ("numba", "fastapi", "fastapi_offline", "uvicorn", "_multiprocessing", "_posixshmem"):
    sys.modules[name] = None  # an import of it fails

def no_thread(self):
    raise RuntimeError("can't start new thread")

threading.Thread.start = no_thread
import asyncsim as sim
from asyncsim.fast import jit

sys.platform = "emscripten"
scenario = sim.Scenario.load("data/nightly_ledger.toml").replace(arrivals=sim.UniformArrivals(20))
strategies = [sim.Callback("50ms"), sim.Polling("15min")]
with warnings.catch_warnings(record=True) as said:
    comparison = sim.compare(scenario, strategies, replications=2, n_jobs=2, progress=True)
print(jit.can_compile(), "; ".join(str(one.message) for one in said))
print(comparison.run("callback").summary()["instances"].item())

async def live():
    session = sim.live(scenario, hold=True, speed=36000, store=sys.argv[1])
    session.play()
    while session.waiting.empty:
        await asyncio.sleep(0.01)
    session.pause()
    number = session.waiting["serial_number"].iloc[0]
    session.console(), session.view(), session.finish(number)
    print(number not in set(session.waiting["serial_number"]))
    try:
        session.serve()
    except sim.EngineError as error:
        print(error)
    session.close()

asyncio.run(live())
"""


@pytest.mark.slow
def test_a_workshop_needs_neither_numba_nor_threads_processes_or_sockets(tmp_path, request):
    """Comparing and finishing by hand work; what does not says what to do instead."""
    done = subprocess.run(
        [sys.executable, "-c", SESSION, str(tmp_path / "workshop.db")],
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kernels, waits, finished, serving = done.stdout.splitlines()
    assert kernels.startswith("False n_jobs=2 needs processes")
    assert ";" not in kernels.replace("same; n_jobs", "")  # and nothing else was complained about
    assert (waits, finished) == ("20", "True")
    assert "serve() needs network sockets" in serving
    assert "Traceback" not in done.stderr
