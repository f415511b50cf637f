"""Models with an announced shutdown date, to warn before the first call fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


def shutdown_warnings(agent: AgentSettings, today: date) -> Iterator[str]:
    """Yield a line for each of the agent's models that has been or will soon be shut down."""
    if agent.provider in (SIP_AGENT, AZURE_REALTIME):
        return
    of_live = agent.provider == OPENAI_LIVE
    second = ("delegate_model", agent.delegate_model) if of_live else ("transcription", agent.transcription)
    for key, model in (("model", agent.model), second):
        ends, instead = SHUTDOWNS.get(model or "", (None, ""))
        if ends is None or today < ends - WARN_BEFORE:
            continue
        when = f"is switched off on {ends}" if today < ends else f"was switched off on {ends}"
        yield f'agent {agent.name}: {key} "{model}" {when}: use "{instead}"'
