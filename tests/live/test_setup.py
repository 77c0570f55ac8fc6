"""What a session plays, and whom it stands in for."""

import attrs
from plays import EARLY

import asyncsim as sim
from asyncsim.engine.waits import Answer


def test_a_session_answers_like_the_engine_it_stands_for(tmp_path):
    """By policy and by status code; the store remembers."""
    path = tmp_path / "w.db"
    session = sim.live(EARLY, hold=True, profile="durable functions", store=path)
    session.run_until(0.1)
    assert session.finish("1_1") is Answer.BUFFERED
    session.run_until(10.0)
    assert session.finish("1_1") is Answer.ACCEPTED_DUPLICATE
    session.close()
    with sim.live(store=path) as again:
        assert again.setup.profile == "Azure Durable external event"
        assert again.finish("1_1") is Answer.ACCEPTED_DUPLICATE


def test_status_codes_are_those_of_the_source():
    """n8n answers 409 where we would say 410; what a source does not name is ours."""
    ours = sim.live(EARLY).setup
    n8n = sim.live(EARLY, profile="n8n").setup
    steps = sim.live(EARLY, profile="step functions").setup
    assert [s.status_of(Answer.LATE) for s in (ours, n8n, steps)] == [410, 409, 400]
    assert [s.status_of(Answer.DUPLICATE) for s in (ours, n8n, steps)] == [409, 409, 400]
    assert [s.status_of(Answer.FINISHED) for s in (ours, n8n, steps)] == [204, 200, 204]
    assert [s.title_of(Answer.LATE) for s in (ours, n8n, steps)] == ["", "", "TaskTimedOut"]


def test_an_older_store_has_its_statuses_as_numbers():
    """They are answered all the same."""
    older = attrs.evolve(sim.live(EARLY).setup, statuses={"late": 418})
    assert (older.status_of(Answer.LATE), older.title_of(Answer.LATE)) == (418, "")
