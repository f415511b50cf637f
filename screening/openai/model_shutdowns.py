"""Models with an announced shutdown date, to warn before the first call fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from screening.settings import AZURE_REALTIME, OPENAI_LIVE, SIP_AGENT, AgentSettings

WARN_BEFORE = timedelta(days=60)
"""How long before its shutdown a model is warned about."""

_PREVIEW = date(2026, 5, 7)
_SNAPSHOTS = date(2026, 7, 23)
_REALTIME = date(2027, 1, 20)
_TRANSCRIBE = date(2027, 2, 26)
SHUTDOWNS: Mapping[str, tuple[date, str]] = {
    "gpt-4o-realtime-preview": (_PREVIEW, "gpt-realtime-2.1"),
    "gpt-4o-realtime-preview-2024-12-17": (_PREVIEW, "gpt-realtime-2.1"),
    "gpt-4o-realtime-preview-2025-06-03": (_PREVIEW, "gpt-realtime-2.1"),
    "gpt-4o-mini-realtime-preview": (_PREVIEW, "gpt-realtime-2.1-mini"),
    "gpt-4o-mini-realtime-preview-2024-12-17": (_SNAPSHOTS, "gpt-realtime-2.1-mini"),
    "gpt-realtime-mini-2025-10-06": (_SNAPSHOTS, "gpt-realtime-2.1-mini"),
    "gpt-realtime": (_REALTIME, "gpt-realtime-2.1"),
    "gpt-realtime-2025-08-28": (_REALTIME, "gpt-realtime-2.1"),
    "gpt-realtime-mini": (_REALTIME, "gpt-realtime-2.1-mini"),
    "gpt-realtime-mini-2025-12-15": (_REALTIME, "gpt-realtime-2.1-mini"),
    "whisper-1": (_TRANSCRIBE, "gpt-transcribe"),
    "gpt-4o-transcribe": (_TRANSCRIBE, "gpt-transcribe"),
    "gpt-4o-transcribe-diarize": (_TRANSCRIBE, "gpt-transcribe"),
    "gpt-4o-mini-transcribe": (_TRANSCRIBE, "gpt-transcribe"),
    "gpt-4o-mini-transcribe-2025-12-15": (_TRANSCRIBE, "gpt-transcribe"),
}
"""Shutdown dates announced by OpenAI (2026-11), with the successor of each model. Those already shut down are
listed because tutorials still name them. Azure uses names of deployments instead.
"""


LAST_CALL = timedelta(days=7)
"""How long before its shutdown a model is warned about once more."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """A model in the settings that has been or will soon be shut down."""

    at: str
    """What uses it, as in ``agent openai: model``."""
    model: str
    ends: date
    instead: str
    """Its successor."""
    today: date

    @property
    def over(self) -> bool:
        return self.today >= self.ends

    @property
    def stage(self) -> str:
        """``soon``, ``last call`` or ``over``: users are notified once of each."""
        if self.over:
            return "over"
        return "last call" if self.today >= self.ends - LAST_CALL else "soon"

    def __str__(self) -> str:
        when = "was switched off on" if self.over else "is switched off on"
        return f'{self.at} "{self.model}" {when} {self.ends}: use "{self.instead}"'


def shutdown(at: str, model: str, today: date) -> Shutdown | None:
    """The shutdown of one of OpenAI's models; None if it is not near, or not known."""
    ends, instead = SHUTDOWNS.get(model, (None, ""))
    if ends is None or today < ends - WARN_BEFORE:
        return None
    return Shutdown(at, model, ends, instead, today)


def shutdowns(agent: AgentSettings, today: date) -> Iterator[Shutdown]:
    """Yield each of the agent's models that has been or will soon be shut down."""
    if agent.provider in (SIP_AGENT, AZURE_REALTIME):
        return
    of_live = agent.provider == OPENAI_LIVE
    second = ("delegate_model", agent.delegate_model) if of_live else ("transcription", agent.transcription)
    for key, model in (("model", agent.model), second):
        if found := shutdown(f"agent {agent.name}: {key}", model or "", today):
            yield found
