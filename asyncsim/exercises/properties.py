"""A strategy or a scenario is the answer: it must have a property, which is measured."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

from attrs import frozen

from asyncsim.errors import AsyncsimError, CensoredWarning
from asyncsim.exercises.feedback import Finding, Mark, Verdict, unreadable, verdict


@frozen
class Property:
    """Checks what somebody built, by closed form or by playing it.

    Parameters
    ----------
    wanted
        What has to be given, in words.
    fits
        Whether an answer is such a thing.
    measure
        Looks at each condition, and says what was measured and, if it fails, why that may be.
    right
        What is said when all conditions are met.
    """

    wanted: str
    fits: Callable[[Any], bool]
    measure: Callable[[Any], Iterable[Finding]]
    right: str

    def judge(self, answer: object) -> Verdict:
        """Measure every condition; what cannot be played is said."""
        if not self.fits(answer):
            return unreadable(self.wanted, answer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CensoredWarning)  # the findings say how many hang
            try:
                return verdict(self.measure(answer), self.right)
            except AsyncsimError as error:
                said = Finding(False, f"It could not be played: {error}")
                return Verdict(Mark.UNREADABLE, (said,))
