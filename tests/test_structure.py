"""The house stays as it was drawn: short modules, imports downwards only, no circles."""

import ast
import re
import sys
import tomllib
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

from asyncsim.model.strategies import STRATEGIES, CheckingStrategy
from asyncsim.model.systems import SYSTEMS

PACKAGE = Path(__file__).parent.parent / "asyncsim"
ROOMS = [
    "errors",
    "platform",
    "model",
    "plots",
    "engine",
    "fast",
    "experiment",
    "studies",
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


ASK_FOR_CLASSES = {"asyncsim.exercises.course"}
"""Exercises judge what a participant hands in, such as "a callback"; they do not play it."""
CONCRETE = {cls.__name__ for cls in (*STRATEGIES.values(), *SYSTEMS.values(), CheckingStrategy)}


def asked_for(tree: ast.AST) -> set[str]:
    """Return the names of strategies and systems whose class the code of a module asks for."""
    parts: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("isinstance", "issubclass"):
                parts += node.args[1:]
        elif isinstance(node, ast.Compare):
            parts += node.comparators
        elif isinstance(node, ast.MatchClass):
            parts.append(node.cls)
    inside = [inner for part in parts for inner in ast.walk(part)]
    called = {id(one.func) for one in inside if isinstance(one, ast.Call)}
    names = [one for one in inside if isinstance(one, ast.Name | ast.Attribute)]
    return CONCRETE & {
        one.id if isinstance(one, ast.Name) else one.attr for one in names if id(one) not in called
    }


def test_only_the_model_asks_for_the_class_of_a_strategy_or_system():
    """All others read specifications, so that a subclass never passes for its base."""
    for name, path in MODULES.items():
        if not name.startswith(("asyncsim.model.", *ASK_FOR_CLASSES)):
            found = asked_for(ast.parse(path.read_text(encoding="utf-8")))
            assert not found, f"{name} asks for {found}"


@pytest.mark.parametrize(
    "code",
    [
        "isinstance(x, Polling)",
        "isinstance(x, (str, sim.NightlyBatch | People))",
        "type(x) is Callback",
        "type(x) in (Backoff, int)",
        "match x:\n    case Chain(): pass",
    ],
)
def test_asking_for_a_class_is_found(code):
    """In each of the ways in which Python can ask; making one to compare with is none of them."""
    assert asked_for(ast.parse(code))
    assert not asked_for(ast.parse("x == Callback()"))


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
        for imported in imports(MODULES[name]):
            assert ROOMS.index(imported.split(".")[1]) <= room, f"{name} imports {imported}"


def test_there_are_no_circles():
    """No module imports itself by a detour, not even for type hints."""
    graph = {name: imports(path) - {name} for name, path in MODULES.items()}
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


def test_no_name_of_a_file_or_class_is_used_twice():
    """A reader who searches for a name finds one thing."""
    classes = [
        node.name
        for path in MODULES.values()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    files = [path.stem for path in MODULES.values()]
    for names in (classes, files):
        assert not {name for name in names if names.count(name) > 1}
