"""Nothing that users can observe has changed; `tests/golden/make.py` says what the files are."""

import functools
import json
import math

import pytest
from golden_runs import ENGINES, differences, digest, golden_runs, plays
from golden_scenarios import GENERATED, Writer
from golden_texts import COMMANDS, TEXTS, VERSIONS, numbers_of, texts, versions

pytestmark = pytest.mark.slow

NAMES = sorted(path.stem for path in TEXTS.glob("*.txt"))
SHOWN = 20
THEN = json.loads(VERSIONS.read_text(encoding="utf-8"))
same_libraries = pytest.mark.skipif(
    versions() != THEN, reason=f"texts were written under {THEN}, not {versions()}"
)


@functools.cache
def now():
    return texts()


@pytest.mark.parametrize("engine", ENGINES)
def test_every_run_is_as_it_was(engine):
    golden, lines, names = golden_runs(), [], set()
    for k, play in enumerate(plays()):
        name, scenario, strategy, *_ = play
        names.add(name)
        if engine == "simpy" and k % 3:  # both engines agree: see tests/fast/test_same_answer.py
            continue
        found = differences(golden.get(name, {}), digest(play, engine))
        lines += [f"{name} ({scenario.name}, {strategy.label}): {line}" for line in found]
    assert not lines, f"{len(lines)} differences\n" + "\n".join(lines[:SHOWN])
    assert names == set(golden)


@same_libraries
@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_as_it_was(name):
    then = [float(line) for line in (TEXTS / f"{name}.numbers").read_text("utf-8").split()]
    found = numbers_of(now()[name])
    pairs = zip(then, found, strict=False)
    wrong = [pair for pair in pairs if not math.isclose(*pair, rel_tol=1e-7, abs_tol=1e-12)]
    moved = "the same numbers in another order" if sorted(then) == sorted(found) else "others"
    assert not wrong, f"{moved}, of {len(then)} now {len(found)}; then and now: {wrong[:SHOWN]}"
    assert len(then) == len(found)


@same_libraries
@pytest.mark.parametrize("name", NAMES)
def test_every_word_is_as_it_was(name):
    """After better sentences, write the texts again: ``make.py words``."""
    assert now()[name].splitlines() == (TEXTS / f"{name}.txt").read_text("utf-8").splitlines()


def test_every_text_has_its_file():
    assert set(NAMES) == set(now())
    assert {f"command_{name}" for name in COMMANDS} < set(NAMES)


def test_generated_scenarios_have_every_part():
    """Every kind of arrivals, system and element; every option of steps, systems and servers."""
    found = set()

    def walk(value):
        if isinstance(value, list):
            for part in value:
                walk(part)
        elif isinstance(value, dict):
            found.update(value, [value.get("kind"), value.get("law"), value.get("arm")])
            for part in value.values():
                walk(part)

    for key in range(GENERATED):
        walk(Writer(key).scenario())
    kinds = {"poisson", "weekly poisson", "scattered", "regular", "at", "nightly batch"}
    kinds |= {"online service", "people", "chain", "recorded", "choice", "parallel", "async step"}
    options = {"cut_off", "max_items", "end", "skip", "failure", "results", "lanes", "holidays"}
    options |= {"timeout", "response", "arm_delay", "before call", "on_accepted", "on_timeout"}
    options |= {"early", "buffer_for", "duplicate", "late", "unknown", "finish_limit", "costs"}
    laws = {"exponential", "lognormal", "uniform", "gamma", "empirical"}
    assert kinds | options | laws | {"zone", "first_activation"} <= found
