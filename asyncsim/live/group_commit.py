"""Inputs that wait at the same moment share one transaction: a disk is slow, a group is not.

Each is acknowledged when it is on the disk, as one that comes alone. While a group is written, the
next one gathers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from starlette.concurrency import run_in_threadpool

from asyncsim.errors import StoreError
from asyncsim.live.journal import Input
from asyncsim.live.session import Session

MOST = 100
"""Inputs in a group, so that nobody waits for long."""
Waiting = tuple[Input, asyncio.Future[str]]


class Together:
    """Has the inputs that wait at the same moment played together, in a thread.

    Parameters
    ----------
    session
        Plays them.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Waiting]]
        self._waiting = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, given: Input) -> str:
        """Return the answer to an input when it is durable.

        Raises
        ------
        ScenarioError
            If its key was used for something else.
        StoreError
            If its group cannot be written; nothing of it was done.
        """
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[str] = loop.create_future()
        waiting = self._waiting.setdefault(loop, [])
        waiting.append((given, mine))
        if len(waiting) == 1:
            task = loop.create_task(self._answer_all(waiting))
            self._tasks.add(task)  # a loop forgets a task that nobody holds
            task.add_done_callback(self._tasks.discard)
        return await mine

    async def _answer_all(self, waiting: list[Waiting]) -> None:
        try:
            while group := waiting[:MOST]:
                answers = await self._taken([given for given, _ in group])
                del waiting[: len(group)]  # not before: who comes first begins this task
                for (_, future), answer in zip(group, answers, strict=True):
                    if future.done():  # cancelled, as whoever waited for it
                        continue
                    if isinstance(answer, Exception):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        finally:  # if it was cancelled, so is everybody who would wait for ever
            for _, future in waiting:
                future.cancel()
            waiting.clear()

    async def _taken(self, inputs: Sequence[Input]) -> Sequence[str | Exception]:
        try:
            return await run_in_threadpool(self._answers, inputs)
        except Exception as error:  # no thread can be started
            return [error] * len(inputs)

    def _answers(self, inputs: Sequence[Input]) -> Sequence[str | Exception]:
        """Return the answer to each input, or the error it has led to."""
        try:
            return self._session.take(inputs)
        except StoreError as error:
            return [error] * len(inputs)
        except Exception as error:  # perhaps of one of them; the others are done without it
            if len(inputs) == 1:
                return [error]
            return [answer for given in inputs for answer in self._answers([given])]
