"""What the kernels work on: one `RunState`, and the numbers that stand for names in it.

Records lie field by field: ``s.armed[w]`` is when wait `w` was armed. Waits lie call by call, so
that ``w = call * s.n + row``. A system is a link of an external system here; a chain has several.

Under Numba a state is a row of words, each a number or the address at which an array begins; a
kernel gets the address of the row. (Numba's own structures, `numba.experimental.structref`, count
references to every array that is read, which costs the kernels half their speed.) So arrays know no
length there. Without Numba a state is an object with lists for arrays, which are much faster there
than NumPy's; with ``ASYNCSIM_BOUNDSCHECK=1`` these lists raise at every index out of bounds.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from attrs import frozen

from asyncsim.engine.environment import INSTANCE_BITS, STEP_BITS, EventKind, Job
from asyncsim.engine.graph import Await, Call, Choose, Fork, Join, Pause, Work
from asyncsim.engine.result import DELIVERY_OUTCOMES, Outcome, StepOutcome, WaitOutcome
from asyncsim.fast.jit import are_compiled, compiled_structure, replaceable
from asyncsim.model.outages import PARTS
from asyncsim.model.senders import MOST_RETRIES
from asyncsim.platform import checks_bounds

NODES = (Work, Call, Await, Choose, Fork, Join, Pause)
ANCHORS = ("arming", "clock", "random")
JITTERS = ("none", "full", "equal", "decorrelated")
PURPOSES = ("loss", "duplicate", "jitter", "phase", "retry", "error")

# Plain numbers: to a kernel they are constants. What other modules number is taken from there, in
# its order, so that one more or less is an error here; that the names agree is tested.
# State of a wait: not called yet, called, and from ARMED on what became of it
NOT_CALLED, CALLED = range(2)
ARMED, FINISHED, TIMED_OUT, GAVE_UP, CANCELLED = (2 + outcome for outcome in WaitOutcome)
(
    OPEN, RESUMED, AT_ONCE, REJECTED, STEP_TIMED_OUT, STEP_GAVE_UP, STEP_CANCELLED,
) = map(int, StepOutcome)  # fmt: skip
NO_LINE, HELD, RELEASED, PARKED = range(4)
RUNNING, IS_DONE, HAS_FAILED, IS_LATE = map(int, Outcome)
IS_WORK, IS_CALL, IS_AWAIT, IS_CHOOSE, IS_FORK, IS_JOIN, IS_PAUSE = map(NODES.index, NODES)
BATCH, SERVICE, PEOPLE, RECORDED = range(4)
NOWHERE, WITHDRAWN = -1, -2  # in place of where an item is
# What may be down: parts of the server, then each link of a system
ENDPOINT, WORKERS, POLLER = map(PARTS.index, PARTS)
SYSTEMS = len(PARTS)
DEADLINE = 2 * MOST_RETRIES  # plus an attempt: its answer has not come in time
(
    A_FINISHED, A_BUFFERED, A_IGNORED_EARLY, A_ACCEPTED_DUPLICATE, A_ACCEPTED_LATE,
    A_IGNORED_UNKNOWN, A_EARLY, A_DUPLICATE, A_LATE, A_UNKNOWN, A_KEPT_DUPLICATE, A_KEPT_LATE,
    A_STARTED_EARLY, A_STARTED_DUPLICATE, A_STARTED_LATE, A_STARTED_UNKNOWN, A_LOST, A_DEAD,
    A_LIMITED, A_DOWN, A_OFF,
) = range(len(DELIVERY_OUTCOMES))  # fmt: skip
NOT_WATCHED, POLLS, BACKS_OFF, HOLDS_LINE, BY_CLOCK, DIRECTED, SHARED = range(7)
FROM_ARMING, FROM_CLOCK, FROM_RANDOM = map(ANCHORS.index, ANCHORS)
NO_JITTER, FULL, EQUAL, DECORRELATED = map(JITTERS.index, JITTERS)
NO_LIMIT, WINDOW_LIMIT, BUCKET_LIMIT = range(3)
# A key of chances for each purpose and call
K_LOSS, K_DUPLICATE, K_JITTER, K_PHASE, K_RETRY, K_ERROR = map(PURPOSES.index, PURPOSES)
(
    WORK_ENDED, ARMING, SYSTEM, CALLBACK_HANDLED, CHECK_ENDED, ARRIVAL, DELIVERY, CHECK_DUE,
    TIMEOUT, COLLECTION, LAST_LOOK, SHARED_CHECK,
) = map(int, EventKind)  # fmt: skip
# Kinds of events below have a lane of their own in the queue; lane 0 stands for the heap
LANES = COLLECTION
ROW_SHIFT, KIND_SHIFT = STEP_BITS, STEP_BITS + INSTANCE_BITS
J_WORK, J_CALL, J_CHECK, J_CALLBACK = map(int, Job)
# Of each job the moments are counted at which it was queued, started and ended
MOMENTS = 3
# How a run went
(
    OK, MORE_NIGHTS, NO_NIGHT, MORE_HOURS, MORE_INTERVALS, MORE_BINS, MORE_ROOM, NOT_FINITE,
    INTERRUPTED,
) = range(9)  # fmt: skip


def _fields(*groups: tuple[str, str]) -> dict[str, str]:
    return {name: kind for kind, names in groups for name in names.split()}


FIELDS = _fields(
    # Given: n instances, bins of time, capacity of a lane and room of the heap (powers of two)
    ("int", "n calls waits systems joins workers bins capacity room start_node"),
    ("float", "until resolution poll_work callback_work buffer_for"),
    # A check and a callback with their parts at the store; whether jobs are `contended`: by a
    # store or slower under load; the writers of the store, and a ring of the starts of jobs in it
    ("float", "check_seconds callback_seconds slows_down"),
    ("float", "store_check store_callback store_slows store_seconds"),
    ("int", "contended writers store_room store_head store_tail"),
    ("floats", "store_free store_starts"),
    # The delay before a finished step goes on, of each wait if they vary, or one for all
    ("int", "delays_steps step_delays_vary"),
    ("floats", "step_delay"),
    # Outcomes of finishes by the policy; its rate limit, with a ring of the latest `window_most`
    ("int", "early duplicate late finish_limit window_most admitted_at"),
    ("float", "window_length bucket_size bucket_rate tokens tokens_since"),
    ("floats", "admitted"),
    # Calls with the same strategy form a group; whether checks may be made ahead, or in a ring,
    # whether jitter spreads them, so that the heap holds them, whether any delays vary
    ("int", "groups looks_ahead turns_ring scatters delays_vary"),
    ("ints", "group_of"),
    # How each group checks; its intervals, instants of checks by the clock, and hours in which its
    # grid checks (any if there are none) begin at a place in arrays of all groups
    ("ints", "watch checks_are_free limit anchor backoff_kind"),
    ("ints", "intervals_at intervals_n intervals_go_on"),
    ("ints", "instants_at instants_n windows_at windows_n"),
    ("floats", "interval jitter cap first_wait"),
    ("floats", "intervals instants window_opens window_closes"),
    # Checks shared by the waits of a group at a system, by call; two lists of each, in their parts
    # of arrays: its waits in the order of arming, and of completion; whether it has a check due or
    # under way, at which wait that counts, when it was picked up, and when the last one ended
    ("ints", "shared shared_at is_asking counts_at"),
    ("ints", "opened opened_head opened_n complete complete_head complete_n"),
    ("floats", "shared_start asked_at shared_last"),
    # How its systems deliver; delays are by attempt and wait if some vary, or one for each group
    ("ints", "notify attempts retries_vary pause_at blocks honours off_after off_by_410"),
    ("floats", "loss duplicates duplicate_delay answer_within"),
    ("floats", "pause delay"),
    # Outages: spans of each part of the server and each system, one after the other; until when
    # all are known; whether a system has any. What senders know, by the first link of a system
    ("ints", "down_at down_n last_system exhausted_n is_off is_sending sending_head sending_tail"),
    ("ints", "sending"),
    ("floats", "down_from down_to down_lost"),
    ("float", "down_known"),
    ("int", "systems_down"),
    # Random numbers
    ("floats", "arrival work uniform external"),
    ("ints", "chance_key"),
    # Nodes of the process
    ("ints", "what next_node number slot heads_at heads_n node_call response heads"),
    ("floats", "bounds"),
    # Calls
    ("floats", "arm_delay timeout accepted_below done_below"),
    ("ints", "call_node arms_before can_reject first_system times_at"),
    ("ints", "on_accepted on_done on_rejected on_timeout on_resumed"),
    # Deadlines (negative for none): of an instance, of steps, by the clock (of a call from its
    # `until_at` on in `untils`); how often they are noticed; whether there are others than those of
    # open waits, whether work is withdrawn; accepted calls not armed before other steps
    ("float", "instance_timeout sweep"),
    ("int", "deadlines withdrawals"),
    ("floats", "step_timeout untils"),
    ("ints", "until_at until_n withdraw between"),
    # Where the item of a wait is: twice its system, and one more if it has been taken; whether a
    # system serves item by item, since some may be withdrawn, and how many it works on then
    ("ints", "desk withdraws at_work"),
    # Systems, with the queue of each; nights or open hours of all systems one after the other
    ("ints", "system_kind successor link idle lanes_at lanes_n queue_at queue_head queue_tail"),
    ("ints", "nights_at nights_n next_night tonight exhausted most_items at_end remaining"),
    ("floats", "collects_at collected_at night_start cut_off night_end skipped breaks"),
    ("floats", "opens closes open_before completion submitted"),
    ("ints", "queue"),
    # Waits; `key_of` is row and number, which order the events of one kind at one instant, `seen`
    # counts the checks that saw completion, `passed` the grid points without a check
    ("ints", "call_of row_of key_of state outcome checks seen deliveries passed slept_k"),
    ("floats", "called armed completed closed left buffered last_check picked_up grid_start slept"),
    ("ints", "line holds"),
    ("floats", "held_since"),
    # When a check can see something (infinite while unknown), an instant before which the work is
    # known not to be complete, when it will be by the plan of the system, and the batch in whose
    # queue the item waits, or -1
    ("floats", "visible_from not_before foreseen"),
    ("ints", "in_batch"),
    # Steps, by slot and instance; instances
    ("floats", "queued started step_ended ended"),
    ("ints", "instance_outcome join_count"),
    # Deliveries, in the order in which they are sent; `settled` in that of their outcomes
    ("ints", "delivered attempt is_copy answer settled"),
    ("floats", "sent arrived handled"),
    ("int", "deliveries_n settled_n"),
    # The queue of events
    ("ints", "lane_first lane_after lane_key lane_payload heap_key heap_sequence heap_payload"),
    ("floats", "lane_head lane_t heap_t"),
    ("int", "heap_n sequence"),
    # The server, and its load
    ("floats", "free_at starts bin_count bin_rest bin_begins bin_ends busy queueing"),
    ("ints", "bin_place jobs not_started"),
    ("int", "free_first starts_head starts_tail longest"),
    # The present: the largest key of this instant so far, what went wrong and where, open waits
    ("float", "now open_seconds last_change line_seconds"),
    ("int", "reached status where arrivals_n open_count"),
    # Nodes to visit, lines to be held at once, and who acts after the present event
    ("ints", "stack urgent soon"),
    ("int", "stack_n urgent_n soon_head soon_tail"),
)  # all fields: ``"int"`` or ``"float"`` for a number, ``"ints"`` or ``"floats"`` for an array


class RunState:
    """All numbers of one run, as plain kernels see them; the latest is known for an interrupt."""

    __slots__ = (*FIELDS, "__weakref__")
    latest: ClassVar[Callable[[], RunState | None]] = staticmethod(lambda: None)

    def __init__(self, values: tuple[Any, ...]) -> None:
        for name, value in zip(FIELDS, values, strict=True):
            setattr(self, name, value)
        RunState.latest = weakref.ref(self)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...


def state_of(values: Any) -> RunState:
    """Return the state of `Memory.argument`."""
    return RunState(values)


replaceable(state_of, lambda: compiled_structure("RunState", FIELDS))


DTYPES = {"ints": np.int64, "floats": np.float64}
PLACES = {name: place for place, name in enumerate(FIELDS)}
INT_NAMES, FLOAT_NAMES = (
    [name for name, one in FIELDS.items() if one == kind] for kind in ("int", "float")
)
ARRAYS = [place for place, kind in enumerate(FIELDS.values()) if kind in DTYPES]


class Room(NamedTuple):
    """An array to be laid out; None is written before it is read, and `kept` is for the record."""

    size: int
    value: float | None
    kept: bool = False


class CheckedList(list[Any]):
    """A list that accepts no index counted from its end, which would hide a mistake of a kernel."""

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(self._checked(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(self._checked(index), value)

    def _checked(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is out of bounds of an array of {len(self)}")
        return index


@frozen
class Memory:
    """The fields of one run, where kernels read and write them."""

    argument: Any  # what `asyncsim.fast.event_loop.play` takes
    arrays: dict[str, Any]  # arrays and lists, or the block in which an array lies, and where

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Memory:
        """Lay out numbers, lists, arrays and rooms; what is missing is 0, or empty."""
        assert found.keys() <= FIELDS.keys(), found.keys() - FIELDS.keys()
        return cls._in_words(found) if are_compiled() else cls._in_lists(found)

    def __getitem__(self, name: str) -> Any:
        """Return an array as the kernels left it."""
        found, kind = self.arrays[name], DTYPES[FIELDS[name]]
        if isinstance(found, tuple):
            block, begin, end = found
            return block[begin:end].view(kind)
        return np.asarray(found, kind)

    @classmethod
    def _in_lists(cls, found: Mapping[str, Any]) -> Memory:
        kind_of_list = CheckedList if checks_bounds() else list
        values: dict[str, Any] = {}
        for name, kind in FIELDS.items():
            value = found.get(name, 0 if kind not in DTYPES else [0])
            if kind not in DTYPES:
                values[name] = int(value) if kind == "int" else float(value)
                continue
            if isinstance(value, Room):
                value = np.full(value.size, value.value or 0)
            values[name] = kind_of_list(np.asarray(value, DTYPES[kind]).tolist() or [0])
        return cls(tuple(values.values()), values)

    @classmethod
    def _in_words(cls, found: Mapping[str, Any]) -> Memory:
        """Return two blocks: a word for each field, a spare one, lists and rooms; and what is kept.

        Allocators keep a block of a few megabytes for the next run; they return many arrays of that
        size to the operating system, which takes longer to provide them again than a short run
        lasts.
        """
        groups: tuple[dict[Any, list[str]], ...] = ({}, {})
        arrays: dict[str, Any] = {}
        for name, value in found.items():
            if (kind := FIELDS[name]) not in DTYPES:
                continue
            if isinstance(value, Room):
                groups[value.kept].setdefault(value.value, []).append(name)
            elif isinstance(value, list):
                groups[False].setdefault(kind, []).append(name)
            else:
                arrays[name] = np.ascontiguousarray(value, DTYPES[kind])
        addresses = {name: array.ctypes.data for name, array in arrays.items()}
        block, words = _block(len(FIELDS) + 1, groups[False], found, arrays, addresses)
        _block(0, groups[True], found, arrays, addresses)
        words[: len(FIELDS) + 1] = 0
        words[ARRAYS] = block.ctypes.data + 8 * len(FIELDS)  # of no array: the spare word
        words[[PLACES[name] for name in addresses]] = list(addresses.values())
        for numbers, names in ((words, INT_NAMES), (block, FLOAT_NAMES)):
            numbers[[PLACES[name] for name in names]] = [found.get(name, 0) for name in names]
        return cls(words[: len(FIELDS)], arrays)


def _block(
    size: int,
    groups: dict[Any, list[str]],
    found: Mapping[str, Any],
    arrays: dict[str, Any],
    addresses: dict[str, int],
) -> tuple[Any, Any]:
    """Return a block of floats, and the same as whole numbers, with arrays behind `size` words."""
    bounds = {}
    for names in groups.values():
        for name in names:
            begin, value = size, found[name]
            size += value.size if isinstance(value, Room) else len(value)
            bounds[name] = begin, size
    block = np.empty(size)
    words, start = block.view(np.int64), block.ctypes.data
    for name, (begin, end) in bounds.items():
        arrays[name], addresses[name] = (block, begin, end), start + 8 * begin
    for value, names in groups.items():
        whole = slice(bounds[names[0]][0], bounds[names[-1]][1])
        if value in DTYPES:
            numbers = words if value == "ints" else block
            numbers[whole] = list(chain.from_iterable(found[name] for name in names))
        elif value is not None:
            (words if isinstance(value, int) else block)[whole] = value
    return block, words
