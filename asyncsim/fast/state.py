"""What the kernels work on: one *world*, whose fields are numbers and flat arrays.

Records lie field by field: ``s.armed[w]`` is when wait `w` was armed, ``s.next_node[k]`` what comes
after node `k`. Waits lie call by call, so that ``w = call * s.n + row``. Under Numba a world is a
structure handed over by its address, and its arrays are addresses too: they know no length. Without
Numba it is an object with lists for arrays, which are far quicker there than NumPy's.
"""

from __future__ import annotations

from typing import Any

from asyncsim.engine.environment import EventKind
from asyncsim.engine.result import DELIVERY_OUTCOMES, Outcome, StepOutcome, WaitOutcome
from asyncsim.engine.workers import Job
from asyncsim.fast.struct import maker_of

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


class State:
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
    """When the last so many deliveries were admitted, a ring."""
    bucket_size: float
    bucket_rate: float
    watch: int
    """What a waiting step does: nothing, polls, backs off, holds a line."""
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
    """When a check will have something to do other than see nothing; infinite, not known."""
    not_before: Floats
    """An instant before which the work is known not to be complete."""
    at_desk: Ints
    """The batch in whose tray the item lies, or -1."""
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


state_of = maker_of(State)
"""Make a world of its fields laid out."""
