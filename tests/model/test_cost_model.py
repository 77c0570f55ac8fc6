"""Prices: checked where they enter, and published ones with their source."""

import pytest

import asyncsim as sim


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"check": -1}, r"CostModel.check must not be negative, got -1"),
        ({"late_minute": "2 EUR"}, r"CostModel.late_minute must be a finite number, got '2 EUR'"),
        ({"request": True}, r"CostModel.request must be a finite number, got True"),
        ({"service_level": "-5min"}, r"CostModel.service_level must not be negative, got '-5min'"),
        ({"worker_time": "bussy"}, r"CostModel.worker_time must be one of .*did you mean 'busy'"),
        ({"transitions_per_check": 0.5}, r"must be a whole number, 0 or more, got 0.5"),
        ({"currency": ""}, r"CostModel.currency must be a non-empty text"),
    ],
)
def test_wrong_prices_are_named(values, match):
    """The message has the argument, the value and what would be right."""
    with pytest.raises(sim.ScenarioError, match=match):
        sim.CostModel(**values)


def test_a_scenario_takes_prices_only():
    """A number is not a cost model."""
    with pytest.raises(sim.ScenarioError, match=r"Scenario.costs must be a CostModel\(.*got 0.1"):
        sim.Scenario.load("data/person.toml").replace(costs=0.1)


def test_published_prices_carry_source_date_and_mark():
    """Every preset has a source, and the table shows the prices that are used."""
    table = sim.cost_presets()
    assert list(table.index) == ["aws step functions"]
    for name, row in table.iterrows():
        prices = sim.CostModel.preset(name)
        assert prices.transition == row.transition
        assert "20" in row.source
        assert "[V]" in row.source
    assert 1000 * table.loc["aws step functions", "transition"] == pytest.approx(0.025)


def test_a_preset_that_is_not_there_is_answered_with_those_that_are():
    """With the nearest name."""
    with pytest.raises(sim.ScenarioError, match="did you mean 'aws step functions'"):
        sim.CostModel.preset("aws step function")


def test_prices_go_to_a_file_and_back(tmp_path):
    """Also with nothing but defaults; a wrong key is named with its place."""
    scenario = sim.Scenario.load("data/person.toml")
    for costs in (sim.CostModel(), sim.CostModel(check=0.1, service_level="5min", currency="EUR")):
        scenario.replace(costs=costs).save(tmp_path / "s.toml")
        assert sim.Scenario.load(tmp_path / "s.toml").costs == costs
    text = (tmp_path / "s.toml").read_text().replace("check", "chek")
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(sim.ScenarioError, match=r"costs: CostModel has no key 'chek'.*'check'"):
        sim.Scenario.load(tmp_path / "s.toml")


def test_prices_can_be_multiplied():
    """By any number of instances, and still be numbers."""
    with pytest.raises(sim.ScenarioError, match=r"CostModel.check must be 1e\+12 at most"):
        sim.CostModel(check=1e300)
    with pytest.raises(sim.ScenarioError, match=r"CostModel.transitions_per_check must be"):
        sim.CostModel(transitions_per_check=10**400)
