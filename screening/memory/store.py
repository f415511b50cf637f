"""The memory: one thread with one connection, so that no call ever waits for a disk or a database.

What is told is put on a list, waits a moment for more, and is written by the thread: everything that waits by
then, in one transaction. While the database is away the list is kept, up to a bound, and tried again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Lock, Thread
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from screening.memory.database import Database
from screening.memory.errors import Away
from screening.memory.rows import Began, Finished
from screening.memory.writer import Work, Writer

log = structlog.get_logger("screendoor")

MAX_WAITING = 10_000
"""Of what waits to be written; of more, the oldest is lost."""
GATHER_S = 0.2
"""How long what is told waits for more, unless somebody asks, or the memory is closed: a kill loses so much.

A transaction with its sync costs as much as thirty rows in it, two milliseconds where caches are cold: with
one for nearly every row, to keep a call cost more than to carry it.
"""
RETRY_S = (0.5, 1.0, 2.0, 5.0)
"""How long after a failure the database is tried again; the last stands for all later ones."""

IDLE_S = 60.0
START_S = 15.0
"""How long a start waits for the database: longer than for one that is not reached, or locked."""
ANSWER_S = 30.0
"""How long somebody waits who asks: a server, or a pooler before it, may take a question and say nothing."""
SILENT = "the database does not answer"

T = TypeVar("T")


@dataclass(slots=True)
class _Question:
    """Work whose result somebody waits for."""

    work: Callable[[Connection], Any]
    answer: Future[Any]

    def refuse(self, why: str) -> None:
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_exception(Away(why))


@dataclass(slots=True)
class _Chore:
    """Work done again and again between the others."""

    every_s: float
    work: Work
    due: float = 0.0


class Memory:
    """What is known of calls, and the lists; made on one thread, used from there, worked by its own."""

    def __init__(
        self,
        database: Database,
        *,
        process: str,
        transcripts: bool = True,
        most: int = MAX_WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`process` names this one in the rows of its calls. Without `transcripts`, nothing said is kept."""
        self.database, self.process = database, process
        self._writer = Writer(database, process, transcripts)
        self._most, self._clock = most, clock
        self._lock, self._wake = Lock(), Event()
        self._waiting: list[Began | Finished | Work] = []
        self._questions: list[_Question] = []
        self._chores: list[_Chore] = []
        self._farewells: list[Work] = []
        self._thread: Thread | None = None
        self._closing = False
        self._failures, self._trouble, self._full = 0, "", False
        self._since = self._retry_at = self._write_at = float("-inf")
        self.lost = 0
        """Of what was to be written, since the start."""
        self.failures = 0
        """Times that the database was away when it was needed, since the start."""

    @property
    def waiting(self) -> int:
        """How much is not written yet."""
        return len(self._waiting)

    @property
    def trouble(self) -> str:
        """Why nothing can be written now; empty where all is well."""
        return self._trouble

    def start(self) -> None:
        """Open the database, do each chore once, and begin; raises `Unusable`. Blocks, for seconds at most.

        A database that is away, or silent, is tried again later: that it is, is one line of the log.
        """
        opened: Future[None] = Future()
        self._thread = Thread(target=self._run, args=(opened,), name="memory", daemon=True)
        self._thread.start()
        try:
            opened.result(START_S)
        except TimeoutError:
            if not opened.cancel():
                opened.result()  # in this very moment
            else:
                self._failed(SILENT)

    def close(self, within_s: float = 5.0) -> bool:
        """Write what waits, and end; False if it takes longer than this, or cannot be written. Blocks."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(within_s)
            if self._thread.is_alive():
                log.warning("memory not closed in time", waiting=self.waiting)
                return False
        return not self._waiting

    def began(self, call: str, at: datetime, caller: str | None, name: str | None, dialed: str) -> None:
        """A call has come in. Returns at once; so with the next two."""
        self._put(Began(call, at, caller, name, dialed))

    def finished(self, record: Callable[[], Mapping[str, Any]], json: Callable[[], str]) -> None:
        """A call is over; `record` gives what `CallRecord.as_dict` does, `json` the same but the transcript.

        Both are asked in the memory's own thread, and give the same whenever that is.
        """
        self._put(Finished(record, json))

    def later(self, work: Work) -> None:
        """Have something written that must not be lost while the database is away; it may be done twice."""
        self._put(work)

    async def ask(self, work: Callable[[Connection], T]) -> T:
        """Do `work` within a transaction, and return what it returns; raises `Away`, and what it raises."""
        waiting = asyncio.timeout(ANSWER_S)
        try:
            async with waiting:
                return await asyncio.wrap_future(self.asked(work))
        except TimeoutError:
            if not waiting.expired():
                raise
            if not self._trouble:
                self._failed(SILENT)
            raise Away(SILENT) from None

    def asked(self, work: Callable[[Connection], T]) -> Future[T]:
        """The same, for those who wait in another way."""
        answer: Future[T] = Future()
        if self._thread is None or self._closing:
            answer.set_exception(Away("the memory is closed"))
            return answer
        if self._trouble == SILENT:
            answer.set_exception(Away(SILENT))
            return answer
        with self._lock:
            self._questions.append(_Question(work, answer))
        self._wake.set()
        return answer

    def every(self, seconds: float, work: Work) -> None:
        """Have `work` done now and then, each time in a transaction of its own; before `start`."""
        self._chores.append(_Chore(seconds, work))

    def at_the_end(self, work: Work) -> None:
        """Have `work` done when the memory is closed, if it can be; before `start`."""
        self._farewells.append(work)

    def _put(self, told: Began | Finished | Work) -> None:
        waiting = self._waiting
        waiting.append(told)  # without the lock: what stands before it may be taken meanwhile, and no more
        if len(waiting) == 1:  # the thread is woken once for all that is gathered
            self._write_at = self._clock() + GATHER_S
            self._wake_then()
        elif len(waiting) > self._most:
            with self._lock:
                self._cut_to_bound()

    def _wake_then(self) -> None:
        """Have the thread woken when it is to write; at once where no event loop runs, for it to wait."""
        try:
            asyncio.get_running_loop().call_later(GATHER_S, self._wake.set)
        except RuntimeError:
            self._wake.set()

    def _run(self, opened: Future[None]) -> None:
        if not self._begin(opened):
            return
        while not self._closing:
            self._wake.wait(self._patience_s())
            self._wake.clear()
            try:
                self._turn()
            except Away as away:
                self._failed(str(away))
            except Exception:  # a bug costs its turn, not the memory
                log.exception("memory failed")
        self._end()

    def _begin(self, opened: Future[None]) -> bool:
        """Open the database and do each chore; False where whoever starts us hears that it cannot be."""
        try:
            self._writer.open()
            self._do_chores()
        except Away as away:
            self._failed(str(away))
        except Exception as error:
            if opened.set_running_or_notify_cancel():
                self._closing = True
                opened.set_exception(error)
                return False
            self._failed(str(error))
            return True
        if opened.set_running_or_notify_cancel():
            opened.set_result(None)
        return True

    def _patience_s(self) -> float:
        """How long there is nothing to do but what is told by then."""
        now = self._clock()
        due = [chore.due for chore in self._chores]
        if self._waiting:
            due.append(self._write_at)
        soonest = self._retry_at if self._trouble else min(due, default=now + IDLE_S)
        return max(0.0, soonest - now)

    def _turn(self) -> None:
        if self._trouble and self._clock() < self._retry_at:
            return self._refuse_questions(self._trouble)
        questions = self._asked_by_now()  # before the writing, that each sees what was told before it
        try:
            gathered = bool(questions) or self._write_at <= self._clock()
            if self._trouble or (self._waiting and gathered):
                self._write()
        except Away as away:
            _refuse(questions, str(away))
            raise
        self._answer(questions)
        self._do_chores()
        self._went_well()

    def _do_chores(self) -> None:
        for chore in self._chores:
            if chore.due <= self._clock():
                chore.due = self._clock() + chore.every_s
                try:
                    self._writer.do(chore.work)
                except Away:
                    chore.due = self._clock()  # before that is done, the database is not back
                    raise

    def _write(self) -> None:
        with self._lock:
            taken = self._waiting[:]
            del self._waiting[: len(taken)]
        try:
            self.lost += self._writer.write(taken)
        except Away:
            with self._lock:
                self._waiting[:0] = taken
                self._cut_to_bound()
            raise

    def _went_well(self) -> None:
        if self._trouble:
            log.info("memory is written again", after_s=round(self._clock() - self._since, 1), lost=self.lost)
            self._trouble, self._failures, self._full = "", 0, False

    def _cut_to_bound(self) -> None:
        """Forget the oldest of what is too much; under the lock."""
        too_many = len(self._waiting) - self._most
        if too_many > 0:
            del self._waiting[:too_many]
            self.lost += too_many
            if not self._full:
                self._full = True
                log.error("memory full: the oldest of what waits is lost", waiting=self._most)

    def _answer(self, questions: Sequence[_Question]) -> None:
        """Each question by itself; one that fails costs nobody else anything."""
        for n, question in enumerate(questions):
            if not question.answer.set_running_or_notify_cancel():
                continue
            try:
                question.answer.set_result(self._writer.do(question.work))
            except Away as away:
                question.answer.set_exception(away)
                _refuse(questions[n + 1 :], str(away))
                raise
            except Exception as error:
                question.answer.set_exception(error)

    def _asked_by_now(self) -> list[_Question]:
        with self._lock:
            questions, self._questions = self._questions, []
        return questions

    def _refuse_questions(self, why: str) -> None:
        _refuse(self._asked_by_now(), why)

    def _failed(self, why: str) -> None:
        now = self._clock()
        self.failures += 1
        if not self._trouble:
            self._since = now
        if why != self._trouble:
            log.warning("memory away: calls go on, and are written later", problem=why, waiting=self.waiting)
        self._retry_at = now + RETRY_S[min(self._failures, len(RETRY_S) - 1)]
        self._trouble, self._failures = why, self._failures + 1
        self._refuse_questions(why)

    def _end(self) -> None:
        try:
            self._write()
        except Away as away:
            log.error("memory lost what was not written", problem=str(away), lost=self.waiting)
        with suppress(Exception):
            for work in self._farewells:
                self._writer.do(work)
        self._writer.close()
        self._refuse_questions("closed")


def _refuse(questions: Sequence[_Question], why: str) -> None:
    for question in questions:
        question.refuse(why)
