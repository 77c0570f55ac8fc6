"""Build a JupyterLite site of asyncsim; run by ``make lite``, explained in docs/in_the_browser.md.

Python itself (Pyodide) comes from npm, everything that is pure Python from PyPI, and both lie in
the site. What Pyodide compiles (NumPy, pandas, SciPy, Matplotlib) is in neither place: the site
names its address in Pyodide's own distribution, unless a copy of that is given.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from jupyterlite_pyodide_kernel.constants import PYODIDE_CDN_URL, PYODIDE_VERSION

ROOT = Path(__file__).parents[1]
KERNEL = ("micropip", "ipython", "jedi")
"""What the kernel asks Pyodide for; the rest of what it needs it brings along."""
ONLY_HERE = (
    *("asyncsim", "simpy", "anywidget", "ipywidgets", "psygnal", "cronsim", "holidays", "comm"),
    "jupyterlab-widgets",
)
"""Pure wheels that Pyodide's distribution does not have, ours among them."""
IN_PAGE = ("widgetsnbextension", "jupyterlab-widgets")
"""Of their requirements, what is a part of the page, so that Python needs no copy."""
SETTINGS = {
    "jupyter-lite-schema-version": 0,
    "jupyter-config-data": {"appName": "asyncsim", "exposeAppInBrowser": True},
}
"""Of the page; exposed is what the test of the site talks to."""
Packages = dict[str, dict[str, Any]]


def main() -> None:
    """Read the command line, and build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder of the site; made anew")
    parser.add_argument("--pyodide", type=Path, help="folder of a full Pyodide distribution")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        build(given.out.resolve(), Path(scratch), given.pyodide)


def build(out: Path, work: Path, distribution: Path | None) -> None:
    """Build the site in `out`; a state file of an earlier build would lead to half a site."""
    pyodide = work / "static" / "pyodide"
    if distribution is None:
        unpack_from_npm(pyodide, work)
    elif (distribution / "pyodide-lock.json").is_file():
        shutil.copytree(distribution, pyodide)
    else:
        sys.exit(f"--pyodide must be an unpacked Pyodide distribution, got {distribution}")
    complete(pyodide, work)
    for name in ("notebooks", "data"):
        tracked = run("git", "ls-files", name).split()
        for file in tracked:
            target = work / "files" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, target)
    (work / "jupyter-lite.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    run(
        *(sys.executable, "-m", "jupyter", "lite", "build", "--apps", "lab"),
        *("--lite-dir", work, "--output-dir", out, "--contents", work / "files"),
        *("--no-sourcemaps", "--no-unused-shared-packages"),
        where=work,
    )
    size = sum(path.stat().st_size for path in out.rglob("*")) / 1e6
    print(f"{out}: {size:.0f} MB. To look at it:")
    print(f"  {sys.executable} -m http.server --bind 127.0.0.1 --directory {out} 8000")
    print("  and open http://127.0.0.1:8000/lab/index.html?path=notebooks/01_quickstart.ipynb")


def run(*command: str | Path, where: Path = ROOT) -> str:
    """Run a command and return what it prints; end with its message if it fails."""
    done = subprocess.run(list(map(str, command)), cwd=where, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def unpack_from_npm(pyodide: Path, work: Path) -> None:
    """Fetch Pyodide's core in the very version that the kernel is made for."""
    if shutil.which("npm") is None:
        sys.exit(
            "Pyodide comes from npm, which is not there. Install Node.js (Debian: apt-get install "
            "npm), or unpack a Pyodide distribution and take: make lite PYODIDE=path/to/pyodide"
        )
    archive = run("npm", "pack", "--silent", f"pyodide@{PYODIDE_VERSION}", where=work).split()[-1]
    shutil.unpack_archive(work / archive, work / "npm")
    names = ("*.mjs", "*.wasm", "*.zip", "pyodide-lock.json")
    pyodide.mkdir(parents=True)
    for path in (path for name in names for path in (work / "npm" / "package").glob(name)):
        shutil.copy(path, pyodide)


def complete(pyodide: Path, work: Path) -> None:
    """Add pure wheels to Pyodide's list of packages, so that ``import asyncsim`` is enough."""
    lock_file = pyodide / "pyodide-lock.json"
    lock = json.loads(lock_file.read_text(encoding="utf-8"))
    packages: Packages = lock["packages"]
    wheels = work / "pypi"  # also what %pip install finds in the page
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, ROOT)
    python = lock["info"]["python"].rpartition(".")[0]
    download(ONLY_HERE[1:], wheels, python)
    for wheel in sorted(wheels.glob("*.whl")):
        entry = described(wheel)
        packages[normal(entry["name"])] = entry
        shutil.copy(wheel, pyodide)
    for missing in {d for name in ONLY_HERE for d in packages[name]["depends"]} - set(packages):
        sys.exit(f"{missing} is needed, and neither Pyodide nor ONLY_HERE in {__file__} has it")
    needed = [name for name in closure(packages, KERNEL + ONLY_HERE) if name not in ONLY_HERE]
    absent = [name for name in needed if not (pyodide / packages[name]["file_name"]).exists()]
    pure = [name for name in absent if packages[name]["file_name"].endswith("-none-any.whl")]
    download([f"{name}=={packages[name]['version']}" for name in pure], pyodide, python)
    by_name = {normal(path.name.split("-")[0]): path for path in pyodide.glob("*.whl")}
    for name, entry in packages.items():
        if name in pure:  # PyPI's file has the same content, but another date
            wheel = by_name[name]
            entry |= {"file_name": wheel.name, "sha256": digest(wheel)}
        elif "://" not in entry["file_name"] and not (pyodide / entry["file_name"]).exists():
            entry["file_name"] = f"{PYODIDE_CDN_URL}/{entry['file_name']}"
    lock_file.write_text(json.dumps(lock), encoding="utf-8")
    elsewhere = [name for name in needed if "://" in packages[name]["file_name"]]
    print("in the site:", ", ".join(sorted({*pure, *ONLY_HERE})))
    print(
        "from Pyodide's distribution, when a notebook needs them:", ", ".join(elsewhere) or "none"
    )


def download(requirements: Iterable[str], folder: Path, python: str) -> None:
    """Fetch pure wheels for the browser's Python, in the releases that constraints.txt names."""
    exact = [one for one in requirements if "==" in one]
    free = [one for one in requirements if "==" not in one]
    options = ("--quiet", "--no-deps", "--only-binary=:all:", "--platform=any", "--dest", folder)
    for some, constrained in ((exact, ()), (free, ("-c", ROOT / "constraints.txt"))):
        if some:
            where = ("--python-version", python, *options, *constrained)
            run(sys.executable, "-m", "pip", "download", *where, *some)


def described(wheel: Path) -> dict[str, Any]:
    """Return the entry of a wheel in Pyodide's list of packages."""
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        parsed = Parser().parsestr(archive.read(metadata).decode())
    required = [one for one in parsed.get_all("Requires-Dist", []) if ";" not in one]
    depends = {normal(re.split(r"[^\w.-]", one)[0]) for one in required}
    return {
        "name": parsed["Name"],
        "version": parsed["Version"],
        "file_name": wheel.name,
        "install_dir": "site",
        "sha256": digest(wheel),
        "package_type": "package",
        "imports": sorted({name.split("/")[0] for name in names if name.endswith("/__init__.py")}),
        "depends": sorted(depends - set(IN_PAGE)),
        "unvendored_tests": False,
    }


def closure(packages: Packages, names: Iterable[str]) -> list[str]:
    """Return packages with all that they depend on."""
    found: dict[str, None] = {}
    todo = list(names)
    while todo:
        name = normal(todo.pop())
        if name not in found:
            found[name] = None
            todo += packages[name]["depends"]
    return sorted(found)


def normal(name: str) -> str:
    """Return a package's name as indices spell it.

    Examples
    --------
    >>> normal("Tomli_W")
    'tomli-w'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
