"""The JSON Schema of scenario files: it accepts what loads, and refuses mistakes where they are."""

import copy
import json
import tomllib
from pathlib import Path

import attrs
import jsonschema
import numpy as np
import pytest
import scenarios
import thorough
import tomli_w
from hypothesis import given, settings

import asyncsim as sim
from asyncsim.model.scenario_files import ALL_KINDS, OBJECTS, dumps, loads
from asyncsim.model.schema import json_schema

DATA = sorted((Path(__file__).parent.parent.parent / "data").glob("*.toml"))
SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def plain(text: str) -> dict:
    """Return a file as JSON has it: dates are texts."""
    return json.loads(json.dumps(tomllib.loads(text), default=str))


def errors(document: dict) -> list[tuple]:
    """Return the places of all errors."""
    return [tuple(error.absolute_path) for error in VALIDATOR.iter_errors(document)]


def test_it_is_a_schema():
    """The meta-schema of its draft accepts it."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.stem)
def test_the_examples_are_valid(path):
    """Each scenario file of the package."""
    assert errors(plain(path.read_text(encoding="utf-8"))) == []


@settings(max_examples=thorough.times(60))
@given(scenarios.scenarios())
def test_what_is_saved_is_valid(scenario):
    """Any scenario, as `Scenario.save` writes it."""
    assert errors(plain(dumps(scenario))) == []


def test_every_key_has_a_value_and_a_meaning():
    """The keys of each class are those of its fields."""
    for kinds in (*ALL_KINDS[:3], {"": OBJECTS["server"], " ": OBJECTS["costs"]}):
        for cls in kinds.values():
            table = SCHEMA["definitions"][cls.__name__]["properties"]
            own = {name: one for name, one in table.items() if name != "kind"}
            assert set(own) == {field.alias for field in attrs.fields(cls)}, cls
            assert all(one["description"] for one in own.values()), cls
            assert all(len(one) > 1 for one in own.values()), cls


def places(document: object, path: tuple = ()) -> list[tuple]:
    """Return the path of every key in a document, those of arrays left out."""
    found = []
    items = document.items() if isinstance(document, dict) else []
    if isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        if isinstance(document, dict):
            found.append((*path, key))
        found += places(value, (*path, key))
    return found


def mutants(seed: int):
    """Yield mistakes in examples: a name for them, the document, and where the error is."""
    rng = np.random.default_rng(seed)
    for path in DATA:
        document = plain(path.read_text(encoding="utf-8"))
        for place in places(document):
            *parents, key = place
            mutant = copy.deepcopy(document)
            table = mutant
            for parent in parents:
                table = table[parent]
            named = parents == ["systems"]  # names of systems are free
            what = rng.choice(["wrong type", "unknown key"]) if not named else "wrong type"
            if what == "wrong type":
                table[key] = True
                yield f"{path.stem}: {place} {what}", mutant, place
            else:
                table[f"{key}s_"] = table.pop(key)
                yield f"{path.stem}: {place} {what}", mutant, tuple(parents)


def test_mistakes_are_refused_where_they_are():
    """At the very key, or at its table if the key is unknown or missing."""
    found = [one for seed in range(2) for one in mutants(seed)]
    assert len(found) > 100
    for name, document, place in found:
        assert place in errors(document), (name, errors(document))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("length", "7 dys"),
        ("length", -1),
        ("start", "tomorrow"),
        ("server", {"workers": 0}),
        ("server", {"finish_limit": "often"}),
        ("server", {"policy": {"early": "refuse"}}),
        ("arrivals", {"kind": "poison", "rate": "5/h"}),
        ("arrivals", {"kind": "poisson", "rate": "5 per hour"}),
        ("arrivals", {"kind": "poisson", "rate": 600}),
        ("arrivals", {"kind": "poisson", "rate": "5/h", "days": "Mo-Fr"}),
        ("arrivals", {"kind": "poisson", "rate": "5/h", "between": ["08:00", "25:00"]}),
        ("systems", {"ledger": {"kind": "nightly batch", "start": "22h", "item_time": 1}}),
        ("systems", {"ledger": {"kind": "people", "team": 2.5, "item_time": 1}}),
        ("systems", {"ledger": {"kind": "online service", "item_time": {"law": "normal"}}}),
    ],
)
def test_wrong_values_are_refused_by_both(key, value):
    """What the schema refuses, `Scenario.load` refuses as well."""
    document = plain(DATA[0].read_text(encoding="utf-8"))
    document[key] = document[key] | value if isinstance(value, dict) else value
    assert errors(document)

    text = tomli_w.dumps(document)
    with pytest.raises(sim.ScenarioError):
        loads(text, sim.Scenario, "file")
