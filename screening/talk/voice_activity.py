"""Tracks who is speaking, the agent or the caller, from the session's events. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from screening.provider import (
    CallerBegan,
    CallerPaused,
    Crossed,
    Event,
    ResponseBegan,
    ResponseEnded,
    SoundBegan,
    SoundEnded,
)


@dataclass(slots=True)
class _Response:
    number: int
    thinking: bool = True
    sounding: bool = False
    cut: bool = False
    """It did not complete, or the caller interrupted it."""


class Voice:
    """The agent's responses and the caller's speech on one line.

    A response is generated before it has finished playing: `ResponseEnded`, then `SoundEnded` once the caller
    has heard it. One that did not complete is cut off, possibly without a `SoundEnded`.
    """

    def __init__(self) -> None:
        self._responses: dict[str, _Response] = {}
        self._begun = 0
        self.caller_speaks = False
        self._caller_paused = 0
        """How many responses had begun when the caller last stopped speaking."""
        self.crossed = False
        """The last request to speak was dropped, as the agent was making another response."""
        self._free_since = True
        """A response has ended since the request was dropped."""
        self._asked_again = 0
        """How many had begun when the request was repeated: none of these answers it."""

    def hear(self, event: Event) -> bool:
        """Process an event; return whether it began or ended a sound."""
        match event:
            case CallerBegan():
                self.caller_speaks = True
            case CallerPaused():
                self.caller_speaks = False
                self._caller_paused = self._begun
            case ResponseBegan(name):
                self._response(name)
                return False
            case Crossed():
                self.crossed, self._free_since = True, False
                return False
            case ResponseEnded(name, status):
                self._free_since = True
                response = self._response(name)
                response.thinking = False
                response.cut = response.cut or status != "completed"
                response.sounding = response.sounding and status == "completed"
            case SoundBegan(name):
                self._response(name).sounding = True
            case SoundEnded(name, cut):
                response = self._response(name)
                response.sounding, response.cut = False, response.cut or cut
            case _:
                return False
        return True

    @property
    def agent_thinks(self) -> bool:
        """Whether a response is being generated; the vendor generates one at a time."""
        return any(response.thinking for response in self._responses.values())

    @property
    def agent_speaks(self) -> bool:
        return any(response.sounding for response in self._responses.values())

    @property
    def anyone_speaks(self) -> bool:
        return self.caller_speaks or self.agent_speaks

    def mark(self) -> int:
        """Return the current position, for `said_since`."""
        return self._begun

    @property
    def to_ask_again(self) -> bool:
        """Whether a dropped request is to be repeated, and the agent is free."""
        return self.crossed and self._free_since and not self.agent_thinks

    def asked_again(self) -> None:
        """Note that the dropped request was repeated."""
        self.crossed, self._asked_again = False, self._begun

    def since(self, mark: int) -> int:
        """Return `mark`, or the later position at which the request was repeated."""
        return max(mark, self._asked_again)

    def said(self, name: str) -> bool:
        """Whether a response was generated and played."""
        response = self._responses.get(name)
        return response is None or not (response.thinking or response.sounding)

    def said_since(self, mark: int) -> bool:
        """Whether the response requested at `mark` was generated and played."""
        mark = self.since(mark)
        return not self.crossed and any(
            r.number >= mark and self.said(name) for name, r in self._responses.items()
        )

    def heard_since(self, mark: int) -> bool:
        """Whether a response that began after `mark` was heard to its end."""
        return any(r.number >= mark and self.said(name) and not r.cut for name, r in self._responses.items())

    def unanswered(self, mark: int) -> bool:
        """Whether the caller has spoken since the response after `mark` began, and got no other."""
        return self._caller_paused > mark and self._begun == mark + 1 and not self.caller_speaks

    def forget(self) -> None:
        """Reset after a gap in the session: whatever was going on may have ended unseen."""
        self._responses.clear()
        self.caller_speaks = False
        self._free_since = True

    def _response(self, name: str) -> _Response:
        if name not in self._responses:
            self._responses[name] = _Response(self._begun)
            self._begun += 1
        return self._responses[name]
