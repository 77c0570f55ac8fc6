"""Senders: how known senders of callbacks try again, and what an outage of the receiver costs.

The data is in ``senders.toml``; each entry names its source, with the marks of
`asyncsim.model.profiles`.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import accumulate, groupby, pairwise
from typing import Any

import attrs
import pandas as pd
from attrs import field, frozen

from asyncsim.model import units
from asyncsim.model.units import DurationLike, InvalidValue, percent, text_of
from asyncsim.model.validation import argument, choice, name_errors, word_of

MOST_RETRIES = 1000
QUEUES = word_of("independent", "blocking")
_SEVERAL = re.compile(r"(\d{1,4}) x (.+)")


def retry_schedule(value: Sequence[DurationLike]) -> tuple[float, ...]:
    """Return pauses before retries, of which ``"5 x 1h"`` stands for five."""
    if not isinstance(value, (list, tuple)):
        raise InvalidValue("must be a list of pauses such as ['5s', '5min', '30min']")
    found: list[float] = []
    for one in value:
        several = _SEVERAL.fullmatch(one) if isinstance(one, str) else None
        times, pause = (int(several[1]), several[2]) if several else (1, one)
        found += [units.duration(pause)] * times
    if len(found) > MOST_RETRIES:
        raise InvalidValue(f"must be {MOST_RETRIES:,} pauses at most")
    return tuple(found)


@frozen
class AfterOutage:
    """What an outage of the receiver costs events that are spread evenly over it.

    Attributes
    ----------
    mean, longest
        Lateness in seconds, from the end of the outage, of the events that are delivered.
    lost
        Share of the events that are never delivered.
    """

    mean: float
    longest: float
    lost: float

    @property
    def in_words(self) -> str:
        """Lateness and loss in one sentence.

        >>> sim.Sender("mine", ["5min"]).after_outage("10min").in_words
        '50 % are delivered, 2.5 min after the outage on average, 5 min at most; 50 % are lost.'
        """
        if self.lost >= 1:
            return "All are lost."
        which = f"{percent(1 - self.lost)} are delivered" if self.lost else "All are delivered"
        late = f"{text_of(self.mean, 3)} after the outage on average, {text_of(self.longest, 3)}"
        lost = f"; {percent(self.lost)} are lost" if self.lost else ""
        return f"{which}, {late} at most{lost}."


@frozen(field_transformer=name_errors)
class Sender:
    """How a sender of callbacks behaves; see `senders` for known ones.

    >>> sim.Callback(sender=sim.Sender("mine", ["10s", "5 x 1min"], queue="blocking")).label
    'callback by mine'

    Parameters
    ----------
    name
        Name of the sender.
    pauses
        The pauses before its second, third, … attempt.
    answer_within, queue, retry_after, switched_off_after, switched_off_by_410
        As of `Callback`.
    source
        Where this is from, with its mark.
    """

    name: str = field(converter=units.text)
    pauses: tuple[float, ...] = field(converter=retry_schedule)
    answer_within: float | None = field(
        default=None, converter=units.optional_duration, kw_only=True
    )
    queue: str = field(default="independent", validator=QUEUES, kw_only=True)
    retry_after: bool = field(default=False, converter=units.yes_or_no, kw_only=True)
    switched_off_after: int | None = field(
        default=None, converter=units.optional_count, kw_only=True
    )
    switched_off_by_410: bool = field(default=False, converter=units.yes_or_no, kw_only=True)
    source: str = field(default="", converter=units.any_text, kw_only=True)

    def after_outage(self, length: DurationLike) -> AfterOutage:
        """Return what an outage costs if each attempt takes no time and waits for no other event.

        An event x before the end of the outage is delivered by the first attempt a_k after it
        with a_k >= x, so a_k - x late; x is uniform from 0 to the length.

        >>> sim.Sender.named("svix").after_outage("2h").in_words
        'All are delivered, 58.7 min after the outage on average, 2 h at most.'
        """
        total = argument("length", length, units.positive_duration)
        offsets = [0.0, *accumulate(self.pauses)]
        steps = [(low, high) for low, high in pairwise(offsets) if low < total]
        late = sum(((b - a) ** 2 - max(b - total, 0.0) ** 2) / 2 for a, b in steps)
        delivered = min(offsets[-1], total)
        longest = max((b - a for a, b in steps), default=math.nan)
        return AfterOutage(
            late / delivered if delivered else math.nan, longest, 1 - delivered / total
        )

    @classmethod
    def named(cls, name: str) -> Sender:
        """Return a known sender by its name."""
        return SENDERS[choice("Sender.named", name, SENDERS)]


_DATA = files("asyncsim.model").joinpath("senders.toml").read_text(encoding="utf-8")
SENDERS = {name: Sender(**table) for name, table in tomllib.loads(_DATA).items()}


def sender_named(value: str | Mapping[str, Any] | Sender | None) -> Sender | None:
    """Return a sender, also by its name, or None."""
    if value is None or isinstance(value, Sender):
        return value
    if isinstance(value, Mapping):
        return Sender(**value)
    if not isinstance(value, str):
        raise InvalidValue(f"must be a Sender or one of {', '.join(map(repr, SENDERS))}")
    return SENDERS[units.one_of(" ".join(value.lower().replace("-", " ").split()), SENDERS)]


def known_name(sender: Sender) -> str | None:
    """Return the name by which `sender_named` finds a sender, if it is a known one."""
    return next((name for name, one in SENDERS.items() if one == sender), None)


def completed(deliveries: Any, sender: Sender) -> Any:
    """Return deliveries with what a sender does, where they have the default."""
    found: dict[str, Any] = {}
    for one in attrs.fields(type(deliveries)):
        value = getattr(sender, "pauses" if one.name == "retries" else one.name, None)
        if getattr(deliveries, one.name) == one.default and value is not None:
            found[one.name] = value
    return attrs.evolve(deliveries, **found)


def _pauses(pauses: tuple[float, ...]) -> Iterator[str]:
    """Yield pauses as a file spells them, several equal ones at once."""
    for pause, several in groupby(pauses):
        number, text = len(list(several)), units.format_duration(pause)
        yield f"{number} x {text}" if number > 1 else str(text)


def senders() -> pd.DataFrame:
    """Return the known senders: how they try again, and their source.

    >>> int(sim.senders().loc["kit", "attempts"]), sim.senders().loc["kit", "last after"]
    (8, '1.72 d')

    Returns
    -------
    pandas.DataFrame
        Index ``sender``; ``name, pauses, attempts, last after, answers within, queue, switched off
        after, by 410, honours Retry-After, source``.
    """
    rows = [
        {
            "name": one.name,
            "pauses": ", ".join(_pauses(one.pauses)),
            "attempts": 1 + len(one.pauses),
            "last after": text_of(sum(one.pauses)) if one.pauses else "at once",
            "answers within": text_of(one.answer_within) if one.answer_within else "",
            "queue": one.queue,
            "switched off after": one.switched_off_after,
            "by 410": one.switched_off_by_410,
            "honours Retry-After": one.retry_after,
            "source": one.source,
        }
        for one in SENDERS.values()
    ]
    return pd.DataFrame(rows, index=pd.Index(SENDERS, name="sender"))
