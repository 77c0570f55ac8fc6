"""What the documentation shows is what happens."""

import contextlib
import doctest
import importlib
import inspect
import pkgutil
import re
import shlex
from pathlib import Path

import matplotlib
import pytest

import asyncsim
from asyncsim.cli.main import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
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
"""Classes that users do not construct: the example is that of the function that returns them."""


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


def test_the_readme_is_short():
    """At most 140 lines and 1,100 words; the manual has pages of its own."""
    assert len(README.splitlines()) <= 140
    assert len(README.split()) <= 1100


def test_the_code_in_the_readme_runs(tmp_path, monkeypatch):
    """Its cells run one after the other in an empty folder, and do what stands beside them."""
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names = {}
    for block in blocks:
        exec(block, names)
    session = names["session"]
    states = session.beside("5_31").set_index("strategy")["state"]
    assert states.to_dict() == {"callback": "resumed", "polling 15 min": "waiting"}
    assert 130 <= len(session.waiting) <= 170
    with pytest.raises(asyncsim.AlreadyFinished):
        session.finish("5_31")
    session.close()
    with contextlib.closing(asyncsim.live(store="workshop.db")) as again:
        assert "5_31" not in set(again.waiting["serial_number"])
        again.finish("6_31")


def test_the_result_in_the_readme_is_what_its_command_prints(capsys, monkeypatch):
    """Latency, requests and wasted checks of `make demo`, rounded as they stand there."""
    command = re.search(r"\.venv/bin/asyncsim (compare .*?)\n[^ ]", README, re.DOTALL)[1]
    words = shlex.split(command.replace("\\\n", ""))
    demo = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndemo:")[2]
    assert all(word in demo for word in words)
    monkeypatch.chdir(ROOT)
    assert main(words) == 0
    printed = [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()]
    rows = {row[0]: [cell.split()[0] for cell in row[1:]] for row in printed if len(row) == 3}
    callback, polling = rows["mean latency"]
    text = " ".join(README.split())
    assert f"resumes the step {float(callback):.0f} ms after" in text
    assert f"takes {float(polling):.1f} min" in text
    assert f"{float(rows['checks per wait'][1]):.0f} requests" in text
    assert f"{float(rows['wasted share'][1]):.0f} % find nothing" in text


def test_commands_of_the_readme_and_of_contributing_exist():
    """Each `make` target is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    wanted = set(re.findall(r"^make (\w+)|`make (\w+)`", text, flags=re.MULTILINE))
    assert len(wanted) > 5
    for target in map("".join, wanted):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_citation_names_this_version():
    """It has what the Citation File Format 1.2.0 requires, and the version of the package."""
    yaml = pytest.importorskip("yaml", reason="needs the group docs")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"authors", "cff-version", "message", "title"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == asyncsim.__version__


def test_readme_names_only_files_that_exist():
    """Links and pictures lead somewhere."""
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
    for target in re.findall(r"`((?:asyncsim|data|notebooks|tests)/[\w./]*)`", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_files_and_rooms_that_a_page_names_exist(page):
    """A file is named by its path from the project or from the package, a room with a slash."""
    named = re.findall(r"`([\w./]+(?:\.py|\.md|/))`", (ROOT / page).read_text(encoding="utf-8"))
    assert len(named) > 10
    rooms = re.findall(
        r"^\| `(\w+)/` \|.*\| `(\w+\.py)` \|$", (ROOT / page).read_text("utf-8"), re.M
    )
    begin = {file: f"{room}/{file}" for room, file in rooms}
    for name in [name for name in named if not name.startswith(("out/", ".venv/"))]:
        places = [
            ROOT / name,
            ROOT / "asyncsim" / begin.get(name, name),
            ROOT / "asyncsim/cli" / name,
        ]
        assert any(place.exists() for place in places), f"{page} names {name}"
