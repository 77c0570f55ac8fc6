"""What the documentation shows is what happens."""

import doctest
import importlib
import inspect
import pkgutil
import re
import shutil
from pathlib import Path

import matplotlib
import pytest

import asyncsim

ROOT = Path(__file__).parent.parent
MODULES = [
    info.name
    for info in pkgutil.walk_packages(asyncsim.__path__, "asyncsim.")
    if "__main__" not in info.name
]

RETURNED_BY = {
    "Capacity": "fewest_workers",
    "Check": "fit",
    "Comparison": "compare",
    "Expected": "Polling",
    "Fit": "fit",
    "Frontier": "frontier",
    "HerdDrain": "herd_drain",
    "NeededReplications": "replications_for",
    "Profile": "profiles",
    "QuantileInterval": "quantile_interval",
    "Replay": "replay",
    "Run": "simulate",
    "Session": "live",
    "SteadyState": "steady_state",
    "Sweep": "sweep",
}
"""Nobody makes these by hand: the example stands where they come from."""


@pytest.mark.parametrize("name", ["asyncsim", *MODULES])
def test_examples_in_docstrings_run(name):
    """Every ``>>>`` example in a docstring gives what stands below it."""
    found = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.ELLIPSIS, extraglobs={"sim": asyncsim}
    )
    assert found.failed == 0


@pytest.mark.parametrize("name", asyncsim.__all__)
def test_every_public_name_has_an_example(name):
    """A public name, or the function that returns it, shows an example, which is run above."""
    shown = getattr(asyncsim, RETURNED_BY.get(name, name))
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(shown) or "")
    assert [e for e in examples if not e.options.get(doctest.SKIP)], f"{name} has no example"


@pytest.mark.filterwarnings("ignore::asyncsim.LogWarning")  # the log is dirty on purpose
@pytest.mark.slow
def test_the_code_in_the_readme_runs(tmp_path, monkeypatch):
    """All Python blocks of README run, one after the other, with fewer instances."""
    matplotlib.use("agg")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 2
    shutil.copytree(ROOT / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(block.replace("500/day", "40/day"), names)
    assert (tmp_path / "mine.toml").exists()


def test_readme_names_only_files_that_exist():
    """Links and pictures lead somewhere."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
    for target in re.findall(r"`((?:asyncsim|data|notebooks|tests)/[\w./]*)`", text):
        assert (ROOT / target).exists(), target
