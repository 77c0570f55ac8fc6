"""Exercises of the course, and a checker that never just says *wrong*.

>>> from asyncsim import exercises
>>> exercises.check("02 best interval", "1min").passed
False
>>> exercises.check("02 best interval", ...)  # doctest: +ELLIPSIS
02 best interval: not answered yet
  … Put your answer in place of the dots. ...
"""

from asyncsim.exercises.gradebook import Gradebook, chapters

_desk = Gradebook(chapters())
check = _desk.check
hint = _desk.hint
all = _desk.all
given = _desk.given

__all__ = ["all", "check", "given", "hint"]
