"""Assembles GPT-Live's transcript deltas into lines, as no event says that a speaker has finished. Pure.

Each delta has a span on the session's timeline, `start_ms` to `end_ms`. How that timeline relates to our
clock is unknown, and the agent's deltas may arrive before they are heard. So a line lasts from the arrival of
its first delta for as long as its deltas span on the timeline, or until the last of them has arrived; when
nothing was added for `QUIET_S` after that, the line is complete, and has been heard.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from screening.provider import (
    AgentSaid,
    CallerBegan,
    CallerPaused,
    CallerSaid,
    Event,
    ResponseBegan,
    ResponseEnded,
    SoundBegan,
    SoundEnded,
)

QUIET_S = 0.8
"""Longer than the pauses within a sentence, shorter than a caller's patience."""
GAP_MS = 1500
"""A delta that starts this long after the end of the previous one begins a new line."""
MAX_LINE_S = 30.0
"""Maximum span of a line, whatever its deltas say."""
MAX_CHARS = 2000
"""A longer line is closed and the next begun, to bound the memory."""

AGENT, CALLER = "agent", "caller"


@dataclass(slots=True)
class _Line:
    name: str
    began: float
    start_ms: int
    end_ms: int
    last: float
    pieces: list[str] = field(default_factory=list)
    chars: int = 0

    @property
    def due(self) -> float:
        """When the line is over, unless something is added."""
        span_s = min(max(0, self.end_ms - self.start_ms) / 1000, MAX_LINE_S)
        return max(self.last, self.began + span_s) + QUIET_S


class LiveTranscript:
    """The unfinished lines of both speakers, who may speak at the same time."""

    def __init__(self) -> None:
        self._open: dict[str, _Line] = {}
        self._count = 0
        self.caller_until_ms = 0
        """The point on the timeline up to which the caller's words are known."""

    @property
    def agent_response(self) -> str:
        """Id of the response the agent is speaking; empty while it is silent."""
        line = self._open.get(AGENT)
        return line.name if line else ""

    @property
    def unfinished(self) -> list[tuple[str, str]]:
        """Speaker and text so far of each unfinished line."""
        return [(speaker, "".join(line.pieces).strip()) for speaker, line in self._open.items()]

    @property
    def due(self) -> float | None:
        """When `close_finished` will next return something; None while nobody speaks."""
        return min((line.due for line in self._open.values()), default=None)

    def add(self, speaker: str, piece: str, start_ms: int, end_ms: int, now: float) -> list[Event]:
        """Add a delta, in order of arrival, and return the resulting events."""
        events: list[Event] = []
        line = self._open.get(speaker)
        if line and (start_ms - line.end_ms > GAP_MS or line.chars > MAX_CHARS):
            events += self._close(speaker)
            line = None
        if speaker == CALLER:
            self.caller_until_ms = max(self.caller_until_ms, end_ms)
        if line is None:
            if not piece.strip():
                return events
            self._count += 1
            line = self._open[speaker] = _Line(f"line {self._count}", now, start_ms, end_ms, now)
            events += (
                [ResponseBegan(line.name), SoundBegan(line.name)] if speaker == AGENT else [CallerBegan()]
            )
        line.pieces.append(piece[:MAX_CHARS])
        line.chars += len(line.pieces[-1])
        line.end_ms, line.last = max(line.end_ms, end_ms), now
        return events

    def close_finished(self, now: float) -> list[Event]:
        """Close the lines that are over by now, earliest first, and return their events."""
        over = sorted((line.due, speaker) for speaker, line in self._open.items() if line.due <= now)
        return [event for _, speaker in over for event in self._close(speaker)]

    def close(self) -> list[Event]:
        """Close every line: after a gap, it may have ended unseen."""
        return [event for speaker in list(self._open) for event in self._close(speaker)]

    def _close(self, speaker: str) -> list[Event]:
        line = self._open.pop(speaker)
        text = "".join(line.pieces).strip()
        if speaker == CALLER:
            return [CallerPaused(), CallerSaid(text)]
        return [AgentSaid(text), ResponseEnded(line.name, "completed"), SoundEnded(line.name)]
