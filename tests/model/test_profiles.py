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
        ("dbos", (Answer.BUFFERED, TWICE, Answer.UNKNOWN, Answer.ACCEPTED_LATE)),
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
