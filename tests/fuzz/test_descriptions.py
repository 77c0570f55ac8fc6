"""Scenario files, values, words of the command line, data fields, logs: understood or refused."""

import os
import tomllib
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from fuzz.mutators import (
    IN_A_FILE,
    IN_PYTHON,
    NUMBERS,
    WORDS,
    cases,
    damage_table,
    damage_text,
    guarded,
    pick,
)
from hypothesis import given, settings
from scenarios import scenarios

import asyncsim as sim
from asyncsim.cli.strategy_parser import parse_strategy
from asyncsim.live.journal import data_fields
from asyncsim.model import arrivals, units
from asyncsim.model import calendar as calendars
from asyncsim.model import server as limits
from asyncsim.model import units as texts
from asyncsim.model.distributions import DISTRIBUTIONS, as_distribution
from asyncsim.model.random_streams import Draws
from asyncsim.model.scenario import changed
from asyncsim.model.scenario_files import dumps, loads
from asyncsim.model.strategies import STRATEGIES
from asyncsim.model.systems import instants
from asyncsim.model.units import rate

DATA = Path("data")
FEW = 300
"""Instances of a run: their number has a bound in any case, here a lower one."""
STRATEGIES_PLAYED = [
    sim.Callback(),
    sim.Callback("1min", loss=0.5, retries=["1s", "1h"], duplicates=0.3),
    sim.Polling("15min", jitter="1min"),
    sim.Backoff("1min", factor=1e6, cap=None, jitter="decorrelated"),
    sim.LongPolling("10min"),
    sim.Backoff("5min", factor=1),
    sim.CallbackWithSafetyPoll("1min", loss=0.5, every="30min"),
]
READERS = [
    *[rate, as_distribution, instants, arrivals.weekly_rates, arrivals.positive_factor],
    limits._price,
    *[limits.rate_limit, calendars.zone_name, calendars.holiday_calendar, calendars.clock_or_cron],
    *[texts.text, texts.any_text, texts.texts],
    *[read for read in vars(units).values() if getattr(read, "__code__", None)
      and read.__code__.co_varnames[: read.__code__.co_argcount] == ("value",)],
]  # fmt: skip
MADE = [
    *DISTRIBUTIONS.values(), *STRATEGIES.values(),
    *[sim.NightlyBatch, sim.People, sim.OnlineService],
    *[sim.LoggedCompletions, sim.Chain, sim.Poisson, sim.WeeklyPoisson, sim.Regular],
    sim.UniformArrivals,
    sim.ArrivalTimes,
    *[sim.WorkflowServer, sim.FinishPolicy, sim.CostModel, sim.Step, sim.AsyncStep, sim.Choice],
    *[sim.Parallel, sim.Branch, sim.Response, sim.Process, sim.Scenario, Draws],
]  # fmt: skip


@pytest.fixture(scope="module")
def documents():
    """Return scenario files as tables: those of the course, and made ones of all kinds."""
    found = [tomllib.loads(path.read_text("utf-8")) for path in sorted(DATA.glob("*.toml"))]
    for document in found:  # few enough for a run
        document["arrivals"] |= {"rate": "60/day"} if "rate" in document["arrivals"] else {}
        document["arrivals"] |= {"count": 60} if "count" in document["arrivals"] else {}

    @settings(max_examples=30, derandomize=True, database=None, deadline=None)
    @given(scenarios())
    def collect(scenario):
        found.append(tomllib.loads(dumps(scenario)))

    collect()
    return found


@pytest.fixture
def few(monkeypatch):
    """Limit runs to few instances, by the check that normally allows millions."""
    monkeypatch.setattr(units, "MOST_INSTANCES", FEW)


def play(scenario, rng):
    """Play a scenario for some time and look at all of its tables."""
    scenario = scenario.replace(length=min(scenario.length, 2 * 86400.0))
    strategy = rng.choice(STRATEGIES_PLAYED)
    until = rng.choice([60.0, 86400.0, 3 * 86400.0])
    run = sim.simulate(scenario, strategy, seed=1, until=until, engine="simpy")
    for table in (run.waits, run.instances, run.steps, run.server, run.summary(), run.event_log()):
        assert len(table.columns)
    str(run)


def test_files_by_structure(documents, few):
    """A table that is damaged anywhere is a scenario, which can be saved and played, or refused."""
    for _, rng in cases("structure", 400):
        document = deepcopy(rng.choice(documents))
        for _ in range(rng.choice([1, 1, 2, 4])):
            damage_table(document, rng)
        try:
            text = tomli_w.dumps(document)
        except (ValueError, RecursionError):  # numbers of 5,000 digits: TOML has them, tomli_w not
            continue
        with guarded(text):
            scenario = loads(text, sim.Scenario, "file")
            assert loads(dumps(scenario), sim.Scenario, "saved") == scenario
            play(scenario, rng)


def test_files_by_characters(tmp_path):
    """Bytes lost, changed, doubled, and other encodings."""
    path = tmp_path / "a.toml"
    files = [path.read_text("utf-8") for path in sorted(DATA.glob("*.toml"))]
    for _, rng in cases("characters", 300):
        path.write_bytes(data := damage_text(rng.choice(files), rng))
        with guarded(data):
            sim.Scenario.load(path)


def test_names_of_files(tmp_path, monkeypatch):
    """Whatever takes the name of a file says what is wrong with it."""
    scenario = sim.Scenario.load(DATA / "nightly_ledger.toml")
    monkeypatch.chdir(tmp_path)
    for _, rng in cases("names", 300):
        value = rng.choice([pick(rng, IN_PYTHON), rng.choice(WORDS), Path(rng.choice(WORDS))])
        with guarded(value):
            rng.choice([sim.Scenario.load, sim.RequestLog.read, scenario.with_log])(value)
        name = str(value) if isinstance(value, Path) else value
        if isinstance(name, str) and os.path.dirname(os.path.abspath(name)) != str(tmp_path):
            continue  # nothing is ever written outside of the test's own folder
        with guarded("save", value):
            scenario.save(value)


def test_values_of_every_kind():
    """Readers and described objects take a value, or refuse it by a sentence."""
    for _, rng in cases("values", 1500):
        maker = rng.choice(MADE)
        fields = [f.alias for f in getattr(maker, "__attrs_attrs__", ())] or ["work", "external"]
        given_to = [pick(rng, IN_PYTHON) for _ in range(rng.randrange(3))]
        named = {rng.choice(fields): pick(rng, IN_PYTHON) for _ in range(rng.randrange(3))}
        with guarded(maker, given_to, named):
            try:
                maker(*given_to, **named)
            except TypeError as error:  # as any function says that lacks an argument
                if "argument" not in str(error):
                    raise
        reader, value = rng.choice(READERS), pick(rng, IN_PYTHON)
        with guarded(reader, value), suppress(units.InvalidValue):
            reader(value)


def test_laws_and_closed_forms():
    """A law that is taken has finite draws and moments; what theory expects is found soon."""
    numbers = [v for v in NUMBERS if 0 <= v <= 1e11] + ["1ms", "1h", "3d"]
    for _, rng in cases("laws", 40):
        kind, values = rng.choice(list(DISTRIBUTIONS)), [rng.choice(numbers) for _ in range(4)]
        few = {"fixed": 1, "exponential": 1, "uniform": 2, "gamma": 2, "lognormal": 4}
        strategy = rng.choice(STRATEGIES_PLAYED)
        with guarded(kind, values, strategy):
            made = (
                DISTRIBUTIONS[kind](*values[: few[kind]])
                if kind in few
                else DISTRIBUTIONS[kind](values[:1])
            )
            drawn = made.sample(np.random.default_rng(1), 50)
            assert np.isfinite(drawn).all()
            assert drawn.min() >= 0
            assert np.isfinite([made.mean, made.sd]).all()
            tail = made.survival(np.array([0.0, 1e-9, 1.0, made.mean, 1e11, 1e12]))
            assert ((tail >= 0) & (tail <= 1)).all()
            strategy.expected(made)


def test_words_for_strategies():
    """The command line's words."""
    parts = [
        *WORDS,
        "interval",
        "delay",
        "retries",
        "limit",
        "cap",
        "=",
        ",",
        "[",
        "(",
        "'",
        "None",
    ]
    for _, rng in cases("words", 1200):
        words = rng.choice([*STRATEGIES, "polling 15min", "backoff 1s cap=5min", *WORDS])
        for _ in range(rng.randrange(6)):
            words += rng.choice(["", " ", "=", ","]) + rng.choice(parts) * rng.choice(
                [1, 1, 1, 300]
            )
        if rng.random() < 0.2:
            words = damage_text(words.encode("utf-8", "replace").decode() or "x", rng).decode(
                "utf-8", "replace"
            )
        with guarded(words):
            parse_strategy(words)


def test_changes_by_name():
    """Dotted names and values of ``changed``, which sweeps use."""
    scenario = sim.Scenario.load(DATA / "lines_of_business.toml")
    names = ["server", "workers", "process", "steps", "decide", "systems", "1", "lines of business"]
    for _, rng in cases("changes", 400):
        name = ".".join(rng.choice([*names, rng.choice(WORDS)]) for _ in range(rng.randrange(1, 6)))
        value = pick(rng, IN_PYTHON)
        with guarded(name, value):
            changed(scenario, {name: value, rng.choice(["length", ""]): pick(rng, IN_PYTHON)})


def test_data_fields():
    """Data fields are JSON of 64 kB, and what is read is what was given."""
    for _, rng in cases("fields", 600):
        value = {str(rng.choice(WORDS)): pick(rng, IN_PYTHON) for _ in range(rng.randrange(4))}
        damage_table(value, rng)
        value = rng.choice([value, value, value, pick(rng, IN_PYTHON)])
        with guarded(value):
            found = data_fields(value)
            assert data_fields(found) == found


def test_request_logs(tmp_path):
    """Columns, dates, delimiters and encodings of a log in CSV."""
    path = tmp_path / "log.csv"
    rows = [line.split(",") for line in (DATA / "request_log.csv").read_text().splitlines()[:25]]
    scenario = sim.Scenario.load(DATA / "nightly_ledger.toml")
    cells = [str(value) for value in IN_A_FILE if not isinstance(value, int)]
    for _, rng in cases("logs", 150):
        table = deepcopy(rows[: rng.choice([2, 8, 25])])
        for _ in range(rng.choice([1, 2, 6])):
            row = rng.choice(table)
            row[rng.randrange(len(row))] = rng.choice(
                [*cells, "2026-03-02 09:00+14:00", f"{rng.randrange(9999)}-03-29 02:30:00"]
            )
            if rng.random() < 0.2:
                rng.choice(table).append(rng.choice(cells))
        text = "\n".join(rng.choice([",", ",", ",", ";", "\t"]).join(row) for row in table) + "\n"
        text = text.encode(errors="replace").decode()
        data = damage_text(text, rng) if rng.random() < 0.5 else text.encode()
        path.write_bytes(data)
        zone = rng.choice([None, None, "Europe/Berlin", "Pacific/Kiritimati", "x"])
        with guarded(zone, data):
            log = sim.RequestLog.read(path, zone)
            assert len(log.rows)
            scenario.with_log(log).draw()
