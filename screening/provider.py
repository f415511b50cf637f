"""The port to a voice-AI vendor: a few verbs, and a closed union of what can be heard from a session.

One adapter implements it for each vendor API (`openai.realtime`, `openai.live`, `openai.azure`);
nothing above knows a vendor's words.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from screening.contract import Tokens
from screening.talk.briefing import Briefing


class ProviderError(Exception):
    """The vendor refused or could not be reached; the message is a sentence for the operator."""

    def __init__(
        self,
        message: str,
        status: int | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; None if there was no answer."""
        self.code = code
        """The vendor's own word for it."""
        self.retry_after_s = retry_after_s
        """When the vendor wants to be asked again; None: it does not say."""


@dataclass(frozen=True, slots=True)
class CallerBegan:
    """The caller has begun to speak."""


@dataclass(frozen=True, slots=True)
class CallerPaused:
    """The caller has stopped speaking."""


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """A line of the caller's, transcribed; may come late, or never."""

    text: str


@dataclass(frozen=True, slots=True)
class CallerPressed:
    """A DTMF key."""

    key: str


@dataclass(frozen=True, slots=True)
class AgentSaid:
    """A line of the agent's."""

    text: str


@dataclass(frozen=True, slots=True)
class ResponseBegan:
    """The agent has begun to think of something to say or do."""

    response: str


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """The agent is done with a response; its sound may still be on its way to the caller."""

    response: str
    status: str
    """``completed``, ``cancelled``, ``incomplete`` or ``failed``."""
    code: str | None = None
    """Why it failed."""


@dataclass(frozen=True, slots=True)
class Crossed:
    """The agent was asked to speak, and will not: it had begun another response, of which we did not know."""


@dataclass(frozen=True, slots=True)
class SoundBegan:
    """A response has begun to be heard."""

    response: str


@dataclass(frozen=True, slots=True)
class SoundEnded:
    """A response was heard to its end, or was cut off."""

    response: str
    cut: bool = False
    """The caller has interrupted it."""


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The agent calls a tool; reported once for each call, and only when complete."""

    id: str
    name: str
    arguments: str
    """JSON as the model wrote it."""
    response: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session was lost for a moment and is back; what happened between is not known."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The vendor reports an error; the session goes on."""

    code: str
    message: str
    mute: bool = False
    """The agent was to say something, and will not because of it."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over, and the vendor has said why; nothing follows."""

    why: str


NO_TOKENS = Tokens()
TRANSCRIBER = "transcriber"
"""Stands for the model that writes down what callers say, whatever its name."""


@dataclass(frozen=True, slots=True)
class Used:
    """Something that the vendor bills, since the event of this kind before: differences, never sums."""

    tokens: Tokens = NO_TOKENS
    seconds: float = 0.0
    """Of sound, where that is billed by its duration."""
    model: str = ""
    """What did the work: empty for the agent's own model, `TRANSCRIBER`, or the name of another."""


Event = (
    CallerBegan
    | CallerPaused
    | CallerSaid
    | CallerPressed
    | AgentSaid
    | ResponseBegan
    | ResponseEnded
    | Crossed
    | SoundBegan
    | SoundEnded
    | ToolCalled
    | Resumed
    | Trouble
    | Closed
    | Used
)


class Session(Protocol):
    """One accepted call's session. Every verb raises `ProviderError` once the session is gone for good."""

    def events(self) -> AsyncIterator[Event]:
        """Yield what happens, until the session is gone for good."""
        ...

    async def speak(self, *, tools: bool = True, say: str | None = None, must: str | None = None) -> None:
        """Let the agent say something now; without `tools` it can only speak.

        `say` is what it is told to say this one time, in place of its instructions; `must` names the tool
        that it has to call.
        """
        ...

    async def let_interrupt(self) -> None:
        """The caller may interrupt the agent from now on, where its `Briefing` had him heard out before."""
        ...

    async def answer(self, call: ToolCalled, output: Mapping[str, object]) -> None:
        """Give the result of a tool call; the agent says nothing by itself because of it."""
        ...

    async def inform(self, text: str) -> None:
        """Tell the agent a fact; it says nothing by itself because of it."""
        ...


class Provider(Protocol):
    """One configured agent's vendor. Every verb raises `ProviderError`."""

    async def accept(self, call_id: str, briefing: Briefing | None = None) -> None:
        """Take the call: the agent answers it, and is told `briefing`; None: what its settings say."""
        ...

    async def reject(self, call_id: str) -> None:
        """Turn the call away; a call that is gone already is no error."""
        ...

    async def refer(self, call_id: str, target: str) -> None:
        """Have the agent send a REFER to `target`; asked once, never repeated."""
        ...

    async def hang_up(self, call_id: str) -> None:
        """End the call; a call that is gone already is no error."""
        ...

    def attach(self, call_id: str) -> AbstractAsyncContextManager[Session]:
        """Open the accepted call's session; raises `ProviderError` on entry if it cannot be had."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
