"""The house stays as it was drawn: short modules, imports downwards only, no circles."""

import ast
import re
import sys
import tomllib
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "asyncsim"
ROOMS = [
    "errors",
    "platform",
    "plots",
    "model",
    "engine",
    "fast",
    "experiment",
    "verification",
    "eventlog",
    "capacity",
    "calibration",
    "live",
    "widgets",
    "exercises",
    "cli",
]
"""From the ground up; a room imports only from rooms below it."""
OPENED_FROM_BELOW = {
    ("asyncsim.live.session", "asyncsim.live.serve"),
    ("asyncsim.live.session", "asyncsim.widgets.console"),
    ("asyncsim.live.session", "asyncsim.widgets.view"),
}
"""The only exceptions: what is built upon a session, and imported when a person asks for it."""


def imports(path: Path) -> set[str]:
    """Return the modules of the package that a module imports, also for its types only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("asyncsim"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if file_of(inner) else node.module)
    return found


def file_of(module: str) -> Path | None:
    """Return the file of a module, or None if there is no such module."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.exists()), None)


MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
    for path in PACKAGE.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
}


def stairs(name: str) -> set[str]:
    """Return the modules that a module is built upon, those that it merely opens left out."""
    found = imports(MODULES[name])
    return {imported for imported in found if (name, imported) not in OPENED_FROM_BELOW}


def test_what_is_opened_from_below_is_imported_only_when_asked_for():
    """Each exception is an import inside a function; one that is gone is struck off the list."""
    for name, opened in OPENED_FROM_BELOW:
        tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
        inner = [
            node.module
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
            if isinstance(node, ast.ImportFrom)
        ]
        assert opened in inner, f"{name} does not open {opened}"


def test_no_module_is_too_long_to_read():
    """A module is a few screenfuls: at most 700 lines."""
    lines = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    assert not {name: n for name, n in lines.items() if n > 700}


def test_no_function_is_too_long_to_read():
    """The code of a function is at most 60 lines."""
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = node.end_lineno - body[0].lineno + 1 if body else 0
                assert length <= 60, f"{name}.{node.name}: {length} lines"


def test_imports_go_downwards_only():
    """A room imports only from rooms below it."""
    for name in MODULES:
        room = ROOMS.index(name.split(".")[1])
        for imported in stairs(name):
            assert ROOMS.index(imported.split(".")[1]) <= room, f"{name} imports {imported}"


def test_there_are_no_circles():
    """No module imports itself by a detour, not even for type hints."""
    graph = {name: stairs(name) - {name} for name in MODULES}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError on a circle


def test_what_is_imported_is_declared():
    """Every library has its floor in pyproject.toml, also one that another brings along."""
    declared = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    project = declared["project"]
    extras = chain.from_iterable(project["optional-dependencies"].values())
    wanted = [re.match(r"[\w-]+", one)[0] for one in (*project["dependencies"], *extras)]
    names = {name.replace("-", "_") for name in wanted}
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").split(".")[0])
    assert "numpy" in found
    found -= sys.stdlib_module_names | {"asyncsim"}
    assert {name.lower() for name in found} <= names


def test_what_users_may_install_is_no_tool_of_development():
    """The extras are for users; tools are dependency groups, which no wheel offers."""
    declared = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(declared["project"]["optional-dependencies"]) == {"fast", "lab", "logs", "serve"}
    assert {"test", "docs", "lite", "dev"} <= set(declared["dependency-groups"])
