"""What both kinds of simulated session share: a voice, a script, and tasks that end with the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import ClassVar

from proxy.lab.openai_conversation import Conversation, ConversationState
from proxy.lab.openai_events import Json
from proxy.lab.openai_tasks import Tasks


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What a call passes to its session."""

    script: Conversation
    tasks: Tasks
    send: Callable[[Json], None]
    """Sends an event to every attached socket."""
    on_speech: Callable[[bool], None]
    """Called with True when the agent's voice starts, with False when it stops."""
    no_decision: bool = False


class SimulatedSession:
    """The speaking part of a session; base of `RealtimeSession` and `LiveSession`."""

    KIND: ClassVar[str]
    """The name of its tasks."""

    def __init__(self, session: Json, context: SessionContext) -> None:
        self.session = session
        """The effective configuration."""
        self.speaking = False
        """Whether the agent's voice is being sent."""
        self._script = context.script
        self._conversation = ConversationState(context.script, no_decision=context.no_decision)
        self._tasks, self._send, self._on_speech = context.tasks, context.send, context.on_speech
        self._running: set[asyncio.Task[None]] = set()
        self._turn: asyncio.Task[None] | None = None
        self._voice = asyncio.Lock()
        self._calls: set[object] = set()

    def close(self) -> None:
        """End the session: the voice stops at once. Calling it again does nothing."""
        for task in list(self._running):
            task.cancel()
        self._speech(False)

    def _run(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = self._tasks.start(work, self.KIND)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _lasts(self, sentence: str) -> float:
        return self._script.word_s * len(sentence.split())

    def _speech(self, on: bool) -> None:
        if on != self.speaking:
            self.speaking = on
            self._on_speech(on)

    def _send_all(self, events: list[Json]) -> None:
        for each in events:
            self._send(each)
