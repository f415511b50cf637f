"""The port to a voice-AI vendor: a few commands, and a closed union of session events.

Each vendor API has one adapter (`openai.realtime`, `openai.live`, `openai.azure`); nothing above them uses a
vendor's own terms.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from screening.contract import Tokens
from screening.talk.briefing import Briefing


class ProviderError(Exception):
    """The vendor refused or could not be reached. The message is a sentence for the operator."""

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
        """The vendor's error code."""
        self.retry_after_s = retry_after_s
        """How long the vendor asks us to wait before a retry; None if it does not say."""


@dataclass(frozen=True, slots=True)
class CallerBegan:
    """The caller started speaking."""


@dataclass(frozen=True, slots=True)
class CallerPaused:
    """The caller stopped speaking."""


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """A transcribed line of the caller's; may arrive late, or never."""

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
    """The agent started to generate a response."""

    response: str


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """The agent has finished generating a response; its audio may still be playing to the caller."""

    response: str
    status: str
    """``completed``, ``cancelled``, ``incomplete`` or ``failed``."""
    code: str | None = None
    """Why the response failed."""


@dataclass(frozen=True, slots=True)
class SpeechDropped:
    """Our request to speak was dropped: the agent had already begun another response, which we did not know
    of.
    """


@dataclass(frozen=True, slots=True)
class SoundBegan:
    """A response started playing to the caller."""

    response: str


@dataclass(frozen=True, slots=True)
class SoundEnded:
    """A response has played to its end, or was cut off."""

    response: str
    cut: bool = False
    """The caller interrupted it."""


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The agent calls a tool; reported once per call, when its arguments are complete."""

    id: str
    name: str
    arguments: str
    """JSON as the model wrote it."""
    response: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session was lost for a moment and is back; what happened in between is unknown."""


@dataclass(frozen=True, slots=True)
class ErrorReported:
    """The vendor reported an error; the session goes on."""

    code: str
    message: str
    speech_failed: bool = False
    """Because of it, the agent will not say what it was asked to."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The vendor ended the session and said why; nothing follows."""

    why: str


NO_TOKENS = Tokens()
TRANSCRIBER = "transcriber"
"""Stands for the model that writes down what callers say, whatever its name."""


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Something that the vendor bills, since the event of this kind before: differences, never sums."""

    tokens: Tokens = NO_TOKENS
    seconds: float = 0.0
    """Seconds of audio, if billed by duration."""
    model: str = ""
    """The model billed: empty for the agent's own, `TRANSCRIBER`, or another model's name."""


Event = (
    CallerBegan
    | CallerPaused
    | CallerSaid
    | CallerPressed
    | AgentSaid
    | ResponseBegan
    | ResponseEnded
    | SpeechDropped
    | SoundBegan
    | SoundEnded
    | ToolCalled
    | Resumed
    | ErrorReported
    | Closed
    | UsageReported
)


class Session(Protocol):
    """The session of one accepted call. Every command raises `ProviderError` once the session is gone for
    good.
    """

    def events(self) -> AsyncIterator[Event]:
        """Yield events until the session is gone for good."""
        ...

    async def speak(
        self, *, tools: bool = True, say: str | None = None, must_call: str | None = None
    ) -> None:
        """Have the agent speak now; without `tools` it can only speak.

        `say`, if given, replaces its instructions for this one response; `must_call` names the tool it has to
        call.
        """
        ...

    async def allow_interruption(self) -> None:
        """Let the caller interrupt the agent from now on, if its `Briefing` prevented that until now."""
        ...

    async def send_tool_result(self, call: ToolCalled, output: Mapping[str, object]) -> None:
        """Give the result of a tool call; this alone does not make the agent speak."""
        ...

    async def inform(self, text: str) -> None:
        """Tell the agent a fact; this alone does not make it speak."""
        ...


class Provider(Protocol):
    """The vendor of one configured agent. Every command raises `ProviderError`."""

    async def accept(self, call_id: str, briefing: Briefing | None = None) -> None:
        """Accept the call: the agent answers it by this `briefing`; None: by what its settings say."""
        ...

    async def reject(self, call_id: str) -> None:
        """Reject the call; not an error if it is already gone."""
        ...

    async def refer(self, call_id: str, target: str) -> None:
        """Have the agent send a REFER to `target`; requested once, never retried."""
        ...

    async def hang_up(self, call_id: str) -> None:
        """End the call; not an error if it is already gone."""
        ...

    def attach(self, call_id: str) -> AbstractAsyncContextManager[Session]:
        """Open the accepted call's session; raises `ProviderError` on entry if that fails."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
