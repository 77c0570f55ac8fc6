"""A wheel works alone: in a clean environment, an empty folder, with the examples of the help.

Needs no network, so that dependencies come from the environment of the tests, and Numba is left
out lest its kernels are compiled anew: as plain Python each example takes seconds, too.
``.ci/versions`` installs the wheel with its dependencies, and runs the examples as they stand.
"""

import os
import re
import shlex
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from asyncsim.cli.main import EPILOG
from asyncsim.model.examples import example_files

pytest.importorskip("hatchling", reason="needs the group test")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
EXAMPLES = re.findall(r"^  (asyncsim .*)$", EPILOG, flags=re.MULTILINE)
SHORTER = {"serve": ["--port", "0"], "compare": ["--replications", "2"]}

HIDDEN = ("PYTHONPATH", "PIP_")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
"""The variables of a user who has none of the tests' own."""


def run(*words, cwd):
    """Run a program; return its output."""
    done = subprocess.run(words, cwd=cwd, env=CLEAN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return a wheel, built from this source."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory):
    """Return the folder of programs of an environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("clean") / "env"
    venv.create(folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = str(programs / "python")
    pip = (sys.executable, "-m", "pip", "--python", python)  # to install another takes seconds
    run(*pip, "install", "--no-deps", "--no-index", str(wheel), cwd=folder)
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", asked, cwd=folder).strip())
    theirs = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    lines = [*theirs, "import sys; sys.modules['numba'] = None"]
    (packages / "dependencies.pth").write_text("\n".join(lines) + "\n")
    return programs


def test_a_wheel_has_the_package_and_its_examples(wheel):
    """Every file of the package, every example, and nothing else."""
    package = ROOT / "asyncsim"
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {f"asyncsim/examples/{path.as_posix()}" for path in example_files()}
    with ZipFile(wheel) as file:
        found = {name for name in file.namelist() if ".dist-info/" not in name}
    assert found == wanted


def test_an_installed_wheel_is_what_runs(programs, tmp_path):
    """Not this source; its examples are written from within it."""
    asked = "import asyncsim.model.examples as e; print(e.examples_folder())"
    place = Path(run(str(programs / "python"), "-c", asked, cwd=tmp_path).strip())
    assert place.parent.name == "asyncsim"
    assert place.is_relative_to(programs.parent)
    run(str(programs / "asyncsim"), "examples", "course", cwd=tmp_path)
    assert (tmp_path / "course" / "notebooks" / "00_start_here.ipynb").is_file()
    assert (tmp_path / "course" / "data" / "nightly_ledger.toml").is_file()


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_help_run_in_an_empty_folder(example, programs, tmp_path):
    """As they are printed, but for a port that may be taken, and for two replications; no Numba."""
    program, command, *words = shlex.split(example)
    words = [str(programs / program), command, *words, *SHORTER.get(command, [])]
    if command != "serve":
        assert run(*words, cwd=tmp_path)
        return
    serving = subprocess.Popen(words, cwd=tmp_path, env=CLEAN, stdout=subprocess.PIPE, text=True)
    with serving:
        lines = []
        for line in serving.stdout:
            lines.append(line)
            if line == "Ctrl-C ends.\n":
                serving.terminate()  # a job in the background of a shell ignores Ctrl-C
    assert "token: " in "".join(lines)
    assert serving.returncode == 0, lines


def test_there_are_five_examples():
    """One for each thing to begin with."""
    assert len(EXAMPLES) == 5
