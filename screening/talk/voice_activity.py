"""Tracks who is speaking, the agent or the caller, from the session's events. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from screening.provider import (
    CallerBegan,
    CallerPaused,
    Event,
    ResponseBegan,
    ResponseEnded,
    SoundBegan,
    SoundEnded,
    SpeechDropped,
)


@dataclass(slots=True)
class _Response:
    number: int
    generating: bool = True
    playing: bool = False
    cut: bool = False
    """It did not complete, or the caller interrupted it."""


class VoiceActivity:
    """The agent's responses and the caller's speech on one line.

    A response is generated before it has finished playing: `ResponseEnded`, then `SoundEnded` once the caller
    has heard it. One that did not complete is cut off, possibly without a `SoundEnded`.
    """

    def __init__(self) -> None:
        self._responses: dict[str, _Response] = {}
        self._responses_begun = 0
        self.caller_speaks = False
        self._caller_paused = 0
        """How many responses had begun when the caller last stopped speaking."""
        self.speech_dropped = False
        """The last request to speak was dropped, as the agent was making another response."""
        self._ended_since_drop = True
        """A response has ended since the request was dropped."""
        self._asked_again = 0
        """How many had begun when the request was repeated: none of these answers it."""

    def process(self, event: Event) -> bool:
        """Process an event; return whether it began or ended a sound."""
        match event:
            case CallerBegan():
                self.caller_speaks = True
            case CallerPaused():
                self.caller_speaks = False
                self._caller_paused = self._responses_begun
            case ResponseBegan(name):
                self._response(name)
                return False
            case SpeechDropped():
                self.speech_dropped, self._ended_since_drop = True, False
                return False
            case ResponseEnded(name, status):
                self._ended_since_drop = True
                response = self._response(name)
                response.generating = False
                response.cut = response.cut or status != "completed"
                response.playing = response.playing and status == "completed"
            case SoundBegan(name):
                self._response(name).playing = True
            case SoundEnded(name, cut):
                response = self._response(name)
                response.playing, response.cut = False, response.cut or cut
            case _:
                return False
        return True

    @property
    def agent_generating(self) -> bool:
        """Whether a response is being generated; the vendor generates one at a time."""
        return any(response.generating for response in self._responses.values())

    @property
    def agent_speaks(self) -> bool:
        return any(response.playing for response in self._responses.values())

    @property
    def anyone_speaks(self) -> bool:
        return self.caller_speaks or self.agent_speaks

    def mark(self) -> int:
        """Return the current position, for `finished_since`."""
        return self._responses_begun

    @property
    def should_ask_again(self) -> bool:
        """Whether a dropped request is to be repeated, and the agent is free."""
        return self.speech_dropped and self._ended_since_drop and not self.agent_generating

    def asked_again(self) -> None:
        """Note that the dropped request was repeated."""
        self.speech_dropped, self._asked_again = False, self._responses_begun

    def effective_mark(self, mark: int) -> int:
        """Return `mark`, or the later position at which the request was repeated."""
        return max(mark, self._asked_again)

    def finished(self, name: str) -> bool:
        """Whether a response was generated and played."""
        response = self._responses.get(name)
        return response is None or not (response.generating or response.playing)

    def finished_since(self, mark: int) -> bool:
        """Whether the response requested at `mark` was generated and played."""
        mark = self.effective_mark(mark)
        return not self.speech_dropped and any(
            r.number >= mark and self.finished(name) for name, r in self._responses.items()
        )

    def heard_since(self, mark: int) -> bool:
        """Whether a response that began after `mark` was heard to its end."""
        return any(
            r.number >= mark and self.finished(name) and not r.cut for name, r in self._responses.items()
        )

    def awaits_answer(self, mark: int) -> bool:
        """Whether the caller has spoken since the response after `mark` began, and got no other."""
        return self._caller_paused > mark and self._responses_begun == mark + 1 and not self.caller_speaks

    def forget(self) -> None:
        """Reset after a gap in the session: whatever was going on may have ended unseen."""
        self._responses.clear()
        self.caller_speaks = False
        self._ended_since_drop = True

    def _response(self, name: str) -> _Response:
        if name not in self._responses:
            self._responses[name] = _Response(self._responses_begun)
            self._responses_begun += 1
        return self._responses[name]
