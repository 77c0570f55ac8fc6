"""Files to read: paths, and the examples that come with the package.

A wheel holds the examples (notebooks, scenario files, a log) in ``asyncsim/examples/``; an editable
installation takes them from the repository. Wherever a file is read, ``"example:nightly_ledger"``
names one of them; ``asyncsim examples DIR`` copies them all.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from asyncsim.errors import ScenarioError
from asyncsim.model.units import file_name, nearest
from asyncsim.model.validation import argument

PREFIX, SCENARIO, LOG = "example:", ".toml", ".csv"
PATTERNS = (  # of the examples; other notebooks beside them are not
    *("data/README.md", "data/*.toml", "data/*.csv", "data/*.sh", "data/*.py"),
    *("notebooks/[0-9][0-9]_*.ipynb", "notebooks/solutions/[0-9][0-9]_*.ipynb"),
    "notebooks/idea.svg",
)


def examples_folder() -> Path:
    """Return the folder that holds ``data/`` and ``notebooks/``."""
    package = Path(str(files("asyncsim")))
    shipped = package / "examples"
    return shipped if shipped.is_dir() else package.parent


def example_files() -> list[Path]:
    """Return all examples, as paths below `examples_folder`."""
    folder = examples_folder()
    found = (path for pattern in PATTERNS for path in sorted(folder.glob(pattern)))
    return [path.relative_to(folder) for path in found]


def _names(ending: str) -> list[str]:
    return sorted(one.stem for one in example_files() if one.suffix == ending)


def readable_file(path: str | Path, ending: str, called: str = "path") -> Path:
    """Return the path of a file to read, or of an example; messages call the argument `called`."""
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


def file_read_error(path: str | Path, error: OSError, ending: str = "") -> ScenarioError:
    """Return the error for a file that cannot be read, with the place and the likely file meant."""
    problem, place, hint = error.strerror, Path(path), ""
    if isinstance(error, FileNotFoundError) and not place.is_absolute():
        others = (Path("..") / place, Path("data") / place.name, Path("../data") / place.name)
        found = [other.as_posix() for other in others if other.is_file()]
        name = place.name.rpartition(":")[2].removesuffix(ending)
        found += [PREFIX + name] if name in _names(ending) else []
        problem = f"{problem} in {Path.cwd()}"
        hint = f"; did you mean {found[0]!r}?" if found else ""
    return ScenarioError(f"{path}: cannot be read ({problem}){hint}")
