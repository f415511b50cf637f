"""Lines out of pieces: GPT-Live tells what is said in pieces, and never that somebody has ended. Pure.

Each piece has its place on the session's timeline, from `start_ms` to `end_ms`. Where our clock stands on
that line is not known, and a piece of the agent's may be told before it is heard. So a line lasts from the
arrival of its first piece for as long as its pieces span on the timeline, or until the last of them has
come; when nothing has been added for `QUIET_S` after that, it was the whole line, and has been heard.
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
"""A piece so much later than the one before it begins a new line."""
LONGEST_S = 30.0
"""What a line can span at most, whatever its pieces say."""
MAX_CHARS = 2000
"""So long a line is closed, and the next begun: memory is not the vendor's to fill."""

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
        """When it is over, unless something is added."""
        span_s = min(max(0, self.end_ms - self.start_ms) / 1000, LONGEST_S)
        return max(self.last, self.began + span_s) + QUIET_S


class LiveLines:
    """The lines that both speakers are saying; each may be speaking while the other does."""

    def __init__(self) -> None:
        self._open: dict[str, _Line] = {}
        self._count = 0
        self.caller_until_ms = 0
        """How far on the timeline it is known what the caller said."""

    @property
    def agents(self) -> str:
        """The name of the response that the agent is saying; empty while it is silent."""
        line = self._open.get(AGENT)
        return line.name if line else ""

    @property
    def unfinished(self) -> list[tuple[str, str]]:
        """Who is just saying what."""
        return [(speaker, "".join(line.pieces).strip()) for speaker, line in self._open.items()]

    @property
    def due(self) -> float | None:
        """When `ended` has something to say; None while nobody speaks."""
        return min((line.due for line in self._open.values()), default=None)

    def said(self, speaker: str, piece: str, start_ms: int, end_ms: int, now: float) -> list[Event]:
        """Take a piece in, in the order of arrival; returns what it tells."""
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

    def ended(self, now: float) -> list[Event]:
        """Return the lines that are over by now, the earlier first."""
        over = sorted((line.due, speaker) for speaker, line in self._open.items() if line.due <= now)
        return [event for _, speaker in over for event in self._close(speaker)]

    def close(self) -> list[Event]:
        """End every line: what was going on may have ended unseen."""
        return [event for speaker in list(self._open) for event in self._close(speaker)]

    def _close(self, speaker: str) -> list[Event]:
        line = self._open.pop(speaker)
        text = "".join(line.pieces).strip()
        if speaker == CALLER:
            return [CallerPaused(), CallerSaid(text)]
        return [AgentSaid(text), ResponseEnded(line.name, "completed"), SoundEnded(line.name)]
