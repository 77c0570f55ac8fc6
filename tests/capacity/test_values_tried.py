"""A search shows which value it tries, and how many of that value's runs are done."""

import asyncsim as sim
from asyncsim.experiment import replications as module


class FakeBar:
    """Keeps what a bar is told."""

    def __init__(self, shown, **options):
        self.options, self.ends, self.words, self.n = options, [], [], 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.left = self.n

    def reset(self, total):
        assert self.n in (0, *self.ends[-1:])  # all runs of the value before are counted
        self.ends.append(total)
        self.n = 0

    def set_description(self, words):
        self.words.append(words)

    def update(self, runs):
        self.n += runs


def test_each_value_has_an_end_and_the_values_are_counted(monkeypatch):
    """Nobody knows how many values a search will try; of each it plays three runs, then few."""
    bars = []

    def kept(shown, **options):
        bars.append(FakeBar(shown, **options))
        return bars[-1]

    monkeypatch.setattr(module, "progress_bar", kept)
    scenario = sim.Scenario(
        name="herd",
        process=sim.Process("p", [sim.AsyncStep("post", "ledger")]),
        systems={"ledger": sim.NightlyBatch("22:00", "1ms", results="at end")},
        server=sim.WorkflowServer(4, callback_work="1s"),
        arrivals=sim.UniformArrivals(60, between=("08:00", "20:00")),
    )
    answer = sim.fewest_workers(scenario, sim.Callback(), "max_latency <= 10s", replications=3)
    (bar,) = bars
    assert bar.options == {"total": None, "unit": "run", "desc": "fewest workers"}
    assert bar.ends == [3] * len(answer.table)
    assert bar.left == 3
    assert bar.words[0] == "fewest workers: value no. 1, 4"
    assert bar.words[-1].startswith(f"fewest workers: value no. {len(answer.table)}, ")
