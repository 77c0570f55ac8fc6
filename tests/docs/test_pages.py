"""The manual: its tables come from the code, its examples load and run, its commands exist."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import attrs
import matplotlib
import pytest
import tomli_w

import asyncsim as sim
from asyncsim.cli import main as command_line

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SPEC = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
make_reference = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_reference)

SCENARIO_FILES = (DOCS / "scenario_files.md").read_text("utf-8")
WITH_CODE = ("capacity", "logs", "numbers", "reliability", "speed")


def blocks(text, *languages):
    """Return the fenced blocks of some languages, in their order."""
    return re.findall(rf"```({'|'.join(languages)})\n(.*?)```", text, re.DOTALL)


# --- generated tables ---------------------------------------------------------------------------


@pytest.mark.parametrize("page", make_reference.pages(), ids=lambda page: page.stem)
def test_generated_tables_are_up_to_date(page):
    """What is committed is what the code gives."""
    text = page.read_text("utf-8")
    assert make_reference.written(text) == text, "run: python docs/make_reference.py"


def test_the_pages_of_the_manual_have_their_tables():
    """Without its marks a page would pass the test above."""
    found = {page.stem for page in make_reference.pages()}
    assert found == {"command_line", "numbers", "rest", "scenario_files"}


def test_the_page_of_numbers_has_every_metric():
    """They are the columns of the summary of a run with prices, after those that identify it."""
    scenario = sim.Scenario.load(ROOT / "data" / "capstone.toml")
    text = (DOCS / "numbers.md").read_text("utf-8")
    columns = list(sim.simulate(scenario, sim.Callback(), seed=1).summary())
    listed = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert listed == columns[columns.index("instances") + 1 :]


def test_a_key_without_a_meaning_is_named(monkeypatch):
    """A new key needs an entry in its class's Parameters; its table is not written without."""
    monkeypatch.setattr(sim.Polling, "__doc__", "Asks.\n\nParameters\n----------\ninterval\n    I.")
    with pytest.raises(LookupError, match=r"Polling\.anchor"):
        make_reference.keys("Polling")


# --- scenario files -----------------------------------------------------------------------------


def examples():
    """Return the examples of the page, each completed to a whole file by the first one."""
    whole, *parts = [tomllib.loads(text) for _, text in blocks(SCENARIO_FILES, "toml")]
    completed = [whole]
    for part in parts:
        if "process" in part:
            part["process"].setdefault("name", "example")
        completed.append(whole | part)
    return completed


def sections():
    """Return, for each class whose keys are listed, the example that its section begins with."""
    pattern = r"```toml\n|<!-- begin keys (\w+) -->"
    found, example = {}, -1
    for match in re.finditer(pattern, SCENARIO_FILES):
        if match[1] is None:
            example += 1
        else:
            found[match[1]] = example
    return found


def loaded(data, folder):
    """Return the scenario that a file of these data gives."""
    path = folder / "example.toml"
    path.write_text(tomli_w.dumps(data), "utf-8")
    return sim.Scenario.load(path)


def within(value):
    """Yield a described object and all objects inside it."""
    if attrs.has(type(value)):
        yield value
        for field in attrs.fields(type(value)):
            yield from within(getattr(value, field.name))
    elif hasattr(value, "values") and not isinstance(value, sim.Duration):
        for part in value.values():
            yield from within(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from within(part)


@pytest.mark.parametrize(("name", "example"), list(sections().items()))
def test_each_table_has_an_example_that_loads(name, example, tmp_path):
    """The example above the keys of a class makes an object of this class."""
    scenario = loaded(examples()[example], tmp_path)
    assert any(type(part) is getattr(sim, name) for part in within(scenario))


def test_every_example_loads_and_is_saved(tmp_path):
    """What is saved gives an equal scenario back."""
    for data in examples():
        scenario = loaded(data, tmp_path)
        scenario.save(tmp_path / "saved.toml")
        assert sim.Scenario.load(tmp_path / "saved.toml") == scenario


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"process": {"name": "p", "steps": [{"kind": "x"}]}}, "kind"),
        ({"systems": {"ledger": {"kind": "x"}}}, "kind"),
        ({"arrivals": {"kind": "x"}}, "kind"),
        ({"process": {"name": "p", "steps": [{"kind": "step", "work": {"law": "x"}}]}}, "law"),
    ],
)
def test_every_kind_is_on_the_page(table, key, tmp_path):
    """The error about an unknown kind lists all; the page has an example or a row of each."""
    with pytest.raises(sim.ScenarioError, match="must be one of") as error:
        loaded(examples()[0] | table, tmp_path)
    listed = str(error.value).partition("must be one of ")[2].partition(", got")[0]
    for word in re.findall(r"'([^']+)'", listed):
        assert f'{key} = "{word}"' in SCENARIO_FILES or f'| `"{word}"` |' in SCENARIO_FILES, word


# --- code and commands --------------------------------------------------------------------------


def test_no_page_with_code_is_left_out():
    """The code of every page is run below, or by Sphinx if it is a notebook."""
    texts = {page.stem: page.read_text("utf-8") for page in DOCS.glob("*.md")}
    assert {name for name, text in texts.items() if blocks(text, "python")} == {*WITH_CODE, "rest"}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Run in a temporary folder that has a copy of data/, without windows."""
    matplotlib.use("agg")
    shutil.copytree(ROOT / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore::asyncsim.LogWarning")  # the log is dirty on purpose
@pytest.mark.parametrize("name", WITH_CODE)
def test_the_code_of_a_page_runs(name, workplace):
    """The Python blocks of a page run one after the other, with fewer instances."""
    code = blocks((DOCS / f"{name}.md").read_text("utf-8"), "python")
    assert code
    names = {}
    for _, block in code:
        exec(block.replace("500/day", "40/day"), names)


def test_the_code_of_rest_runs(workplace):
    """Python and curl, in their order, against one endpoint; both see what the page says."""
    pytest.importorskip("httpx")
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    names, shown = {}, []
    for language, block in blocks((DOCS / "rest.md").read_text("utf-8"), "python", "sh"):
        if language == "python":
            exec(block.replace("session.console()", ""), names)
        elif "curl" in block:
            endpoint = names["endpoint"]
            own = {"API": f"{endpoint.url}/api/workflow/v1", "TOKEN": endpoint.token}
            asked = subprocess.run(
                ["sh", "-ec", block],
                env=os.environ | own,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert asked.returncode == 0, asked.stderr
            shown.append(asked.stdout)
    assert '"serialNumber":"1_31"' in shown[0]
    assert "HTTP/1.1 204" in shown[0]
    assert names["number"] == "2_31"


def commands():
    """Yield every `asyncsim` command in the pages, with its page."""
    for page in sorted(DOCS.glob("*.md")):
        for _, block in blocks(page.read_text("utf-8"), "sh"):
            for line in block.splitlines():
                if line.startswith("asyncsim "):
                    yield pytest.param(line, id=f"{page.stem}: {line[:40]}")


@pytest.mark.parametrize("line", list(commands()))
def test_commands_of_the_pages_exist(line):
    """The parser of the command line takes them; files are those of data/ or examples."""
    words = shlex.split(line, comments=True)[1:]
    command_line._parser().parse_args(words)
    for word in words:
        if word.startswith("data/"):
            assert (ROOT / word).exists()
