"""The house stays as it was drawn: short modules, imports downwards only, no circles."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "asyncsim"
ROOMS = ["errors", "plots", "model", "engine", "study", "live", "widgets", "exercises", "cli"]
"""From the ground up; a room imports only from rooms below it."""


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


def test_no_module_is_too_long_to_read():
    """A module is a few screenfuls: at most 400 lines."""
    lines = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    assert not {name: n for name, n in lines.items() if n > 400}


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
    for name, path in MODULES.items():
        room = ROOMS.index(name.split(".")[1])
        for imported in imports(path):
            assert ROOMS.index(imported.split(".")[1]) <= room, f"{name} imports {imported}"


def test_there_are_no_circles():
    """No module imports itself by a detour, not even for type hints."""
    graph = {name: imports(path) - {name} for name, path in MODULES.items()}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError on a circle
