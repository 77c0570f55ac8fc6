"""A fresh installation plays at once, and compiles beside it; the answers are the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from thorough import TIMES

from asyncsim.fast import background_compilation, jit

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
needs_numba = pytest.mark.skipif(not jit.can_compile(), reason="Numba is not installed")
BEGIN = """
import sys, time
import asyncsim as sim
from asyncsim.fast import background_compilation
from asyncsim.fast import compiled as engine
from asyncsim.fast import jit
scenario = sim.Scenario.load("data/nightly_ledger.toml").replace(arrivals=sim.UniformArrivals(60))

def table(strategy):
    found = sim.compare(scenario, [strategy], replications=2, seed=1, progress=False)
    return found.table.to_json(double_precision=15)

def show(*what):
    print(*what, sep="\\n", flush=True)
"""
FOUND = """
import pathlib, shutil, time
while not pathlib.Path({go!r}).exists():
    time.sleep(0.05)
shutil.copytree({kept!r}, {place!r}, dirs_exist_ok=True)
"""
FIRST = """
background_compilation.CHILD = {found!r} + background_compilation.CHILD
plain = [table(sim.Callback("50ms")), table(sim.Polling("15min"))]
show("numba" in sys.modules, jit.are_compiled(), background_compilation.note().split(" (")[0])
open({go!r}, "w").close()
frequent = scenario.replace(arrivals=sim.UniformArrivals(1000))
checked = 0
while not jit.are_compiled():  # one of these runs is interrupted by the end of compiling
    run = sim.simulate(frequent, sim.LongPolling("30s"), seed=1)
    checked += int(run.record.waits.checks.sum() > 1000)
show(checked > 0, repr(background_compilation.note()))
show(plain == [table(sim.Callback("50ms")), table(sim.Polling("15min"))])
"""


def python(code, cache, **environment):
    """Run code in a Python of its own that keeps machine code in a folder; return its lines."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


@needs_numba
def test_a_fresh_installation_plays_at_once_and_goes_on_with_compiled_kernels(tmp_path):
    """First runs import no Numba; then the kernels are there, and every digit stays the same.

    The other process compiles, which takes ten seconds, only if the tests are to be thorough;
    else it finds the machine code of these tests once the first runs are over.
    """
    kept, go = jit.cache_directory(), str(tmp_path / "go")
    found = FOUND.format(go=go, kept=str(kept), place=str(tmp_path / kept.name))
    first = FIRST.format(go=go, found="" if TIMES > 1 else found)
    lines, errors = python(BEGIN + first, tmp_path)
    assert lines == ["False", "False", "compiling the kernels", "True", "''", "True"]
    assert errors == ""
    assert list(tmp_path.rglob("*.nbc"))  # NUMBA_CACHE_DIR is honoured
    lines, _ = python("from asyncsim.cli.main import main; main(['warm-up'])", tmp_path)
    assert lines[0].startswith(f"the kernels are compiled already, in {tmp_path}")


@needs_numba
def test_a_compiler_that_fails_is_reported_once_and_runs_stay_plain(tmp_path):
    """Killed for want of memory, for instance; the answer does not depend on it."""
    code = """
background_compilation.CHILD = "raise SystemExit(1)"
for k in range(3):
    run = sim.simulate(scenario, sim.Callback())
    while not background_compilation._Compilation.failed:
        time.sleep(0.01)
show(jit.are_compiled(), len(run.waits))
"""
    lines, errors = python(BEGIN + code, tmp_path)
    assert lines == ["False", "60"]
    assert errors.count("could not be compiled") == 1
    assert "asyncsim warm-up" in errors


@needs_numba
def test_a_session_that_keeps_no_machine_code_shows_why_and_what_helps(tmp_path):
    """It compiles here and now, each time anew: the message names the cause and the remedy."""
    (tmp_path / "file").touch()
    code = """
background_compilation.compile_now = lambda: None
sim.simulate(scenario, sim.Callback())
"""
    _, errors = python(BEGIN + code, tmp_path / "file")
    assert "takes about ten seconds, in every session: no folder" in errors
    assert "NUMBA_CACHE_DIR" in errors


@needs_numba
def test_only_one_process_compiles(tmp_path):
    """A second one sees that the first is at it, shows that, and plays."""
    code = """
background_compilation.CHILD = "import time; time.sleep(60)"
place = jit.cache_directory()
with background_compilation._lock(place, wait=False) as lock:
    sim.simulate(scenario, sim.Callback())
    note = background_compilation.note().split(" (")[0]
    show(lock is not None, background_compilation._Compilation.child, note)
show(repr(background_compilation.note()))
"""
    lines, errors = python(BEGIN + code, tmp_path)
    assert lines == ["True", "None", "compiling the kernels", "''"]
    assert errors == ""


@needs_numba
def test_a_large_run_waits_for_the_kernels_and_its_bar_shows_that(tmp_path):
    """As plain Python it would need too much memory."""
    code = """
background_compilation.CHILD = "import time; time.sleep(1.5)"
engine.LARGE = 100
sim.compare(scenario, [sim.Callback()], replications=1)
"""
    _, errors = python(BEGIN + code, tmp_path)
    assert "0/1 [" in errors.split("compiling the kernels (1 s)")[0]
    assert "compiling the kernels (1 s)" in errors


@pytest.mark.parametrize(
    "environment", [{"NUMBA_DISABLE_JIT": "1"}, {jit.SWITCH: "0"}], ids=["Numba's", "ours"]
)
def test_numba_switched_off_runs_plain_python(tmp_path, environment):
    """With Numba's own switch as well; the repr does not claim compiled kernels."""
    code = "show(repr(sim.simulate(scenario, sim.Callback())), background_compilation.warm_up())"
    lines, errors = python(BEGIN + code, tmp_path, **environment)
    assert lines[0] == "Run('nightly ledger', callback, 60 instances, plain Python)"
    assert lines[1].startswith("nothing to compile: Numba is switched off or not installed")
    assert errors == ""
    assert not list(tmp_path.iterdir())


def test_without_numba_a_slow_run_says_once_what_would_help(tmp_path):
    """Only if a run is slow, and once a session."""
    code = """
for bound in (3600.0, 0.0, 0.0):
    engine.SLOW = bound
    sim.simulate(scenario, sim.Callback())
"""
    _, errors = python("import sys; sys.modules['numba'] = None" + BEGIN + code, tmp_path)
    assert errors.count("\n") == 1
    assert "pip install 'asyncsim[fast]'" in errors


def test_nothing_is_compiled_that_is_there(monkeypatch):
    """`begin` starts no process where the machine code is on disk."""

    def no_process(*arguments, **options):
        raise AssertionError("started a process")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    background_compilation.begin()
    background_compilation.begin(large=True)
    assert background_compilation.note() == ""
