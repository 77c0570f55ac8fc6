"""What participants really answer, and what the feedback must name: one table for the course."""

import itertools
import re
from datetime import time, timedelta

import numpy as np
import pandas as pd
import pytest

import asyncsim as sim
from asyncsim.exercises.checkers import (
    ChoiceChecker,
    NumberChecker,
    OrderingChecker,
    PropertyChecker,
    near,
)
from asyncsim.exercises.feedback import Mark
from asyncsim.exercises.gradebook import Gradebook, chapters
from asyncsim.exercises.mistakes import kind

EXERCISES = {exercise.name: exercise for group in chapters().values() for exercise in group}
COMPANY = sim.Scenario.load("example:capstone")
SAFE = {"delay": "1s", "loss": 0.02}


def lossy(retries, loss=0.2):
    return sim.Callback("2s", loss=loss, retries=["1min"] * retries)


def design(workers, strategy, poll_work="20ms"):
    server = sim.WorkflowServer(workers, poll_work=poll_work, callback_work="30ms")
    return COMPANY.replace(server=server), strategy


SAFETY_POLL = sim.CallbackWithSafetyPoll(**SAFE, every="15min")
UP_TO_FOUR = ["10min", *["5min"] * 47]  # hours
PROPERTIES = {
    "02 out of step": sim.Polling("1h", "random"),
    "02 bad day": lossy(5),
    "05 wide enough": sim.Callback(sim.uniform(0, "10min")),
    "08 your design": design(5, SAFETY_POLL),
    "09 a better schedule": sim.PollingAfter([*UP_TO_FOUR, "4h", *["1h"] * 7, "5min"]),
}
"""A right answer for each exercise that is measured."""
SECRETS = {
    "02 out of step": ("random", "whole hour"),
    "02 bad day": ("5 retries", "6 attempts", "one is missing", "1 more"),
    "05 wide enough": ("10min", "9 min", "nine minutes", "550"),
    "08 your design": ("safety poll", "15min", "5 workers", "five workers"),
    "09 a better schedule": ("47", "seven hourly"),
}
"""Words that would give the answer away."""

TABLE = {
    "00 how often": [
        (20, "at 22:00:00, and is ten seconds too early"),
        (22, "begins with the first check at 12:30"),
        (20.006, "a whole number"),
        (20.0056, "a whole number"),
        (19, "are the first and the last one counted"),
        (23, "are the first and the last one counted"),
        (42, "twice as much"),
        (10, "left out"),
        (0, "zero is too small"),
        (-21, "the sign is not"),
        ("21 checks", "a number with a word"),
        ("10h / 30min", "a text"),
        ("20 + 1", "a formula in quotation marks"),
        (timedelta(hours=10), "a duration"),
        (sim.Polling("30min").expected(sim.fixed("10h 10s")), "class Expected"),
        (pd.Series([21]), "no Series around it"),
    ],
    "01 callback overhead": [
        (0, "is only a claim"),
        (0.02, "that is one callback"),
        ("20ms", "that is one callback"),
        (6, "a callback is not a poll"),
        (48, "not by all of them"),
        (30, "keeps no worker busy"),
        (42, "the latency of all orders"),
        (0.2, "the right value in minutes"),
        (12_000, "the right value in milliseconds"),
        ("15min", "too large by a factor of more than 10"),
        (24, "twice as much"),
        ("12", "in quotation marks"),
        ("12 Sekunden", "no unit of time"),
        (13.5, "close, but too large"),
        (-12, "negative"),
    ],
    "01 last callback": [
        (60, "notify the customer"),
        ("2.5min", "the time the workers need for all callbacks"),
        (600, "one worker alone"),
        (510, "there are four"),
        (1, "finds a worker free"),
        ("1s", "finds a worker free"),
        (30, "left out"),
        ("1h", "too large by a factor of more than 10"),
        (100, "order of magnitude"),
        (time(22, 2), "a point in time"),
        ("22:02", "a time of day"),
        (pd.Timestamp("2026-01-05 22:02"), "a point in time"),
    ],
    "01 another number": [
        ("a", "counted from each order's own booking"),
        ("c", "a check takes 10 ms"),
        ("d", "a mean over many waits"),
        ("e", "no statement (e)"),
        ("ab", "Only one"),
        ("a, d", "Only one"),
        ("each counts its quarters of an hour from its own beginning", "its letter is enough"),
        (2, "a number"),
        (["b"], "no list around it"),
        ({"b": 1}, "no dict around it"),
    ],
    "02 half the interval": [
        (600, "rule for a random phase"),
        ("10min", "rule for a random phase"),
        (10, "rule for a random phase"),
        (1200, "an answer that came at once"),
        ("20min", "an answer that came at once"),
        ("5min", "left out"),
        (13.13, "the right value in minutes"),
        (0.65, "which unit"),
        (1 / 1200, "which unit"),
        (sim.Polling("20min").expected(sim.exponential("10min")), "class Expected"),
        ("13,1min", "with a point"),
        (900, "close, but too large"),
        (700, "close, but too small"),
    ],
    "02 best interval": [
        (600, "the mean of the outside work"),
        ("10min", "the mean of the outside work"),
        (60, "the 2 under the root"),
        (7200, "the square root is missing"),
        (11, "the mean is in minutes"),
        (1.4, "the right value in minutes"),
        (848.5, "cents, the other in euros"),
        (8.485, "in euros, the other in cents"),
        (1, "read as minutes"),
        (0.5, "which unit"),
        ("15min", "too large by a factor of more than 10"),
        ("(2 * 0.1 * 600 / 60)", "a formula"),
        (90, "close, but too large"),
    ],
    "02 out of step": [
        (sim.Callback(), "sends no callbacks"),
        (sim.CallbackWithSafetyPoll(every="1h"), "sends no callbacks"),
        (sim.LongPolling("1h"), "holds no connections"),
        (sim.Polling("1h", "clock"), "aliasing"),
        (sim.Polling("1h", "clock", jitter="10min"), "jitter is too small"),
        (sim.Polling("15min", "clock"), "more than 10"),
        (sim.Polling("1min"), "more than 10"),
        (sim.Backoff("1min"), "more than 10"),
        (sim.Polling("3h"), "not check often enough"),
        (sim.Polling("1h", limit=2), "gives up before the batch"),
        ("every hour", "a text"),
        ("1h", "a duration"),
        (3600, "a number"),
        ([sim.Polling("1h")], "no list around it"),
    ],
    "02 bad day": [
        (5, "a number"),
        (["1min"] * 5, "no list around it"),
        (sim.Callback(), "loss=0.2"),
        (lossy(0), "leaves 0.2 of the waits open"),
        (lossy(4), "counted as a retry"),
        (lossy(6), "more than needed"),
        (lossy(20), "more than needed"),
        (lossy(5, loss=0.02), "loss=0.2"),
        (sim.CallbackWithSafetyPoll("2s", loss=0.2), "(CallbackWithSafetyPoll)"),
        (sim.Polling("1min"), "(Polling)"),
        ("5 retries", "a number with a word"),
        ([lossy(5)], "no list around it"),
    ],
    "03 late twin": [
        (450, "a mean over many waits"),
        ("7.5min", "a mean over many waits"),
        (600, "count from 08:07:30"),
        ("10min", "count from 08:07:30"),
        (750, "since the previous check"),
        ("15min", "just after a check"),
        (0, "the latency of the callback"),
        (2.5, "the right value in minutes"),
        ("2.5s", "the right value in minutes"),
        (9000, "minutes and seconds"),
        ("12:22:30", "a time of day"),
        (-150, "negative"),
        (151.5 + 3, "close, but too large"),
    ],
    "03 second finisher": [
        ("a", "does not learn that you were faster"),
        ("c", "Serial numbers prevent"),
        ("d", "no statement (d)"),
        ("bc", "Only one"),
        ("two rows", "its letter is enough"),
        (2, "a number"),
        ("9_31", "a text"),
        (["a", "b"], "length 2"),
        (204, "a number"),
        ("duplicate", "its letter is enough"),
    ],
    "04 how early": [
        (0.39347, "the fixed arming time"),
        ("39.3 %", "the fixed arming time"),
        (39.347, "read as per cent"),
        (0.5, "one mean divided by the other"),
        (0, "not every time"),
        (33.3, "in per cent"),
        (0.00333, "a hundredth"),
        (0.667, "the share of all the others"),
        (3, "the reciprocal"),
        ("1/3", "a formula"),
        ("0,33", "with a point"),
        ("100ms", "a duration"),
        (0.35, "close, but too large"),
        (-0.5, "not even the sign"),
    ],
    "04 keep it": [
        (0.39347, "without a buffer"),
        (0.1723, "the buffer saves"),
        (0, "a buffer without a limit"),
        (0.1967, "half the arming time"),
        (22.12, "in per cent"),
        (0.7788, "the share of all the others"),
        ("50ms", "a duration"),
        (0.25, "close, but too large"),
        (0.9, "which unit"),
        (100, "which unit"),
        ([0.2212], "no list around it"),
    ],
    "04 late callback": [
        ("a", "asked to do the same work"),
        ("c", "does not go back"),
        ("d", "by serial number, not by instance"),
        ("late", "its letter is enough"),
        ("acd", "Only one"),
        ("f", "no statement (f)"),
        ("2h", "a duration"),
        (["b"], "no list around it"),
        (sim.Callback(), "a strategy"),
        ("yes", "a text"),
    ],
    "04 in order": [
        (["polling 2min", "safety poll", "polling 1min", "retries"], "reversed"),
        (["retries", "safety poll", "polling 1min", "polling 2min"], "adds 45 s to the mean"),
        (["polling 1min", "retries", "safety poll", "polling 2min"], "about 5 s more"),
        (["retries", "polling 2min", "polling 1min", "safety poll"], "the longer one is later"),
        (["retries", "polling 1min", "polling 2min", "safety poll"], "5 % of half of thirty"),
        (["safety poll", "retries", "polling 1min", "polling 2min"], "retries after 5 s"),
        (["retries", "polling 1min", "polling 2min"], "Missing: 'safety poll'"),
        (["retries", "retries", "polling 1min", "polling 2min"], "more than once"),
        (["Retry", "polling 1min", "safety poll", "polling 2min"], "did you mean 'retries'"),
        ("safety poll, retries, polling 1min, polling 2min", "in its own quotation marks"),
        ([30.0, 60.0], "more than names. That is a number"),
        ([sim.Callback(), sim.Polling("1min")], "That is a strategy (Callback)"),
        (pd.Series([30.0, 60.0], ["retries", "safety poll"]), "more than names"),
        ({"retries", "safety poll", "polling 1min", "polling 2min"}, "a set, which has no order"),
        ([], "Missing: "),
    ],
    "05 how many workers": [
        (21, "the answer of the search"),
        (16, "added to the present four"),
        (40, "in section 4"),
        (200, "the work of the herd in seconds"),
        (220, "includes the notifications"),
        (19, "the first and the last one counted"),
        (20.5, "a whole number"),
        (20_000, "seconds and milliseconds"),
        (0.02, "seconds and milliseconds"),
        (10, "half as much"),
        (4, "too small"),
        ("20 workers", "a number with a word"),
        (sim.WorkflowServer(20), "class WorkflowServer"),
        ("20", "in quotation marks"),
    ],
    "05 wide enough": [
        (sim.Callback(), "does not spread it"),
        (sim.Callback("10min"), "does not spread it"),
        (sim.Callback(sim.uniform(0, "5min")), "the notification included"),
        (sim.Callback(sim.uniform(0, 10)), "the notification included"),
        (sim.Callback(sim.uniform(0, "1h")), "wider than necessary"),
        (sim.Callback(sim.uniform(0, "10min"), loss=0.1), "must be spread, not lost"),
        (sim.uniform(0, "10min"), "a distribution of times (Uniform)"),
        (sim.uniform, "uniform"),
        (sim.Polling("10min"), "a strategy (Polling)"),
        ("10min", "a duration"),
        (600, "a number"),
        ([sim.Callback()], "no list around it"),
    ],
    "05 your limit": [
        (600, "they are admitted at once"),
        ("10min", "they are admitted at once"),
        (10, "they are admitted at once"),
        (60, "only a hundred of them"),
        ("1min", "only a hundred of them"),
        (60_000, "the limit is a hundred"),
        (5, "the time the workers need"),
        (9, "the right value in minutes"),
        ("9s", "the right value in minutes"),
        ("9h", "minutes and seconds"),
        (0.15, "the right value in hours"),
        (1080, "twice as much"),
        (500, "close, but too small"),
    ],
    "06 one long run": [
        ("a", "for independent values"),
        ("b", "The direction is right"),
        ("d", "cancel out less"),
        ("no; it is too small", "its letter is enough"),
        ("e", "no statement (e)"),
        (0.02, "a number"),
        (False, "yes or no"),
        ("a b", "Only one"),
        (["c"], "no list around it"),
        (72_000, "a number"),
    ],
    "06 average of averages": [
        (lambda x: x, "function <lambda> itself"),
        (pd.Series([0.1, 0.9]).mean, "function mean itself"),
        (pd.Series([0.1, 0.9]), "length 2"),
        (np.array([0.1, 0.9]), "length 2"),
        (pd.DataFrame({"latency": [0.1]}), "a table of 1 rows"),
        (float("nan"), "NaN is left"),
        (np.float64("nan"), "NaN is left"),
        (float("inf"), "infinite"),
        (0, "zero is too small"),
        (72_000, "which unit"),
        (0.9, "close, but too large"),
        (10**400, "infinite"),
    ],
    "07 work of a step": [
        (pd.Timedelta("1h"), "too large by a factor of more than 10"),
        (pd.NaT, "a point in time"),
        (0.6653, "the right value in minutes"),
        (39_919, "the right value in milliseconds"),
        (2395, "minutes and seconds"),
        (-39.9, "negative"),
        (timedelta(seconds=-39.9), "a duration"),
        ("39.9", "in quotation marks"),
        (40.4, "close, but too large"),
        ([39.9], "no list around it"),
        (79.8, "twice as much"),
        (20.0, "half as much"),
    ],
    "07 workers in a log": [
        ("a", "leaves no trace"),
        ("c", "the other way round"),
        ("d", "Something can"),
        (3, "a number"),
        ("three", "its letter is enough"),
        ("3", "in quotation marks"),
        ("three or more", "its letter is enough"),
        ("abc", "Only one"),
        ("z", "no statement (z)"),
        (sim.WorkflowServer(3), "class WorkflowServer"),
    ],
    "08 your design": [
        (COMPANY, "The strategy is missing"),
        (SAFETY_POLL, "The design is missing"),
        ((SAFETY_POLL, COMPANY), "The two are swapped"),
        ([COMPANY, SAFETY_POLL], "in round brackets"),
        ((COMPANY,), "two parts"),
        ((COMPANY, sim.Callback), "the class Callback itself"),
        ((2, SAFETY_POLL), "a number"),
        ((COMPANY, "15min"), "a duration"),
        (design(2, sim.Polling("15min")), "late by up to its interval"),
        (design(5, sim.Callback(**SAFE)), "no check finds lost callbacks"),
        (design(4, SAFETY_POLL), "too few workers"),
        (design(8, SAFETY_POLL), "fewer may be enough"),
        (design(5, sim.CallbackWithSafetyPoll(**SAFE, every="30min")), "comes too seldom"),
        (design(5, sim.CallbackWithSafetyPoll("1s", every="15min")), "loss=0.02"),
        (design(5, SAFETY_POLL, poll_work=0), "poll_work='20ms'"),
        (design(5, sim.LongPolling("1h")), "hold no connections"),
    ],
    "09 how rare": [
        (120, "that is polling alone"),
        (2000, "after half an interval"),
        ("1min", "the *mean of all*"),
        (65.6, "in minutes"),
        (1.093, "in hours"),
        (7870, "a whole interval where half"),
        ("1h", "close, but too small"),
        (0, "zero is too small"),
        (-5, "That is negative"),
        ("often", "a duration: seconds as a number"),
        (sim.Polling("1h"), "a strategy (Polling)"),
    ],
    "09 a better schedule": [
        (sim.PollingAfter(["5min"]), "look where many checks find few batches"),
        (sim.PollingAfter(["10min"]), "50.3 % of the batches"),
        (sim.PollingAfter(["1h"]), "fewer than 95 of 100"),
        (sim.PollingAfter(["15min", "5min"]), "27.9 checks, more than 20"),
        (sim.PollingAfter([*UP_TO_FOUR, "4h", "5min"]), "24.2 checks"),
        (sim.PollingAfter([*UP_TO_FOUR, "4h", "1h"]), "90.9 % of the batches"),
        (sim.PollingAfter([*UP_TO_FOUR, "11h", "5min"]), "more than an hour"),
        (sim.PollingAfter(["5min"], limit=9), "a schedule such as"),
        (sim.Polling("5min"), "a strategy (Polling)"),
        (["10min", "5min"], "a schedule such as"),
    ],
    "09 the others": [
        ("a", "of the batches that resumed"),
        ("c", "the next one belongs to another"),
        ("(c)", "the next one belongs to another"),
        (" A ", "Those that never do have no latency"),
        ("d", "There is no statement (d)"),
        ("ac", "Only one of the statements is right"),
        ("Yes", "its letter is enough"),
        ("too many never resume", "its letter is enough"),
        (True, "yes or no"),
        (2, "That is a number"),
        (["a"], "a single answer has no list around it"),
    ],
}
"""Wrong answers to each exercise, and words that the feedback must contain."""

OF_ANY_EXERCISE = [
    ("", "The text is empty"),
    ("   ", "The text is empty"),
    ("no idea", "a text"),
    (None, "The answer is None"),
    (True, "yes or no"),
    (float("nan"), "NaN is left"),
    (float("inf"), "divided by zero"),
    (sim.Polling, "the class Polling itself"),
    (np.mean, "the function mean itself"),
    (sim.exponential("7min"), "a distribution of times (Exponential)"),
    (COMPANY, "scenario"),
    (pd.DataFrame({"latency": [1.0, 2.0]}), "a table of 2 rows"),
    ({1, 2}, "a set"),
    (object(), "an object of the class object"),
    (1j, "an object of the class complex"),
]
"""Answers that are wrong whatever the question is."""

UNITS = {
    "s": {1 / 60: "in minutes", 1 / 3600: "in hours", 1000: "in milliseconds", 60: "minutes and"},
    "share": {100: "in per cent", 0.01: "a hundredth", 60: "mixed up", 1000: "mixed up"},
    "": {60: "minutes and", 1 / 60: "minutes and", 1000: "milliseconds", 0.001: "milliseconds"},
}
"""Words for a value in another unit, by the factor to the right one."""
ANY_UNIT = {24: "days and hours", 1 / 24: "days and hours", 3600: "hours and seconds"}


def of_kind(kind_of_checker):
    names = [name for name, e in EXERCISES.items() if isinstance(e.checker, kind_of_checker)]
    return pytest.mark.parametrize("name", names)


def solution(name):
    """Return a right answer."""
    checker = EXERCISES[name].checker
    if isinstance(checker, NumberChecker):
        return checker.expected()
    if isinstance(checker, ChoiceChecker):
        return checker.truth()[0]
    if isinstance(checker, OrderingChecker):
        values = checker.values()
        return sorted(values, key=values.__getitem__)
    return PROPERTIES[name]


def numbers_in(text):
    return [float(each.replace(",", "")) for each in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def gives_away(name, text):
    """Return whether a text, without the answer that it repeats, has the solution."""
    checker, right = EXERCISES[name].checker, solution(name)
    if isinstance(checker, NumberChecker):
        units = (1, 60, 3600, 0.001) if checker.unit == "s" else (1, 0.01)
        found = [value * unit for value in numbers_in(text) for unit in units]
        return any(near(value, right, checker.within) for value in found)
    if isinstance(checker, ChoiceChecker):
        option = checker.options[right]
        told = (f"({right})", option.statement, option.explanation, checker.truth()[1])
        return any(each in text for each in told)
    if isinstance(checker, OrderingChecker):
        return re.search(r"\W+".join(right), text) is not None
    return any(each in text.lower() for each in SECRETS[name])


def judged(name, answer):
    """Return the feedback for a wrong answer, which must meet the rules for all of them."""
    verdict = EXERCISES[name].judge(answer)
    assert verdict.mark is not Mark.RIGHT
    text = "\n".join(each.text for each in verdict.findings)
    reason = [each.text for each in verdict.findings if not each.good][-1]
    assert "wrong." not in reason.lower()
    assert len(reason) > 30 or reason == "The order is right, but reversed."
    assert "\n" not in reason
    assert " at 0x" not in reason
    text = text.replace(EXERCISES[name].asks, "")
    repeated = re.compile(r"got .*?\. (?=[A-Z'])|^Not [^ :,]+( s)?: ", re.MULTILINE)
    without_answer = repeated.sub("", text)
    assert not gives_away(name, without_answer), without_answer
    return text


def test_the_table_has_ten_answers_to_each_exercise():
    """Each with the words for it; no answer twice."""
    assert set(TABLE) == set(EXERCISES)
    for name, answers in TABLE.items():
        assert len(answers) >= 10, name
        assert len({(type(answer), repr(answer)) for answer, _ in answers}) == len(answers), name
        assert all(len(words) > 5 for _, words in answers), name


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [(name, *row) for name, rows in TABLE.items() for row in rows],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.filterwarnings("ignore::asyncsim.CensoredWarning")
def test_feedback_names_the_mistake(name, answer, words):
    """Without an exception, and without the solution."""
    assert words in judged(name, answer)


@pytest.mark.parametrize("name", EXERCISES)
def test_another_kind_of_answer_is_named(name):
    """A class, a function, a table, a text, nothing: one sentence each, for every exercise."""
    for answer, words in OF_ANY_EXERCISE:
        if not (answer is COMPANY and name == "08 your design"):
            assert words in judged(name, answer), answer


@of_kind(NumberChecker)
def test_another_unit_is_named(name):
    """Unless the value is a mistake of the exercise's own, with an explanation of its own."""
    checker = EXERCISES[name].checker
    for factor, words in {**ANY_UNIT, **UNITS[checker.unit]}.items():
        text = judged(name, factor * checker.expected())
        own = any(why in text for why in checker.mistakes.values())
        assert own or words in text, (factor, text)


@of_kind(NumberChecker)
def test_a_near_miss_is_no_answer(name):
    """Slightly beyond the tolerance: the distance is not given, but the direction or a reason."""
    checker = EXERCISES[name].checker
    for sign in (-1, 1):
        value = checker.expected() * (1 + sign * max(1.1 * checker.within, 0.01))
        text = judged(name, value)
        own = any(why in text for why in checker.mistakes.values())
        assert own or "that is close" in text, text


@of_kind(NumberChecker)
def test_a_number_may_have_any_type_but_text(name):
    """Scalars of NumPy are numbers, right or not; a text with the right number is explained."""
    right = EXERCISES[name].checker.expected()
    for scalar in (np.float64, np.array):
        assert EXERCISES[name].judge(scalar(right)).mark is Mark.RIGHT
        assert "Not " in judged(name, scalar(-0.0))
    assert "in quotation marks" in judged(name, f"{right:.4f}")
    assert "with a point, not with a comma" in judged(name, f"{right:.4f}".replace(".", ","))
    for around in ([right], (right,), {"answer": right}, pd.Series([right]), np.array([right])):
        assert "around it" in judged(name, around)


@of_kind((NumberChecker, OrderingChecker, PropertyChecker))
def test_a_letter_is_no_answer(name):
    """As for the statements of other exercises."""
    assert "a text" in judged(name, "b")


@of_kind((NumberChecker, ChoiceChecker, OrderingChecker))
def test_a_strategy_is_no_answer(name):
    """As for the designs of other exercises."""
    assert "a strategy (Backoff)" in judged(name, sim.Backoff("1min"))


@pytest.mark.parametrize("notebook", chapters())
def test_the_answer_to_the_exercise_before_is_recognised(notebook):
    """A variable that is left over; a letter may be right twice, and is no such sign."""
    group = chapters()[notebook]
    gradebook = Gradebook({notebook: group})
    for exercise, following in itertools.pairwise(group):
        answer = solution(exercise.name)
        assert gradebook.check(exercise.name, answer).passed
        feedback = gradebook.check(following.name, answer)
        named = f"your answer to '{exercise.name}'" in repr(feedback)
        assert named == (not isinstance(exercise.checker, ChoiceChecker))
        assert not feedback.passed or (answer == solution(following.name) and not named)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_is_right(name):
    """Otherwise the tests above would look for another one."""
    assert EXERCISES[name].judge(solution(name)).mark is Mark.RIGHT


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("-5min", "a negative one"),
        (np.timedelta64(5, "s"), "a duration"),
        (np.bool_(True), "yes or no"),
        (-3, "the wrong way round"),
        (3, "a number"),
        (sim.Callback("1s").expected, "the function expected itself"),
        (np.array(["a", "b"]), "length 2"),
        (b"21", "length 2"),
    ],
)
def test_a_kind_has_one_sentence(answer, words):
    """It ends like one."""
    assert words in kind(answer)
    assert re.fullmatch(r"[A-Z][^?.]*[?.]|.*: .*…\)\.", kind(answer))
