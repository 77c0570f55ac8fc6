"""A steady state in print, in a picture and in a report."""

import asyncsim as sim

SCENARIO = sim.Scenario(
    name="nights",
    process=sim.Process("p", [sim.AsyncStep("post", system="ledger")]),
    systems={"ledger": sim.NightlyBatch("22:00", "1s")},
    arrivals=sim.Poisson("60/day", between=("08:00", "20:00")),
)


def found_of(**options):
    options = {"progress": False, "seed": 1} | options
    return sim.steady_state(SCENARIO, sim.Polling("1h"), **options)


def test_it_prints_shows_and_draws():
    """Figure, method, warm-up; the plot shades what is cut."""
    found = found_of(figure="cycle_time", replications=4)
    for shown in (repr(found), found._repr_html_()):
        for part in (
            "nights, polling 1 h",
            "cycle time",
            "replication/deletion over 4 replications",
            "95%",
        ):
            assert part in shown
    ax = found.plot(window=3).axes[0]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"mean per cycle", "moving average", "estimate"} <= set(labels)
    assert ("warm-up" in labels) == (found.warm_up > 0)


def test_it_can_stand_in_a_report(tmp_path):
    """A steady state and a number of replications are studies like the others."""
    needed = sim.replications_for(SCENARIO, [sim.Polling("1h")], precision=0.2, progress=False)
    path = sim.report([found_of(), needed], tmp_path / "study.html")
    text = path.read_text(encoding="utf-8")
    assert "batch means" in text
    assert "precision of 0.2" in text
