"""Exercises of the course, with feedback that explains what is wrong and why.

>>> from asyncsim import exercises
>>> exercises.check("02 best interval", "1min").passed
False
>>> exercises.check("02 best interval", ...)  # doctest: +ELLIPSIS
02 best interval: not answered yet
  … Replace the dots with your answer. ...
"""

from asyncsim.exercises.gradebook import Gradebook, chapters

_gradebook = Gradebook(chapters())
check = _gradebook.check
hint = _gradebook.hint
all = _gradebook.all
given = _gradebook.given

__all__ = ["all", "check", "given", "hint"]
