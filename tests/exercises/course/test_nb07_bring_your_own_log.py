"""What a log shows about work and workers, and what it does not."""

from asyncsim.exercises.course import nb07_bring_your_own_log as book


def test_the_queue_is_not_part_of_the_work():
    """The mean from start to complete is that of the distribution; from schedule it is longer."""
    work, queued = book.means()
    distribution = book.BUSY.process.steps[0].work
    assert abs(work - distribution.mean) < 2.0
    assert work + queued > 1.5 * work
    assert "*schedule* to *complete*" in book.WORK.judge(work + queued).findings[0].text


def test_idle_workers_leave_no_trace():
    """Eight or eighty on a quiet day: the same log."""
    letter, measured = book.workers()
    assert letter == "b"
    assert "the same log" in measured
