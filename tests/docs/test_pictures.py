"""The drawn picture of the idea is what its command makes, and true."""

import importlib.util
import re
from pathlib import Path

import pytest

import asyncsim as sim

SPEC = importlib.util.spec_from_file_location(
    "draw_idea", Path(__file__).parents[2] / "docs" / "draw_idea.py"
)
draw_idea = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(draw_idea)
WORDS = re.findall(r"<text[^>]*>([^<]+)</text>", draw_idea.idea())


def test_the_picture_is_what_the_command_makes():
    """`make pictures` would change nothing."""
    assert draw_idea.TARGET.read_text(encoding="utf-8") == draw_idea.idea()


@pytest.mark.parametrize(
    ("strategy", "latency", "requests", "words"),
    [
        (sim.Callback("50ms"), 0.070, 1, ["POST 5_31/finish", "70 ms late", "1 request"]),
        (sim.Polling("15min"), 899, 41, ["1 s too early", "14 min 59 s late", "41 requests"]),
    ],
)
@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_what_the_picture_shows_is_what_happens(strategy, latency, requests, words, engine):
    """The call at noon, work complete at 22:00:01, handling of a callback in 20 ms."""
    scenario = sim.Scenario(
        name="the picture",
        process=sim.Process("p", [sim.AsyncStep("post", system="ledger")], first_activation=31),
        systems={"ledger": sim.NightlyBatch("22:00", "1s", lanes=5)},
        server=sim.WorkflowServer(workers=5, callback_work="20ms"),
        arrivals=sim.Poisson("5/day"),
    )
    draws = sim.Draws(arrivals=[12 * 3600.0] * 5)
    run = sim.simulate(scenario, strategy, draws=draws, engine=engine)
    wait = run.waits.set_index("serial_number").loc["5_31"]
    assert wait.completed == 22 * 3600 + 1
    assert wait.latency == pytest.approx(latency)
    assert wait.checks + wait.deliveries == requests
    assert set(words) < set(WORDS)


def luminance(colour):
    """Return the relative luminance of an sRGB colour, by WCAG 2."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("palette", [draw_idea.LIGHT, draw_idea.DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "box"])
def test_every_word_can_be_read_on_its_ground(palette, ground):
    """The contrast is at least 4.5, as WCAG asks of text."""
    for name in ("ink", "soft", "callback", "polling", "done"):
        dark, bright = sorted(luminance(palette[one]) for one in (name, ground))
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, name
