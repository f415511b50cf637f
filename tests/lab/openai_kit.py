"""Shared helpers for the simulated OpenAI's tests: a recording SIP side and valid request values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from proxy.lab.openai_call import Call
from proxy.lab.openai_conversation import TOOL, Conversation
from proxy.lab.openai_events import Json, as_object, new_session
from proxy.lab.openai_faults import Faults
from proxy.lab.openai_realtime_session import RealtimeSession
from proxy.lab.openai_tasks import Tasks
from proxy.lab.openai_voice import SessionContext
from proxy.lab.openai_webhook import Incoming

KEY = "sk-lab"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HEADERS = (
    ("Via", "SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1"),
    ("From", '"Grace" <sip:+14255550100@sbc.example.com>;tag=a1'),
    ("X-Screendoor-Token", "issued"),
    ("Proxy-Authorization", "Digest secret"),
    ("X-Twice", "one"),
    ("X-Twice", "two"),
)
QUICK = Conversation(word_s=0.001, think_s=0.005)
"""The default conversation sped up, for tests on a real event loop."""
ACCEPT: Mapping[str, object] = {
    "type": "realtime",
    "model": "gpt-realtime-2.1",
    "audio": {"input": {"transcription": {"model": "gpt-transcribe"}}},
    "tools": [{"type": "function", "name": TOOL, "parameters": {"type": "object"}}],
}


class SipNotes:
    """A SIP side that only records which methods were called."""

    def __init__(self, *, unreachable: bool = False) -> None:
        self.told: list[str] = []
        self._unreachable = unreachable

    async def answer(self) -> None:
        self.told.append("answer")

    async def reject(self, status: int) -> None:
        self.told.append(f"reject {status}")

    async def refer(self, target_uri: str) -> None:
        if self._unreachable:
            raise ConnectionError("no route to the Contact")
        self.told.append(f"refer {target_uri}")

    async def hangup(self) -> None:
        self.told.append("hangup")


class TalkNotes:
    """A `RealtimeSession` whose sent events and speech on/off changes are recorded."""

    def __init__(
        self, script: Conversation, accepted: Mapping[str, object] = ACCEPT, *, no_decision: bool = False
    ) -> None:
        self.sent: list[Json] = []
        self.speech: list[bool] = []
        self.tasks = Tasks()
        self._news = asyncio.Event()
        context = SessionContext(script, self.tasks, self._sent, self.speech.append, no_decision)
        self.talk = RealtimeSession(new_session(accepted, 0), context)

    @property
    def types(self) -> list[str]:
        return [str(event["type"]) for event in self.sent]

    def _sent(self, event: Json) -> None:
        self.sent.append(event)
        self._news.set()

    async def until(self, wanted: Callable[[Json], bool] | str, times: int = 1) -> Json:
        """Wait until ``times`` matching events were sent; return the last of those."""
        is_wanted = (lambda event: event["type"] == wanted) if isinstance(wanted, str) else wanted
        while True:
            found = [event for event in self.sent if is_wanted(event)]
            if len(found) >= times:
                return found[times - 1]
            self._news.clear()
            await self._news.wait()


def tool_call(event: Mapping[str, object]) -> bool:
    """Return whether an event carries a completed function call."""
    item = as_object(event.get("item"))
    return event["type"] == "response.output_item.done" and item.get("type") == "function_call"


def sentences(events: Sequence[Json]) -> list[object]:
    """Return the transcripts of what the agent said."""
    return [e["transcript"] for e in events if e["type"] == "response.output_audio_transcript.done"]


def make_call(
    sip: SipNotes, tasks: Tasks, faults: Faults | None = None, script: Conversation | None = None
) -> Call:
    """Return a call as `OpenAiLab.incoming` creates it, without the HTTP server."""
    return Call(
        Incoming("rtc_u1_1", HEADERS),
        sip,
        conversation=script or Conversation(),
        faults=faults or Faults(),
        tasks=tasks,
        patience_s=10.0,
        on_speech=lambda on: None,
    )
