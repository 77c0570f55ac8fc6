"""How long steps wait before they give up, told from the waits that were given up."""

from __future__ import annotations

import numpy as np
import pandas as pd
from attrs import frozen

from asyncsim.study.calibration.account import Finding, Gap
from asyncsim.study.calibration.durations import six_digits

FEWEST = 5
SAME = 0.01
"""Waits were given up after the same time if nearly all of them differ by no more than this."""
MOST = 0.9


@frozen
class GivenUp:
    """Waits of a step that were given up.

    Attributes
    ----------
    timeout
        After how many seconds; None if after different times, or too few were.
    goes_on
        Whether their instances went on with another step, and did not fail.
    findings, gaps
        For the account.
    """

    timeout: float | None
    goes_on: bool
    findings: tuple[Finding, ...] = ()
    gaps: tuple[Gap, ...] = ()


def given_up(steps: pd.DataFrame, name: str) -> GivenUp:
    """Return after how long a step gives up waiting, and what follows.

    Parameters
    ----------
    steps
        ``case, step, first, armed, ended, aborted``, of all steps of a log.
    name
        Of the step.
    """
    waits = steps[(steps["step"] == name) & steps["armed"].notna()]
    gone = waits[waits["aborted"]]
    if gone.empty:
        return GivenUp(None, False)
    after = (gone["ended"] - gone["armed"]).to_numpy()
    usual = float(np.median(after))
    last = steps.groupby("case")["first"].max()
    goes = waits["case"].map(last) > waits["first"]
    on = float(goes[waits["aborted"]].mean())
    amount = f"{len(gone)} of {len(waits)}"
    if len(gone) < FEWEST or np.mean(np.abs(after - usual) <= SAME * usual) < MOST:
        meaning = "after different times, or too few to tell: the scenario's waits never give up"
        return GivenUp(None, False, (), (Gap(name, "waits that were given up", amount, meaning),))
    goes_on = on > 0.5
    at_the_end = not goes.any()  # nor do instances whose wait was answered go on
    then = "" if at_the_end else f"; their instances {'went on' if goes_on else 'failed'}"
    how = f"{amount} waits were given up{then}"
    interval = f"{after.min():.4g} to {after.max():.4g} s"
    found = Finding(name, "time-out", f"{usual:.6g} s", len(gone), interval, how)
    gaps = []
    if at_the_end:
        meaning = "no step comes after it, so the log does not tell; the scenario's instances fail"
        gaps.append(Gap(name, "what follows a time-out", "not known", meaning))
    if (others := round(min(on, 1 - on) * len(gone))) >= FEWEST:
        meaning = "some instances went on and some failed; the scenario does what most did"
        gaps.append(Gap(name, "what follows a time-out", f"{others} of {len(gone)}", meaning))
    return GivenUp(six_digits(usual), goes_on, (found,), tuple(gaps))
