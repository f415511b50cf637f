"""Who is making a sound: the agent's responses and the caller, kept from the session's events. Pure."""

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
    """It did not complete, or the caller has interrupted it."""


class Voice:
    """What is heard on the line.

    A response ends before its sound does: `ResponseEnded`, and then `SoundEnded` when the caller has heard
    it. One that did not complete is cut off, and no `SoundEnded` may follow.
    """

    def __init__(self) -> None:
        self._responses: dict[str, _Response] = {}
        self._begun = 0
        self.caller_speaks = False
        self._caller_paused = 0
        """So many responses had begun when the caller last stopped speaking."""
        self.crossed = False
        """What the agent was asked to say last will not be said: it was making another response."""
        self._free_since = True
        """It has ended one since."""
        self._asked_again = 0
        """So many had begun when it was asked again: none of them is what was asked for."""

    def hear(self, event: Event) -> bool:
        """Take note of an event; say whether it was a sound, or the end of one."""
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
        """Whether a response is being made; the vendor makes one at a time."""
        return any(response.thinking for response in self._responses.values())

    @property
    def agent_speaks(self) -> bool:
        return any(response.sounding for response in self._responses.values())

    @property
    def anyone_speaks(self) -> bool:
        return self.caller_speaks or self.agent_speaks

    def mark(self) -> int:
        """Return now, for `said_since`."""
        return self._begun

    @property
    def to_ask_again(self) -> bool:
        """Whether something is still to be said that has crossed a response, and the agent is free."""
        return self.crossed and self._free_since and not self.agent_thinks

    def asked_again(self) -> None:
        """What crossed a response is asked for again."""
        self.crossed, self._asked_again = False, self._begun

    def since(self, mark: int) -> int:
        """The same mark, or a later one where what was asked for since had to be asked for again."""
        return max(mark, self._asked_again)

    def said(self, name: str) -> bool:
        """Whether a response has been made and heard."""
        response = self._responses.get(name)
        return response is None or not (response.thinking or response.sounding)

    def said_since(self, mark: int) -> bool:
        """Whether a response that began after `mark` has been made and heard, and is what was asked for."""
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
        """The session was away: what was going on may have ended unseen."""
        self._responses.clear()
        self.caller_speaks = False
        self._free_since = True

    def _response(self, name: str) -> _Response:
        if name not in self._responses:
            self._responses[name] = _Response(self._begun)
            self._begun += 1
        return self._responses[name]
