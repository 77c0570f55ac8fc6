"""A scenario file gives back what it was written from; a wrong one says where it is wrong."""

import re
import tomllib
from datetime import date

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenarios import scenarios

from asyncsim.errors import ScenarioError
from asyncsim.model.arrivals import Arrivals, Poisson, WeeklyPoisson
from asyncsim.model.distributions import Empirical, Fixed
from asyncsim.model.process import AsyncStep, Choice, Process, Step
from asyncsim.model.request_log import RequestLog, header_of
from asyncsim.model.scenario import Scenario
from asyncsim.model.scenario_files import dumps, lines_of, loads
from asyncsim.model.systems import ExternalSystem, NightlyBatch, OnlineService

odd_words = st.sampled_from(
    ["", "é ", 'quote " ', "dot.dash-", "line\nbreak ", "# ", "[x] ", "日本 "]
)
FILE = """\
name = "nightly ledger"
start = "2026-01-05"
length = "1d"

[process]
name = "order to cash"

[[process.steps]]
kind = "step"
name = "validate"
work = { law = "exponential", mean = "200ms" }

[[process.steps]]
kind = "async step"
name = "post to ledger"
system = "ledger"
call_work = "20ms"
timeout = "2d"
response = { accepted = 0.9, done = 0.1 }
on_timeout = [{ kind = "step", name = "complain", work = 5 }]

[[process.steps]]
kind = "choice"
name = "which"

[[process.steps.branches]]
probability = 0.25
steps = [{ kind = "step", name = "pack", work = { law = "gamma", mean = 30, sd = 10 } }]

[[process.steps.branches]]
probability = 0.75

[[process.steps]]
kind = "parallel"
name = "both"
branches = [
    { steps = [{ kind = "step", name = "mail" }] },
    { steps = [{ kind = "async step", name = "approve", system = "team" }] },
]

[systems.ledger]
kind = "nightly batch"
start = 22:00:00
item_time = { law = "lognormal", mean = "150ms", sd = "100ms" }
days = "Mon-Fri"

[systems.team]
kind = "chain"
systems = [
    { kind = "people", team = 3, item_time = "10min", between = ["08:00", "17:00"] },
    { kind = "online service", item_time = 1.5 },
]

[arrivals]
kind = "poisson"
rate = "10000/day"
between = ["08:00", "20:00"]

[server]
workers = 4
poll_work = "10ms"

[server.policy]
early = "buffer"
"""


DEEP = "[process]\nname = 'p'\n[[process.steps]]\nkind = 'async step'\nname = 'a'\nsystem = 's'\n"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return one file name for all examples of a test."""
    return tmp_path_factory.mktemp("files") / "scenario.toml"


def load(path, text):
    """Write a text and load it as a scenario."""
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text, encoding="utf-8", newline="\n")
    return Scenario.load(path)


# --- there and back -----------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scenarios(odd_words))
def test_loading_what_was_saved_gives_the_same_scenario(path, scenario):
    """Every kind of part survives the file; a second file is the same text."""
    scenario.save(path)
    text = path.read_bytes()
    loaded = Scenario.load(path)
    assert loaded == scenario
    loaded.save(path)
    assert path.read_bytes() == text


def test_a_file_written_by_hand(path):
    """What a person writes in the words of the design is understood, defaults and all."""
    scenario = load(path, FILE)
    assert scenario.start == date(2026, 1, 5)
    assert scenario.systems["ledger"].start == "22:00"
    assert [type(part).__name__ for part in scenario.process.steps] == [
        "Step",
        "AsyncStep",
        "Choice",
        "Parallel",
    ]
    post = scenario.process.steps[1]
    assert (post.timeout, post.call_work) == (172800.0, Fixed(0.02))
    assert post.on_timeout == (Step("complain", 5),)
    assert scenario.server.policy.early == "buffer"
    assert scenario.arrivals == Poisson("10000/day", between=("08:00", "20:00"))
    scenario.save(path)
    assert Scenario.load(path) == scenario


def test_a_saved_file_is_meant_for_people(path):
    """Durations and rates are written as words, and what is a default is left out."""
    load(path, FILE).save(path)
    text = path.read_text(encoding="utf-8")
    for words in ('mean = "200ms"', 'timeout = "2d"', 'rate = "10000/day"', 'start = "22:00"'):
        assert words in text
    assert "retries" not in text
    assert "arm_delay" not in text


def test_a_byte_order_mark_is_no_error(path):
    """Editors on Windows put one at the beginning of a file."""
    assert load(path, b"\xef\xbb\xbf" + FILE.encode()) == load(path, FILE)


# --- what is wrong, and where -------------------------------------------------------------------

MAIL = '{ steps = [{ kind = "step", name = "mail"'
PACK = 'steps = [{ kind = "step", name = "pack"'
LINKS = 'systems = [\n    { kind = "people"'
TYPOS = {  # what stood there, what stands there now, the place, the problem
    "top": (
        "length =",
        "lenght =",
        "",
        "Scenario has no key 'lenght'; did you mean 'length'?",
    ),
    "section": (
        '[server]\nworkers = 4\npoll_work = "10ms"\n\n[server.policy]',
        "[sever]",
        "",
        "Scenario has no key 'sever'; did you mean 'server'?",
    ),
    "step": (
        'timeout = "2d"',
        'timeot = "2d"',
        "process.steps[2]: ",
        "AsyncStep has no key 'timeot'; did you mean 'timeout'?",
    ),
    "path": (
        "work = 5",
        "wrok = 5",
        "process.steps[2].on_timeout[1]: ",
        "Step has no key 'wrok'; did you mean 'work'?",
    ),
    "law": (
        "sd = 10",
        "sdd = 10",
        "process.steps[3].branches[1].steps[1].work: ",
        "Gamma has no key 'sdd'; did you mean 'sd'?",
    ),
    "law's name": (
        '"gamma"',
        '"gama"',
        "process.steps[3].branches[1].steps[1].work: ",
        "law must be one of 'fixed', 'exponential', 'lognormal', 'uniform', 'gamma', "
        "'empirical', got 'gama'; did you mean 'gamma'?",
    ),
    "branch": (
        "probability = 0.25",
        "probabilty = 0.25",
        "process.steps[3].branches[1]: ",
        "Branch has no key 'probabilty'; did you mean 'probability'?",
    ),
    "parallel branch": (
        MAIL,
        MAIL.replace("steps", "stesp"),
        "process.steps[4].branches[1]: ",
        "a parallel branch has no key 'stesp'; did you mean 'steps'?",
    ),
    "response": (
        "done = 0.1",
        "donne = 0.1",
        "process.steps[2].response: ",
        "Response has no key 'donne'; did you mean 'done'?",
    ),
    "kind": (
        '"async step"\nname = "post',
        '"asyncstep"\nname = "post',
        "process.steps[2]: ",
        "kind must be one of 'step', 'async step', 'choice', 'parallel', 'delay', 'retry', "
        "'repeat', 'for each', 'first of', 'quorum', got 'asyncstep'; did you mean 'async step'?",
    ),
    "system": (
        'days = "Mon',
        'dayz = "Mon',
        "systems.ledger: ",
        "NightlyBatch has no key 'dayz'; did you mean 'days'?",
    ),
    "link": (
        "team = 3",
        "teem = 3",
        "systems.team.systems[1]: ",
        "People has no key 'teem'; did you mean 'team'?",
    ),
    "arrivals": (
        "rate =",
        "rat =",
        "arrivals: ",
        "Poisson has no key 'rat'; did you mean 'rate'?",
    ),
    "policy": (
        "early =",
        "erly =",
        "server.policy: ",
        "FinishPolicy has no key 'erly'; did you mean 'early'?",
    ),
    "policy's word": (
        '"buffer"',
        '"bufer"',
        "server.policy: ",
        "FinishPolicy.early must be one of 'reject', 'buffer', 'ignore', 'start', got 'bufer'; "
        "did you mean 'buffer'?",
    ),
    "reference": (
        'system = "ledger"',
        'system = "ledgr"',
        "",
        "AsyncStep.system of 'post to ledger' must name one of the scenario's systems ('ledger', "
        "'team'), got 'ledgr'; did you mean 'ledger'?",
    ),
    "lacking": ('name = "validate"\n', "", "process.steps[1]: ", "Step lacks the key 'name'"),
    "value": (
        'poll_work = "10ms"',
        "poll_work = -1",
        "server: ",
        "WorkflowServer.poll_work must not be negative, got -1",
    ),
    "huge": (
        'poll_work = "10ms"',
        "poll_work = 1" + 400 * "0",
        "server: ",
        "WorkflowServer.poll_work must be a duration such as",
    ),
    "no table": (
        PACK,
        PACK.replace("[", "[5, "),
        "process.steps[3].branches[1].steps[1]: ",
        "must be a table, got 5",
    ),
    "no array": (
        LINKS,
        f"systems = 5\nmore_{LINKS}",
        "systems.team.systems: ",
        "must be an array, got 5",
    ),
    "holidays": (
        'days = "Mon-Fri"',
        'holidays = ["DE"]',
        "systems.ledger: ",
        "NightlyBatch.holidays must be a country such as 'DE'",
    ),
}


@pytest.mark.parametrize(("right", "wrong", "place", "problem"), TYPOS.values(), ids=TYPOS.keys())
def test_a_mistake_is_named_with_its_place(path, right, wrong, place, problem):
    """The message tells the file, the place in it, what is wrong, and the nearest valid word."""
    assert FILE.count(right) == 1
    with pytest.raises(ScenarioError) as caught:
        load(path, FILE.replace(right, wrong))
    text = re.sub(r"(?m)(^  |: )line \d+: ", r"\1", str(caught.value))
    assert text.startswith(f"{path}: ")
    assert f"{place}{problem}" in text


def test_a_misspelt_system_is_named_with_step_and_line(path):
    """Though the step itself is valid: the scenario has no such system."""
    wrong = FILE.replace('system = "ledger"', "system = 'leger'", 1)
    line = wrong[: wrong.index("system = 'leger'")].count("\n") + 1
    with pytest.raises(ScenarioError, match=rf"line {line}: AsyncStep.system of '[^']+' must name"):
        load(path, wrong)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("[systems.ledger]", "[system.ledger]", r"line \d+: Scenario has no key 'system'"),
        ("[systems.ledger]", "[[systems.ledger]]", r"line \d+: .* a table, such as \[systems\.led"),
        (
            "[[process.steps]]",
            "[process.steps]",
            r"needs the double brackets of \[\[process\.steps",
        ),
    ],
)
def test_a_wrong_header_is_named_with_its_line(path, right, wrong, message):
    """Also where only the first part of it is wrong, or the number of its brackets."""
    with pytest.raises(ScenarioError, match=message):
        load(path, FILE.replace(right, wrong, 1))


@pytest.mark.parametrize("number", ["600", "0.5"])
def test_a_file_says_per_what_a_rate_is(path, number):
    """In Python a number is per second; in a file one without a unit is rather per day or hour."""
    assert Poisson(float(number)).rate.per_second == float(number)
    with pytest.raises(
        ScenarioError, match=rf"line \d+: .*, got '{number}'; did you mean '{number}/"
    ):
        load(path, FILE.replace('"10000/day"', number))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[process", "line 1 is not valid TOML: [process (Expected ']'"),
        ('name = "x', 'name = "x; the text lacks the second quote'),
        ("zone = 'Rome\"", "the text lacks the second quote"),
        (
            "zone =",
            "line 1 is not valid TOML: zone =; give zone a value, or begin the line with '#'",
        ),
        ("\nloss = 30% # much", "line 2 is not valid TOML: loss = 30% # much; write 0.3"),
        ("\nloss = 0,4", "loss = 0,4; did you mean 0.4?"),
        ("timeout = 5d", 'timeout = 5d; put it in quotes: timeout = "5d"'),
        ("start = 21:30 # late", 'put it in quotes: start = "21:30"'),
        ("between = [08:00, 20:00]", "put texts and values with units in quotes"),
        ("name = “x”", "write straight quotes"),
        ("skip = True", "did you mean true?"),
        ("timeout = None", "leave timeout out"),
        ("workers: 4", "did you mean: workers = 4"),
    ],
)
def test_a_line_that_is_no_toml_is_shown_with_what_it_may_mean(path, text, message):
    """Units without quotes, decimal commas, and habits of other languages."""
    with pytest.raises(ScenarioError) as caught:
        load(path, text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = \n", "line 1 is not valid TOML: name =; give name a value"),
        ('name = "x"\nname = "y"\n', 'line 2 is not valid TOML: name = "y" (Cannot overwrite'),
        (b"name = '\xff'", "is not UTF-8 text (byte 8)"),
        ("x = 1" + "0" * 5000, "is not valid TOML: "),
        ("x = " + "[" * 100_000, "arrays must not be nested deeper than 150"),
        ("x = " + "{a=" * 100_000, "arrays must not be nested deeper than 150"),
        ("x = 1\n" + "a." * 100_000 + "b = 1", "a key must have 150 dotted parts at most"),
        ("[" + "'a' . " * 300 + '"b"]', "a key must have 150 dotted parts at most"),
        (
            DEEP
            + "on_timeout = [{kind = 'async step', name = 'b', system = 's', " * 60
            + "timeout = 1"
            + "}]" * 60,
            "nested no deeper than 50",
        ),
        ('name = """' + "a" * 50_000_000, "must have 50,000,000 characters at most"),
        ("start = 9999-12-31", "Scenario lacks"),
        ("name = 'x'".encode("utf-16"), "is not UTF-8 text (byte 0)"),
        ("a" * 100_000 + " = 1", "Scenario has no key 'aaaaaaaa"),
        ("", "Scenario lacks the key 'name'"),
        ("process = 5", "process: must be a table, got 5"),
    ],
    ids=[
        "syntax",
        "twice",
        "bytes",
        "endless",
        "deep",
        "deep table",
        "dotted",
        "dotted header",
        "deep steps",
        "long",
        "date",
        "utf-16",
        "long key",
        "empty",
        "no table",
    ],
)
def test_what_is_no_scenario_file(path, text, message):
    """A file that is not TOML, or not a scenario, is refused with the line or the key."""
    with pytest.raises(ScenarioError) as caught:
        load(path, text)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_dots_and_brackets_in_texts_and_numbers_are_no_structure(path):
    """Only keys and arrays are bounded: neither what a description says nor a list of numbers."""
    words = "a.b." * 200 + "[" * 200
    for quotes in ('"', "'", '"""', "'''"):
        line = f"description = {quotes}{words}{quotes} # {words}\n"
        assert load(path, line + FILE).description == words
    scenario = Scenario.load("data/person.toml")
    many = Empirical(np.arange(1000) + 0.5)
    scenario = scenario.replace(systems=dict.fromkeys(scenario.systems, OnlineService(many)))
    scenario.save(path)
    assert Scenario.load(path) == scenario


def test_a_process_as_deep_as_can_be_is_saved_and_loaded(path):
    """What a file may hold and what a process may be are one bound."""
    inner = [Step("0")]
    for k in range(1, 51):
        inner = [Choice(f"c{k}", [(0.5, inner), (0.5, [])])]
    scenario = Scenario.load("data/person.toml")
    steps = [*scenario.process.steps, *inner]
    scenario = scenario.replace(process=Process("deep", steps))
    scenario.save(path)
    assert Scenario.load(path) == scenario
    with pytest.raises(ScenarioError, match="nested no deeper than 50"):
        Process("deeper", [Choice("more", [(0.5, inner), (0.5, [])])])


@pytest.mark.parametrize("name", ["a\0b.toml", "a\ud800b.toml"])
def test_a_name_that_no_file_has_is_refused(name):
    """Whatever reads or writes a file."""
    scenario = Scenario.load("data/person.toml")
    for action in (Scenario.load, scenario.save, RequestLog.read, header_of):
        with pytest.raises(ScenarioError, match="path must be the name of a file, got 'a"):
            action(name)


def test_a_file_that_cannot_be_read(tmp_path):
    """A missing file and a directory are named."""
    for wrong in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ScenarioError, match="cannot be read"):
            Scenario.load(wrong)


def test_classes_of_your_own_cannot_be_written(path):
    """What a file could not give back is not written, and the old file stays."""

    @attrs.frozen
    class Mine(ExternalSystem):
        item_time = Fixed(1.0)

        def run(self, context):
            yield

    class MyLaw(Fixed):
        pass

    class Never(Arrivals):
        def draw(self, rng, calendar, length):
            raise NotImplementedError

    scenario = load(path, FILE)
    before = path.read_bytes()
    systems = dict(scenario.systems)
    for changed, name in [
        (scenario.replace(systems=systems | {"ledger": Mine()}), "Mine"),
        (scenario.replace(systems=systems | {"ledger": OnlineService(MyLaw(1))}), "MyLaw"),
        (scenario.replace(arrivals=Never()), "Never"),
    ]:
        with pytest.raises(ScenarioError, match=f"{name} is a .* of your own: no file can hold it"):
            changed.save(path)
    assert path.read_bytes() == before


def test_numbers_stand_many_to_a_line():
    """A week of rates and observed times do not take a line each, and are read back the same."""
    scenario = Scenario(
        name="week",
        process=Process("p", [AsyncStep("post", "ledger")]),
        systems={"ledger": NightlyBatch("22:00", Empirical(np.linspace(0, 1, 101)))},
        arrivals=WeeklyPoisson(np.arange(168.0).reshape(7, 24)),
    )
    text = dumps(scenario)
    assert len(text.splitlines()) < 70
    assert max(len(line) for line in text.splitlines()) <= 101  # a comma may end it
    assert loads(text, Scenario, "text") == scenario


@pytest.mark.parametrize("deep", ["", "a/way/that/is/long/" * 8])
def test_where_a_file_cannot_be_is_told_in_words(tmp_path, deep):
    """Neither a folder that is not there, nor another kind of file, nor something else."""
    tmp_path = tmp_path / deep
    tmp_path.mkdir(parents=True, exist_ok=True)
    scenario = Scenario.load("data/person.toml")
    for wrong, problem in (
        (tmp_path / "nowhere" / "x.toml", r"nowhere.*x\.toml: cannot be written \(No such file"),
        (tmp_path, r"cannot be written \("),
        (tmp_path / "x.json", r"path must end in \.toml, got '.*x\.json'"),
        (3, "path must be the name of a file, got 3"),
    ):
        with pytest.raises(ScenarioError, match=problem):
            scenario.save(wrong)
    assert not (tmp_path / "x.json").exists()
    for read in (Scenario.load, RequestLog.read):
        with pytest.raises(ScenarioError, match="path must be the name of a file, got 3"):
            read(3)
    scenario.save(str(tmp_path / "plain"))
    assert Scenario.load(tmp_path / "plain") == scenario


LINED = '''\
# "x" = 1 [no.table]
first = 2
text = """
[no.table]
no = 5 \\\\
""" # no = 6
'lit # = [x]' . "b = {" = 7
dotted . 'k' = { a = 8, "b\\u0041" = 8, c.d = 8 }  # { no = 1 }
array = [ # [
  10, [ 11, 11 ],
  { a = 11, b = [ { c = 11 }, [
     12 ] ], d = """x
"""},
  { a = 14 }
] # ]
[ "quoted. table" . sub ] # comment = 1
a=17
line = "\u2028 \u0085 \\f \\" = 1 #"
b = 19
empty = ''
  [[steps]]
  a = 22
  [[steps.branches]]
  a = 24
    [[steps.branches.steps]]
    a = 26
    [[steps.branches.steps]]
  [[steps.branches]]
    [[steps.branches.steps]]
    a = 30
    [steps.branches.steps.work]
    a = 32
[[steps]]
[[steps.branches]]
a = 35
lines = \'\'\'
[[steps]]
\'\'\'\'
b = 39
'''


def whole_numbers(data, path=()):
    """Yield each whole number in tables and arrays, after its path."""
    if isinstance(data, int):
        yield path, data
    for key, value in data.items() if isinstance(data, dict) else ():
        yield from whole_numbers(value, (*path, key))
    for key, value in enumerate(data) if isinstance(data, list) else ():
        yield from whole_numbers(value, (*path, key))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_of_keys_are_right(end):
    """Each number in the file is that of its line, however its key is written."""
    text = LINED.replace("\n", end)
    lines, keys = lines_of(text), 0
    for path, number in whole_numbers(tomllib.loads(text)):
        if isinstance(path[-1], str):
            assert lines[path] == number, path
            keys += 1
    assert keys == 17
    assert lines["steps", 0, "branches", 1] == 28
    assert not any("no" in path for path in lines)


def test_a_million_numbers_do_not_hide_the_line_of_a_mistake():
    numbers = ", ".join(map(str, range(1_000_000)))
    lines = lines_of(f"numbers = [{numbers},\n {{ a = 1 }}]\nlast = 2\n")
    assert lines == {("numbers",): 1, ("numbers", 1_000_000): 2} | {
        ("numbers", 1_000_000, "a"): 2,
        ("last",): 3,
    }


MANY = """\
name = "many"
lenght = "1 day"
zone = "Europe/Berln"
[process]
nam = "p"
[[process.steps]]
kind = "stp"
[[process.steps]]
name = "no kind"
[[process.steps]]
kind = "choice"
name = "c"
[[process.steps.branches]]
probability = 1.5
steps = [
  { kind = "step", name = "x", work = { law = "lognorml", mean = "1s" } },
  { kind = "step", nme = "y", work = "-1s" },
]
["systems".'the ledger']
kind = "nightly batch"
start = "25:00"
item_time = "1s"
lanes = 0
[arrivals]
kind = "poisson"
rate = "1000/dy"
"""


def test_each_of_many_mistakes_has_its_line(path):
    with pytest.raises(ScenarioError) as caught:
        load(path, MANY)
    first, *mistakes = str(caught.value).splitlines()
    assert first == f"{path}: 12 mistakes"
    lines = [int(re.match(r"  line (\d+): ", mistake)[1]) for mistake in mistakes]
    assert lines == [2, 3, 5, 7, 8, 14, 16, 17, 17, 21, 23, 26]
    assert "steps[2]: lacks the key 'kind': one of 'step', " in mistakes[4]
