"""The workflow server: workers, rate limits, answers to finishes, and the prices of its work."""

from __future__ import annotations

import re
from html import escape

import attrs
import pandas as pd
from attrs import field, frozen

from asyncsim.errors import ScenarioError
from asyncsim.model import units
from asyncsim.model.distributions import Duration, Fixed, as_distribution
from asyncsim.model.html import result_html
from asyncsim.model.outages import Outage, outage_list
from asyncsim.model.units import InvalidValue, Rate
from asyncsim.model.validation import choice, instance_of, name_errors, word_of

# --- rate limits --------------------------------------------------------------------------------

_WINDOW = re.compile(r"(\d{1,12})\s*(?:per|/)\s*(\S.*)")
_BUCKET = re.compile(r"(\d{1,12})\s+refilled\s+(\S.*)")


@frozen(field_transformer=name_errors)
class SlidingWindow:
    """At most `most` requests in any interval of `seconds` (a connector of K2: 100 in 60 s)."""

    most: int = field(converter=units.count)
    seconds: float = field(converter=units.positive_duration)

    def __str__(self) -> str:
        length = units.format_duration(self.seconds)
        return f"{self.most} per {length if isinstance(length, str) else f'{length!r} s'}"


@frozen(field_transformer=name_errors)
class TokenBucket:
    """A burst of `size` requests, then `rate`; full at first (Step Functions: 3,000, and 500/s)."""

    size: int = field(converter=units.count)
    rate: Rate = field(converter=units.rate)

    def __str__(self) -> str:
        return f"{self.size} refilled {self.rate}"


RateLimit = SlidingWindow | TokenBucket


def rate_limit(value: str | RateLimit | None) -> RateLimit | None:
    """Return a rate limit, also from ``"100 per 60 s"`` or ``"3000 refilled 500/s"``."""
    if value is None or isinstance(value, RateLimit):
        return value
    if isinstance(value, str):
        try:
            if bucket := _BUCKET.fullmatch(value.strip()):
                return TokenBucket(int(bucket[1]), bucket[2])
            if window := _WINDOW.fullmatch(value.strip()):
                return SlidingWindow(int(window[1]), window[2])
        except ScenarioError:
            pass
    spelt = re.sub(r"\s*(?:per|/)\s*(?=[a-z])", " per 1", value) if isinstance(value, str) else ""
    hint = units.suggested(rate_limit, value, spelt) if spelt else ""
    raise InvalidValue("must be words such as '100 per 60 s' or '3000 refilled 500/s'", hint)


# --- the server ---------------------------------------------------------------------------------


KINDS = ("early", "duplicate", "unknown", "late")  # of a finish that is not the first one in time
AFTERWARDS = ("reject", "accept", "keep", "start")  # to a finish of a wait that is over


@frozen(field_transformer=name_errors)
class FinishPolicy:
    """How the server answers a finish that is not the first one in time.

    The policy decides what the sender receives, and what becomes of the value: no wait ever
    resumes its step twice, no record is lost. An acknowledgement may hide three things: the value
    is discarded, kept for a later wait, or starts another run.

    >>> sim.FinishPolicy(early="buffer", buffer_for="1min", late="keep").buffer_for
    60.0

    Parameters
    ----------
    early
        Before the wait is armed: ``"reject"`` (an error; the sender may try again), ``"buffer"``
        (kept, and applied when the wait is armed), ``"ignore"`` (acknowledged but discarded) or
        ``"start"`` (acknowledged; it starts another run, and the wait goes on).
    buffer_for
        How long an early finish is kept; by default until the wait is armed.
    duplicate
        A second finish of a number: ``"reject"``, ``"accept"`` (acknowledged but discarded),
        ``"keep"`` (acknowledged; it finishes the next wait of the same step in its instance, the
        open one first) or ``"start"`` (acknowledged; it starts another run).
    late
        After a time-out or a cancellation: ``"reject"``, ``"accept"``, ``"keep"`` or ``"start"``.
    unknown
        A number no wait ever had: ``"reject"``, ``"ignore"`` or ``"start"``.
    """

    early: str = field(default="reject", validator=word_of("reject", "buffer", "ignore", "start"))
    buffer_for: float | None = field(default=None, converter=units.optional_duration)
    duplicate: str = field(default="reject", validator=word_of(*AFTERWARDS))
    late: str = field(default="reject", validator=word_of(*AFTERWARDS))
    unknown: str = field(default="reject", validator=word_of("reject", "ignore", "start"))


def _slowing(value: float) -> float:
    return units.not_negative(value, 1000)


@frozen(field_transformer=name_errors)
class SharedStore:
    """The database that all checks and callbacks need, beside the workers; FIFO.

    A worker that begins a check or callback first takes its part at the store, and stays busy while
    it waits there: SQLite with one writer serves 16 workers no faster than one.

    >>> sim.WorkflowServer(16, store=sim.SharedStore(callback_work="6ms")).callback_seconds
    0.006

    Parameters
    ----------
    check_work, callback_work
        Time of one check and of one callback at the store.
    writers
        How many jobs it serves at once.
    slows_down
        With n other jobs there, waiting or served, a job takes 1 + `slows_down` · n times its time:
        clients that ask for a lock again and again slow each other down.
    """

    check_work: float = field(default=0.0, converter=units.duration)
    callback_work: float = field(default=0.0, converter=units.duration)
    writers: int = field(default=1, converter=units.servers)
    slows_down: float = field(default=0.0, converter=_slowing)


NO_STORE = SharedStore()


@frozen(field_transformer=name_errors)
class WorkflowServer:
    """Identical workers over one FIFO queue. A job of no duration needs no worker.

    >>> sim.WorkflowServer(workers=4, poll_work="10ms", finish_limit="100 per 60 s").poll_work
    0.01

    Parameters
    ----------
    workers
        Number of worker threads.
    poll_work, callback_work
        Worker time of one check and of handling one callback.
    policy
        How finishes are answered; see `FinishPolicy`.
    finish_limit
        Rate limit of callbacks: ``"100 per 60 s"`` or ``"3000 refilled 500/s"``; by default
        there is none. Callbacks above it are refused on arrival (HTTP 429) and take no worker;
        the sender retries by the strategy's `retries`.
    timeout_sweep
        Interval, from the scenario's start on, of the job that finds deadlines that have passed:
        waits, steps and instances time out when it runs, on average half an interval late. By
        default they do so at once. The job takes no worker.
    check_operations, callback_operations
        Database operations of one check, and of one callback that arrives; 0 or more. The default
        is a convention of this model, not a measurement: the record of the wait is read, and
        the next check or the answer is written. `asyncsim.profiles` shows what was measured in
        other engines.
    engine_delay
        Time between the finish of a wait and the moment its step goes on, a duration or a
        distribution; no worker is busy with it, and it is part of the latency.
    store
        What checks and callbacks need beside a worker; see `SharedStore`.
    slows_down
        With n other jobs in the queue or with a worker when a job joins, it takes
        1 + `slows_down` · n times its work: an engine that is slower under load.
    outages
        When its endpoint, its workers or its poller are down; see `Outage`. A delivery that arrives
        at an endpoint that is down is refused. A check due while the poller is down is made when
        it is up again, one for each wait. Jobs of no duration need no worker, then either.
    """

    workers: int = field(default=4, converter=units.servers)
    poll_work: float = field(default=0.0, converter=units.duration)
    callback_work: float = field(default=0.0, converter=units.duration)
    policy: FinishPolicy = field(
        default=FinishPolicy(),
        validator=instance_of(FinishPolicy, "a FinishPolicy(early=…, duplicate=…)"),
    )
    finish_limit: RateLimit | None = field(default=None, converter=rate_limit)
    timeout_sweep: float | None = field(
        default=None, converter=units.optional_interval, kw_only=True
    )
    check_operations: float = field(default=2, converter=units.operations)
    callback_operations: float = field(default=2, converter=units.operations)
    engine_delay: Duration = field(default=Fixed(0.0), converter=as_distribution)
    store: SharedStore = field(
        default=NO_STORE, validator=instance_of(SharedStore, "a SharedStore(callback_work=…)")
    )
    slows_down: float = field(default=0.0, converter=_slowing)

    @property
    def check_seconds(self) -> float:
        """Seconds of a worker that a check takes while nothing else needs the store."""
        return self.store.check_work + self.poll_work

    @property
    def callback_seconds(self) -> float:
        """Seconds of a worker that a callback takes while nothing else needs the store."""
        return self.store.callback_work + self.callback_work

    @property
    def has_store(self) -> bool:
        """Whether checks or callbacks take time at the store."""
        return bool(self.store.check_work or self.store.callback_work)

    @property
    def grows_slower(self) -> str:
        """Why a job may take longer than its own work, if it may."""
        if self.slows_down:
            return "jobs take longer, the more of them there are"
        return "checks and callbacks also wait for the store" if self.has_store else ""

    outages: tuple[Outage, ...] = field(default=(), converter=outage_list, kw_only=True)


# --- prices -------------------------------------------------------------------------------------


PAID = {
    "overhead": "worker time for checks and callbacks",
    "busy": "worker time for all work",
    "provided": "a worker, busy or idle",
}


def _price(value: float) -> float:
    return units.not_negative(value, 1e12)


def _transitions(value: int) -> int:
    return 0 if units.from_zero(value) == 0 else units.count(value)


@frozen(field_transformer=name_errors)
class CostModel:
    """Prices of checks, callbacks, workers and lateness; zero by default.

    >>> prices = CostModel(check=0.001, late_minute=2.0, service_level="5min", currency="EUR")
    >>> prices.service_level
    300.0

    Parameters
    ----------
    check
        Price of one check, whatever it finds.
    request
        Price of one request to notice completion: a check, or a delivery of a callback.
    transition
        Price of one state transition, as engines bill that sell steps.
    transitions_per_check, transitions_per_call
        State transitions of a check, and of the call of an asynchronous step. The loop *wait, ask,
        decide* has three; a step that is called back has one. [D: derived from the diagram of such
        a loop]
    worker_hour
        Price of an hour of a worker.
    worker_time
        The hours paid for: ``"overhead"`` (checks and callbacks), ``"busy"`` (all work), or
        ``"provided"`` (all workers for the scenario's length, busy or idle).
    late_minute
        Price of each minute by which a resumption is later than `service_level` after completion.
        Waits that time out are late until then. Those still open when the run stops are late until
        it stopped, which understates them: give such steps a time-out. (The questions of capacity
        count them as infinitely expensive.)
    service_level
        Resume latency that is free of charge.
    currency
        Of all prices.
    source
        Source of the prices, with its date.
    """

    check: float = field(default=0.0, converter=_price)
    request: float = field(default=0.0, converter=_price)
    transition: float = field(default=0.0, converter=_price)
    transitions_per_check: int = field(default=3, converter=_transitions)
    transitions_per_call: int = field(default=1, converter=_transitions)
    worker_hour: float = field(default=0.0, converter=_price)
    worker_time: str = field(default="overhead", validator=word_of("overhead", "busy", "provided"))
    late_minute: float = field(default=0.0, converter=_price)
    service_level: float = field(default=0.0, converter=units.duration)
    currency: str = field(default="USD", converter=units.text)
    source: str = field(default="", converter=units.any_text)

    @property
    def in_words(self) -> str:
        """The prices that are not zero, in one sentence without its full stop.

        >>> CostModel(check=0.001, late_minute=2, service_level="5min").in_words
        '1 USD for 1,000 checks; 2 USD for each minute by which a step resumes later than 5 min'
        """
        late = f"minute by which a step resumes later than {units.text_of(self.service_level)}"
        moves = f"(a check has {self.transitions_per_check}, a call {self.transitions_per_call})"
        prices = (
            (self.check, "check", "checks"),
            (self.request, "request", "requests"),
            (self.transition, f"state transition {moves}", f"state transitions {moves}"),
            (self.worker_hour, f"hour of {PAID[self.worker_time]}", ""),
            (self.late_minute, late, ""),
        )
        found = []
        for price, one, several in prices:
            if price:
                many = bool(several) and price < 0.01
                amount = units.number_text(price * 1000 if many else price)
                of = f"1,000 {several}" if many else f"each {one}"
                found.append(f"{amount} {self.currency} for {of}")
        return "; ".join(found) or "nothing has a price"

    def _repr_html_(self) -> str:
        return result_html(
            "Prices", "", escape(self.source), of_title=f": {escape(self.in_words)}."
        )

    @classmethod
    def preset(cls, name: str) -> CostModel:
        """Return published prices by name; `asyncsim.cost_presets` shows all of them."""
        return PRESETS[choice("CostModel.preset", name, PRESETS)]


PRESETS = {  # [V] read in a public source, [D] derived
    "aws step functions": CostModel(
        transition=0.025 / 1000,
        currency="USD",
        source="AWS Step Functions, standard workflows: $0.025 per 1,000 state transitions "
        "(text of 2023; prices differ by region and change) [V]; three transitions a check and "
        "one a callback [D]",
    )
}


def cost_presets() -> pd.DataFrame:
    """Return the published prices, with source and date.

    Vendors that publish no price per use, K2 among them, are missing: make your own `CostModel`.

    >>> float(cost_presets().loc["aws step functions", "transition"])
    2.5e-05

    Returns
    -------
    pandas.DataFrame
        Index ``name``; ``transition, transitions_per_check, transitions_per_call, currency,
        source``.
    """
    columns = ["transition", "transitions_per_check", "transitions_per_call", "currency", "source"]
    table = pd.DataFrame(map(attrs.asdict, PRESETS.values()), index=pd.Index(PRESETS, name="name"))
    return table[columns]
