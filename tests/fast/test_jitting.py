"""Kernels are compiled where Numba is, once, and not before they are wanted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asyncsim.fast import jit
from asyncsim.fast.state import CheckedList
from asyncsim.platform import BOUNDSCHECK

ROOT = Path(__file__).parents[2]
needs_numba = pytest.mark.skipif(not jit.can_compile(), reason="Numba is not installed")
SAME_ANSWER = "tests/fast/test_same_answer.py"
PLAY = """
import sys
import asyncsim as sim
scenario = sim.Scenario.load("data/person.toml")
sim.simulate(scenario, sim.Polling("15min"), engine={engine!r})
"""


def python(code, **environment):
    """Run code in a Python of its own, in the project's folder; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("code", ["import sys, asyncsim\n", PLAY.format(engine="simpy")])
def test_what_takes_long_to_import_is_imported_when_it_is_wanted(code):
    """Neither importing asyncsim nor playing with SimPy pays for Numba, SciPy or Matplotlib."""
    code += "print({'numba', 'scipy.stats', 'scipy.optimize', 'matplotlib'} & set(sys.modules))"
    assert python(code) == "set()\n"


@needs_numba
@pytest.mark.slow
def test_machine_code_is_kept_on_disk():
    """A second session loads the kernels instead of compiling them."""
    code = PLAY.format(engine="compiled") + (
        "from asyncsim.fast.event_loop import play\n"
        "print(sum(play.stats.cache_hits.values()), sum(play.stats.cache_misses.values()))"
    )
    python(code)
    assert python(code) == "1 0\n"


@pytest.mark.slow
def test_plain_kernels_give_the_same_answer_and_no_index_is_out_of_bounds():
    """Arrays of compiled kernels know no length, so plain ones check every index in their place."""
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", SAME_ANSWER],
        cwd=ROOT,
        env=os.environ | {BOUNDSCHECK: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
    code = PLAY.format(engine="auto") + "print('numba' in sys.modules)"
    assert python(code, **{jit.SWITCH: "0"}) == "False\n"


@pytest.mark.parametrize("index", [-1, 3])
def test_a_checked_array_raises_at_an_index_out_of_bounds(index):
    """Also at a negative one, which a list counts from its end."""
    array = CheckedList([1, 2, 3])
    with pytest.raises(IndexError, match="out of bounds"):
        array[index]
    with pytest.raises(IndexError, match="out of bounds"):
        array[index] = 4
    array[2] = array[0]
    assert array == [1, 2, 1]


def test_machine_code_goes_to_the_users_caches_if_the_package_cannot_be_written_to(
    monkeypatch, tmp_path
):
    """Installed for all by another user: the user's cache; that neither: no cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    beside = Path(jit.__file__).parent
    monkeypatch.setattr(os, "access", lambda path, mode: not Path(path).is_relative_to(beside))
    assert jit.cache_directory().is_relative_to(tmp_path / "asyncsim")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert jit.cache_directory() is None


def test_nobody_without_a_home_is_turned_away(monkeypatch):
    """In many containers a user has no home, and the package belongs to another user."""

    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert jit.cache_directory() is None


def test_the_place_of_machine_code_depends_on_every_kernel(monkeypatch, tmp_path):
    """A change in any module of the package must not find old machine code."""
    for file in ("event_loop.py", "two.py"):
        (tmp_path / file).write_text("", encoding="utf-8")
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "one.py"))
    name = jit.code_name.__wrapped__
    before = name()
    (tmp_path / "two.py").write_text("changed = True\n", encoding="utf-8")
    assert name() != before
