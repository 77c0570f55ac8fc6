"""How other engines answer, as data that is true to its marks and does what it says."""

import attrs
import pytest
from both_engines import play_both
from plays import EARLY

import asyncsim as sim
from asyncsim.engine.waits import Answer, State, Wait, Waits
from asyncsim.model.profiles import KINDS, MARKS, PROFILES, profile_named

TWICE = Answer.ACCEPTED_DUPLICATE


def answers_under(policy):
    """Return what each kind of finish gets from a server with a policy."""
    waits = Waits(policy)
    for number in ("early", "duplicate", "late"):
        waits.register(Wait(number, 0, 0, 1, 0.0))
    found = {"early": waits.finish("early", 1.0), "unknown": waits.finish("9_9", 1.0)}
    for number in ("duplicate", "late"):
        waits.arm(waits.records[number], 2.0)
    waits.finish("duplicate", 3.0)
    found["duplicate"] = waits.finish("duplicate", 4.0)
    waits.expire(waits.records["late"], 4.0, State.TIMED_OUT)
    found["late"] = waits.finish("late", 5.0)
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("step functions", (None, Answer.DUPLICATE, Answer.UNKNOWN, Answer.LATE)),
        ("temporal", (Answer.BUFFERED, Answer.DUPLICATE, Answer.UNKNOWN, Answer.LATE)),
        (
            "durable functions",
            (Answer.BUFFERED, Answer.ACCEPTED_DUPLICATE, Answer.UNKNOWN, Answer.LATE),
        ),
        ("camunda 7", (Answer.EARLY, Answer.DUPLICATE, Answer.UNKNOWN, Answer.LATE)),
        ("camunda 8", (Answer.BUFFERED, None, Answer.IGNORED_UNKNOWN, None)),
        ("argo", (Answer.EARLY, Answer.DUPLICATE, Answer.UNKNOWN, Answer.LATE)),
        ("n8n", (Answer.EARLY, Answer.DUPLICATE, Answer.UNKNOWN, Answer.LATE)),
        ("dbos", (Answer.BUFFERED, Answer.KEPT_DUPLICATE, Answer.UNKNOWN, Answer.KEPT_LATE)),
        ("temporal signal", (Answer.BUFFERED, Answer.KEPT_DUPLICATE, Answer.UNKNOWN, None)),
        ("restate awakeable", (None, TWICE, Answer.IGNORED_UNKNOWN, Answer.ACCEPTED_LATE)),
        ("restate promise", (Answer.BUFFERED, Answer.DUPLICATE, None, Answer.LATE)),
        ("airflow approval", (None, Answer.DUPLICATE, Answer.UNKNOWN, Answer.LATE)),
        ("prefect", (Answer.IGNORED_EARLY, TWICE, Answer.UNKNOWN, Answer.ACCEPTED_LATE)),
        (
            "langgraph",
            (Answer.STARTED_EARLY, TWICE, Answer.STARTED_UNKNOWN, Answer.ACCEPTED_LATE),
        ),
        (
            "durable task",
            (Answer.BUFFERED, Answer.KEPT_DUPLICATE, Answer.UNKNOWN, Answer.ACCEPTED_LATE),
        ),
        ("lambda durable", (None, Answer.DUPLICATE, Answer.UNKNOWN, Answer.LATE)),
        ("trigger", (Answer.BUFFERED, TWICE, None, None)),
        ("vercel", (Answer.EARLY, Answer.DUPLICATE, Answer.UNKNOWN, Answer.LATE)),
        ("upstash", (Answer.IGNORED_EARLY, None, None, None)),
        ("inngest", (Answer.IGNORED_EARLY, None, None, None)),
        ("kestra", (Answer.EARLY, Answer.DUPLICATE, None, Answer.LATE)),
    ],
)
def test_the_policy_does_what_the_table_says(name, expected):
    """Where it says anything: None stands for what is assumed."""
    profile = PROFILES[name]
    found = answers_under(profile.policy)
    for kind, answer in zip(KINDS, expected, strict=True):
        if answer is not None:
            assert found[kind] is answer, kind
        elif name != "step functions":  # a token cannot come early there
            assert kind in profile.assumed


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_not_verified_is_marked_and_its_policy_is_an_assumption(name):
    """No policy rests on an open question, or on a notion the engine does not have, unsaid."""
    profile = PROFILES[name]
    for kind in KINDS:
        fact = getattr(profile, kind)
        assert fact.mark in ("", *MARKS)
        if fact.mark in ("", "U"):
            assert kind in profile.assumed, kind
    row = sim.profiles().loc[name]
    for kind in (*KINDS, "waiting holds", "timeout", "operations"):
        marks = tuple(f" [{mark}]" for mark in MARKS)
        assert row[kind].endswith(marks) or row[kind].startswith("does not")


def test_database_operations_are_those_measured_or_the_servers_own():
    """DBOS: 1 a check, 12 a callback. n8n: 27 a callback, and no check was measured."""
    scenario = EARLY.replace(server=sim.WorkflowServer(check_operations=5, callback_operations=7))
    found = {}
    for name, profile in PROFILES.items():
        server = scenario.with_profile(name).server
        found[name] = (server.check_operations, server.callback_operations)
        assert (found[name] == (5, 7)) == (profile.operations.mark == "U")
        here = profile.table().set_index("point").loc["operations", "here"]
        assert ("check: as the server says (assumed)" in here) == (found[name][0] == 5)
        assert ("callback: as the server says (assumed)" in here) == (found[name][1] == 7)
    assert (found["dbos"], found["n8n"]) == ((1, 12), (5, 27))


def test_nothing_is_claimed_of_k2():
    """But for the 204, which is not one of these answers."""
    table = PROFILES["k2"].table()
    assert set(table["how well known"]) == {"not verified"}
    assert set(table.loc[table["point"].isin(KINDS), "here"]) == {"reject (assumed)"}
    assert "not verified" in PROFILES["k2"]._repr_html_()


def test_a_name_is_no_markup_in_a_notebook():
    """It is shown as it is written."""
    profile = attrs.evolve(PROFILES["k2"], name="<script>alert(1)</script>")
    assert "<script>" not in profile._repr_html_()


@pytest.mark.parametrize("words", ["camunda 8", "Camunda-8", " CAMUNDA_8 "])
def test_a_profile_is_found_however_it_is_written(words):
    """Names are those of people."""
    assert profile_named(words) is PROFILES["camunda 8"]


@pytest.mark.parametrize(
    ("value", "message"),
    [("camunda8", "did you mean 'camunda 8'"), ("bpel", "must be one of 'k2'"), (8, "got 8")],
)
def test_another_name_is_refused(value, message):
    """With those there are."""
    with pytest.raises(sim.ScenarioError, match=message):
        sim.simulate(EARLY, sim.Callback(), profile=value)


def test_the_same_early_callback_is_lost_here_and_kept_there():
    """It comes 150 ms before the wait is armed: Camunda 7 turns it away, Camunda 8 buffers it."""
    with pytest.warns(sim.CensoredWarning, match="60 of 60 waits"):
        seven = sim.simulate(EARLY, sim.Callback(), profile="camunda 7")
    eight = sim.simulate(EARLY, sim.Callback(), profile="camunda 8")
    assert set(seven.deliveries["outcome"]) == {"early, rejected", "dead letter"}
    assert set(eight.deliveries["outcome"]) == {"early, buffered"}
    assert (eight.waits["outcome"] == "resumed").all()
    comparison = sim.compare(EARLY, [sim.Callback()], replications=2, profile="camunda 8")
    assert comparison.table.set_index("metric").loc["still_waiting", "mean"] == 0


def test_a_message_may_live_too_short():
    """Kept for less than the time until the wait is armed it is lost as well."""
    short = PROFILES["camunda 8"].with_buffer("100ms")
    with pytest.warns(sim.CensoredWarning):
        run = sim.simulate(EARLY, sim.Callback(), profile=short)
    assert not (run.waits["outcome"] == "resumed").any()


@pytest.mark.parametrize("name", PROFILES)
def test_both_engines_answer_alike(name):
    """Early, late and doubled callbacks get the same answers, and the same in number."""
    scenario = sim.Scenario.load("data/person.toml").with_profile(name)
    strategy = sim.Callback("1s", duplicates=0.5, loss=0.1, retries=["1min"])
    reference, compiled = play_both(scenario, strategy)
    expected = reference.deliveries["outcome"].value_counts()
    assert (compiled.deliveries["outcome"].value_counts() == expected).all()
    assert len(expected) > 2


def test_marks_are_seen_as_pandas_shows_the_table():
    """A cell of 50 characters or more loses its end there, and so its mark."""
    assert max(map(len, sim.profiles().to_numpy().ravel())) < 50


def test_what_was_run_says_in_which_version_and_when():
    """A measured answer without them could not be repeated; others name a source."""
    for name, profile in PROFILES.items():
        measured = any(getattr(profile, kind).mark == "R" for kind in KINDS)
        assert not measured or (profile.version and profile.date == "2026-11"), name
        assert profile.source, name
        assert name == "k2" or profile.source in str(profile)
    assert {"version", "date", "source"} < set(sim.profiles().columns)


MINE = """
["our bus"]
name = "Our message bus"
version = "7"
early = "kept [R]"
late = "410 [V]"
policy = { early = "buffer" }
statuses = { finished = 202, late = "410 Closed" }
"""


@pytest.mark.parametrize(
    ("rest", "ending"), [("", ""), (MINE.replace("our bus", "another"), ":Our_Bus")]
)
def test_a_file_of_your_own_is_read_wherever_a_profile_is_named(rest, ending, tmp_path):
    """Its only profile, or one of several by name; what it leaves out is not verified."""
    path = tmp_path / "mine.toml"
    path.write_text(MINE + rest, encoding="utf-8")
    run = sim.simulate(EARLY, sim.Callback(), profile=f"{path}{ending}")
    assert set(run.deliveries["outcome"]) == {"early, buffered"}
    profile = profile_named(f"{path}{ending}")
    assert profile.assumed == ("duplicate", "unknown")
    assert "Our message bus (7)" in str(profile)
    assert sim.profiles(path).loc["our bus", "late"] == "410 [V]"
    assert len(sim.profiles(path)) > len(sim.profiles())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('late = "gone"', r"Profile.late must end with how well it is known, as '409 \[V\]' does"),
        ('lat = "x [V]"', "line 9: our bus: Profile has no key 'lat'; did you mean 'late'"),
        ('assumed = ["lat"]', "Profile.assumed must be one of .*did you mean 'late'"),
        ("check_operations = -1", "Profile.check_operations must not be negative"),
        ("statuses = { lat = 404 }", "Profile.statuses must have the keys .*did you mean 'late'"),
        ("statuses = { late = 4 }", "must have an HTTP status such as 404 or '404 NOT_FOUND' at"),
        ("statuses = { late = 204 }", r"statuses\['late'\] must be at least 400, as late is rej"),
        ('policy = { early = "bufer" }', "our bus.policy: FinishPolicy.early .*did you mean 'buff"),
        ("statuses = 404", "Profile.statuses must map kinds of finishes to statuses such as"),
    ],
)
def test_a_mistake_in_a_file_of_profiles_is_named(line, message, tmp_path):
    """With its line, what would be right, and the nearest word."""
    path = tmp_path / "mine.toml"
    key = line.partition(" ")[0]
    text = "\n".join(one for one in MINE.splitlines() if not one.startswith(f"{key} "))
    path.write_text(f"{text}\n{line}\n", encoding="utf-8")
    with pytest.raises(sim.ScenarioError, match=message):
        profile_named(str(path))


@pytest.mark.parametrize(
    ("text", "ending", "message"),
    [
        (MINE + MINE.replace("our bus", "it"), "", "must name one of the profiles.*toml:our bus'"),
        ("", "", "the file .it has none."),
        (MINE, ":our bsu", "must be one of 'our bus', .*did you mean 'our bus'"),
        ("x = 1", "", "line 1: x: must be a table"),
        ("[x", "", "line 1 is not valid TOML"),
    ],
)
def test_a_file_that_names_no_one_profile_is_refused(text, ending, message, tmp_path):
    """With those it has."""
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(sim.ScenarioError, match=message):
        sim.simulate(EARLY, sim.Callback(), profile=f"{path}{ending}")
