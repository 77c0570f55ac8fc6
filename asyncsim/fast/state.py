"""What the kernels work on: one `RunState`, whose fields are numbers and flat arrays.

Records lie field by field: ``s.armed[w]`` is when wait `w` was armed. Waits lie call by call, so
that ``w = call * s.n + row``.

Under Numba a state is a row of words, each a number or the address at which an array begins; a
kernel gets the address of the row. (Numba's own structures, `numba.experimental.structref`, count
references to every array that is read, which costs the kernels half their speed.) So arrays know no
length there. Without Numba a state is an object with lists for arrays, which are much faster there
than NumPy's; with ``ASYNCSIM_BOUNDSCHECK=1`` these lists raise at every index out of bounds.
"""

from __future__ import annotations

import struct
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from asyncsim.engine.environment import EventKind, Job
from asyncsim.engine.result import DELIVERY_OUTCOMES, Outcome, StepOutcome, WaitOutcome
from asyncsim.fast.jit import are_compiled, replaceable

Floats = Any
Ints = Any

# Plain numbers: to a kernel they are constants. What other modules number is taken from there, in
# its order, so that one more or less is an error here; that the names agree is tested.
# State of a wait: not called yet, called, and from ARMED on what became of it
NOT_CALLED, CALLED = range(2)
ARMED, FINISHED, TIMED_OUT, GAVE_UP, CANCELLED = (2 + outcome for outcome in WaitOutcome)
(
    OPEN, RESUMED, AT_ONCE, REJECTED, STEP_TIMED_OUT, STEP_GAVE_UP, STEP_CANCELLED,
) = map(int, StepOutcome)  # fmt: skip
NO_LINE, HELD, RELEASED = range(3)
RUNNING, IS_DONE, HAS_FAILED = map(int, Outcome)
IS_WORK, IS_CALL, IS_AWAIT, IS_CHOOSE, IS_FORK, IS_JOIN = range(6)
BATCH, SERVICE, PEOPLE, RECORDED = range(4)
(
    A_FINISHED, A_BUFFERED, A_IGNORED_EARLY, A_ACCEPTED_DUPLICATE, A_ACCEPTED_LATE,
    A_IGNORED_UNKNOWN, A_EARLY, A_DUPLICATE, A_LATE, A_UNKNOWN, A_LOST, A_DEAD,
    A_LIMITED,
) = range(len(DELIVERY_OUTCOMES))  # fmt: skip
NOT_WATCHED, POLLS, BACKS_OFF, HOLDS_LINE = range(4)
FROM_ARMING, FROM_CLOCK, FROM_RANDOM = range(3)
NO_JITTER, FULL, EQUAL, DECORRELATED = range(4)
REJECT, BUFFER, IGNORE, ACCEPT = range(4)
NO_LIMIT, WINDOW_LIMIT, BUCKET_LIMIT = range(3)
# Purposes of chances, a key for each call
K_LOSS, K_DUPLICATE, K_JITTER, K_PHASE = range(4)
(
    WORK_ENDED, ARMING, SYSTEM, CALLBACK_HANDLED, CHECK_ENDED, ARRIVAL, DELIVERY, CHECK_DUE,
    TIMEOUT, COLLECTION, LAST_LOOK,
) = map(int, EventKind)  # fmt: skip
J_WORK, J_CALL, J_CHECK, J_CALLBACK = map(int, Job)
# How a run went
(
    OK, MORE_NIGHTS, NO_NIGHT, MORE_HOURS, MORE_INTERVALS, MORE_BINS, MORE_ROOM, NOT_FINITE,
    INTERRUPTED,
) = range(9)  # fmt: skip


class RunState:
    """All numbers of one run."""

    # What is given: sizes, server, strategy
    n: int
    """Instances."""
    calls: int
    waits: int
    desks: int
    joins: int
    workers: int
    bins: int
    capacity: int
    """Events that a lane holds, a power of two."""
    room: int
    """Events that a heap holds, and jobs in a queue, a power of two."""
    start_node: int
    until: float
    resolution: float
    poll_work: float
    callback_work: float
    early: int
    buffer_for: float
    duplicate: int
    late: int
    finish_limit: int
    window_most: int
    window_length: float
    admitted: Floats
    """When the latest `window_most` deliveries were admitted, a ring."""
    bucket_size: float
    bucket_rate: float
    watch: int
    """How a step checks: not at all, by polling, backing off or long polling."""
    notify: int
    checks_are_free: int
    scatters: int
    """Whether jitter spreads the checks, so that the heap holds them."""
    limit: int
    anchor: int
    interval: float
    jitter: float
    backoff_kind: int
    cap: float
    intervals: Floats
    intervals_n: int
    intervals_go_on: int
    attempts: int
    pause: Floats
    loss: float
    duplicates: float
    duplicate_delay: float
    delay: Floats
    """Of deliveries, by attempt and wait; or one for all."""
    delays_vary: int
    chance_key: Ints
    # Random numbers
    arrival: Floats
    work: Floats
    uniform: Floats
    external: Floats
    # Nodes of the process
    what: Ints
    next_node: Ints
    number: Ints
    slot: Ints
    heads_at: Ints
    heads_n: Ints
    node_call: Ints
    response: Ints
    heads: Ints
    bounds: Floats
    # Calls
    arm_delay: Floats
    timeout: Floats
    accepted_below: Floats
    done_below: Floats
    call_node: Ints
    arms_before: Ints
    can_reject: Ints
    on_accepted: Ints
    on_done: Ints
    on_rejected: Ints
    on_timeout: Ints
    on_resumed: Ints
    first_desk: Ints
    times_at: Ints
    # Desks, where a link of a system works
    desk_kind: Ints
    successor: Ints
    link: Ints
    idle: Ints
    tray_at: Ints
    tray_head: Ints
    tray_tail: Ints
    lanes_at: Ints
    lanes_n: Ints
    next_night: Ints
    nights_at: Ints
    nights_n: Ints
    exhausted: Ints
    most_items: Ints
    at_end: Ints
    remaining: Ints
    tonight: Ints
    collects_at: Floats
    collected_at: Floats
    night_start: Floats
    cut_off: Floats
    night_end: Floats
    skipped: Floats
    breaks: Floats
    opens: Floats
    closes: Floats
    open_before: Floats
    completion: Floats
    tray: Ints
    submitted: Floats
    # Waits
    call_of: Ints
    row_of: Ints
    key_of: Ints
    """Row and number, which order the events of one kind at one instant."""
    state: Ints
    called: Floats
    armed: Floats
    completed: Floats
    closed: Floats
    outcome: Ints
    left: Floats
    buffered: Floats
    checks: Ints
    seen: Ints
    """Checks that saw completion; the others were wasted."""
    deliveries: Ints
    last_check: Floats
    picked_up: Floats
    grid_start: Floats
    passed: Ints
    """Grid points that went by without a check."""
    slept: Floats
    slept_k: Ints
    line: Ints
    holds: Ints
    held_since: Floats
    visible_from: Floats
    """When a check can see something; infinite as long as that is unknown."""
    not_before: Floats
    """An instant before which the work is known not to be complete."""
    at_desk: Ints
    """The batch in whose queue the item waits, or -1."""
    # Steps, by slot and instance; instances
    queued: Floats
    started: Floats
    step_ended: Floats
    ended: Floats
    instance_outcome: Ints
    join_count: Ints
    # Deliveries
    delivered: Ints
    attempt: Ints
    is_copy: Ints
    answer: Ints
    sent: Floats
    arrived: Floats
    handled: Floats
    settled: Ints
    admitted_at: int
    """Where the oldest one stands in the ring."""
    tokens: float
    tokens_since: float
    # The queue of events
    lane_head: Floats
    lane_first: Ints
    lane_after: Ints
    lane_t: Floats
    lane_key: Ints
    lane_payload: Ints
    heap_t: Floats
    heap_key: Ints
    heap_sequence: Ints
    heap_payload: Ints
    heap_n: int
    sequence: int
    # The server
    free_at: Floats
    free_first: int
    starts: Floats
    starts_head: int
    starts_tail: int
    longest: int
    bin_count: Floats
    bin_rest: Floats
    bin_place: Ints
    bin_begins: Floats
    bin_ends: Floats
    jobs: Ints
    busy: Floats
    queueing: Floats
    not_started: Ints
    # The present
    now: float
    reached: int
    """The largest key of the present instant so far."""
    status: int
    where: int
    """The desk, or the bin, that had too little room."""
    arrivals_n: int
    open_count: int
    open_seconds: float
    last_change: float
    line_seconds: float
    deliveries_n: int
    settled_n: int
    stack: Ints
    stack_n: int
    urgent: Ints
    urgent_n: int
    soon: Ints
    soon_head: int
    soon_tail: int


class _Latest:
    """The state that plain kernels work on, for an interrupt from another thread."""

    made: Callable[[], Any] = staticmethod(lambda: None)


def set_in_plain(field: str, value: int) -> None:
    """Set a field of the state that plain kernels work on, if any."""
    if (made := _Latest.made()) is not None:
        setattr(made, field, value)


def laid_out(described: type, fields: Mapping[str, Any]) -> Any:
    """Return the fields of a structure as `maker_of` takes them.

    Parameters
    ----------
    described
        The class that annotates the fields.
    fields
        Their values, in order. Arrays are contiguous, of 64-bit numbers, and the caller keeps them
        alive while a kernel runs; lists, which are only read, are copied to the end of the row.
        Where kernels are not compiled, all arrays are lists.
    """
    if not are_compiled():
        return tuple(fields.values())
    row: list[int] = []
    lists: list[int] = []
    places: dict[int, int] = {}
    kinds = described.__annotations__.values()
    for k, (kind, value) in enumerate(zip(kinds, fields.values(), strict=True)):
        if isinstance(value, list):
            places[k] = len(fields) + len(lists)
            lists += _bits(value) if kind == "Floats" else value
            row.append(0)
        elif isinstance(value, np.ndarray):
            row.append(value.ctypes.data)
        else:
            row += _bits([value]) if kind == "float" else [value]
    words = np.array(row + lists, np.int64)
    words[list(places)] = words.ctypes.data + 8 * np.array(list(places.values()))
    return words


def _bits(values: list[float]) -> tuple[int, ...]:
    """Return floats as whole numbers of the same 64 bits."""
    size = len(values)
    return struct.unpack(f"{size}q", struct.pack(f"{size}d", *values))


def maker_of(described: type) -> Callable[[Any], Any]:
    """Return a function that makes a structure with the annotated fields of a class.

    It takes what `laid_out` returns, and returns an object of the class; its compiled form can be
    called in a kernel only.
    """
    names = list(described.__annotations__)

    def make(values: Any) -> Any:
        made = described()
        vars(made).update(zip(names, values, strict=True))
        _Latest.made = weakref.ref(made)
        return made

    return replaceable(make, lambda: _compiled_maker(described))


def _types_of(described: type) -> dict[str, Any]:
    """Return the fields of a structure with their types in kernels."""
    from numba import types

    kinds = {
        "int": types.int64,
        "float": types.float64,
        "Floats": types.CPointer(types.float64),
        "Ints": types.CPointer(types.int64),
    }
    return {name: kinds[kind] for name, kind in described.__annotations__.items()}


def _compiled_maker(described: type) -> Callable[[Any], Any]:
    """Define a Numba type whose values are addresses (see its "Low-level extension API").

    These functions are not run by kernels; they generate the machine code that is.
    """
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.core.typing.templates import AttributeTemplate
    from numba.extending import (
        infer_getattr,
        intrinsic,
        lower_getattr_generic,
        lower_setattr_generic,
        models,
        register_model,
    )

    fields = _types_of(described)
    names = list(fields)

    class Address(types.Type):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name=described.__name__)

    address = Address()

    def layout(manager: Any) -> Any:
        return ir.LiteralStructType(
            [manager.lookup(kind).get_value_type() for kind in fields.values()]
        )

    @register_model(Address)
    class _Model(models.PrimitiveModel):  # type: ignore[misc]
        def __init__(self, manager: Any, kind: Address) -> None:
            super().__init__(manager, kind, layout(manager).as_pointer())

    @infer_getattr
    class _Fields(AttributeTemplate):  # type: ignore[misc]
        key = Address

        def generic_resolve(self, kind: Address, name: str) -> Any:
            return fields.get(name)

    @lower_getattr_generic(Address)  # type: ignore[untyped-decorator]
    def _read(context: Any, builder: Any, kind: Address, value: Any, name: str) -> Any:
        return builder.load(cgutils.gep_inbounds(builder, value, 0, names.index(name)))

    @lower_setattr_generic(Address)  # type: ignore[untyped-decorator]
    def _write(context: Any, builder: Any, signature: Any, values: Any, name: str) -> None:
        place = cgutils.gep_inbounds(builder, values[0], 0, names.index(name))
        builder.store(values[1], place)

    @intrinsic  # type: ignore[untyped-decorator]
    def make(typing_context: Any, words: Any) -> Any:
        def begin(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            row = context.make_array(signature.args[0])(context, builder, given[0])
            return builder.bitcast(row.data, layout(context.data_model_manager).as_pointer())

        return address(words), begin

    maker: Callable[[Any], Any] = make
    return maker


state_of = maker_of(RunState)
"""Make a world of its fields laid out."""
