"""Notebooks, scenario files and a log that come with the package, and where they are.

A wheel holds them in ``asyncsim/examples/``; an editable installation takes them from the
repository. `readable_file` finds ``"example:nightly_ledger"`` wherever a file is read;
``asyncsim examples DIR`` copies all of them.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from asyncsim.errors import ScenarioError
from asyncsim.model.units import file_name, nearest
from asyncsim.model.validation import argument

PREFIX = "example:"
SCENARIO = ".toml"
LOG = ".csv"
PATTERNS = (
    *("data/README.md", "data/*.toml", "data/*.csv", "data/*.sh", "data/*.py"),
    *("notebooks/[0-9][0-9]_*.ipynb", "notebooks/solutions/[0-9][0-9]_*.ipynb"),
    "notebooks/idea.svg",
)
"""What is an example; a notebook of your own beside them is none."""


def examples_folder() -> Path:
    """Return the folder that holds ``data/`` and ``notebooks/``.

    >>> sorted(path.name for path in examples_folder().glob("data/night*"))
    ['nightly_batch.sh', 'nightly_ledger.toml']
    """
    package = Path(str(files("asyncsim")))
    shipped = package / "examples"
    return shipped if shipped.is_dir() else package.parent


def example_files() -> list[Path]:
    """Return all examples, as paths below `examples_folder`."""
    folder = examples_folder()
    found = (path for pattern in PATTERNS for path in sorted(folder.glob(pattern)))
    return [path.relative_to(folder) for path in found]


def readable_file(path: str | Path, ending: str, called: str = "path") -> Path:
    """Return the path of a file to read, which ``example:NAME`` names as well.

    Parameters
    ----------
    path
        A path, or ``"example:nightly_ledger"``, with or without its ending.
    ending
        That of the examples which can be read here: `SCENARIO` or `LOG`.
    called
        What a message calls the argument.

    Raises
    ------
    ScenarioError
        If no file can have this name, or no example has it; with the names of all examples.

    >>> readable_file("example:person", SCENARIO).name
    'person.toml'
    """
    place = argument(called, path, file_name)
    if not str(path).startswith(PREFIX):
        return place
    name = str(path).removeprefix(PREFIX).removesuffix(ending)
    known = _names(ending)
    if name not in known:
        kind = "scenario" if ending == SCENARIO else "log"
        raise ScenarioError(
            f"{called} must name an example {kind} ({', '.join(known)}), "
            f"got {PREFIX + name!r}{nearest(name, known)}"
        )
    return examples_folder() / "data" / f"{name}{ending}"


def example_like(path: str | Path, ending: str) -> str:
    """Return what to write for an example whose file has the same name, or nothing.

    >>> example_like("data/person.toml", SCENARIO), example_like("mine.toml", SCENARIO)
    ('example:person', '')
    """
    name = Path(path).name.rpartition(":")[2].removesuffix(ending)
    return PREFIX + name if name in _names(ending) else ""


def _names(ending: str) -> list[str]:
    """Return the names of all examples of a kind."""
    return sorted(one.stem for one in example_files() if one.suffix == ending)
