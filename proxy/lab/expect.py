"""Expectations of a scripted peer, and the report of what came instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxy.sip.message import Request, Response
from proxy.sip.sipfrag import parse_sipfrag

Message = Request | Response
What = str | int
"""A method, or a status."""


class Unexpected(AssertionError):
    """A peer received something unexpected, or nothing in time; the text shows its ladder."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A message that a peer received (`<`) or sent (`>`)."""

    at: float
    """Loop time."""
    direction: str
    message: Message

    def __str__(self) -> str:
        message = self.message
        method = f" ({message.headers.get('CSeq')})" if isinstance(message, Response) else ""
        told = f"  {fragment(message)}" if fragment(message) else ""
        return f"{self.at:10.3f} {self.direction} {message.start_line}{method}{told}"


def ladder(trace: Iterable[Traced]) -> str:
    """Format a trace as lines of text."""
    return "\n".join(str(traced) for traced in trace) or "(nothing was sent or received)"


def fragment(message: Message) -> int | None:
    """The status in a NOTIFY's sipfrag body; None if the body is something else."""
    if message.content_type is None or not message.content_type.startswith("message/sipfrag"):
        return None
    return parse_sipfrag(message.body)


def is_what(message: Message, what: What) -> bool:
    """Whether this is a request with that method, or a response with that status."""
    return what == (message.method if isinstance(message, Request) else message.status)


def meets(message: Message, conditions: Mapping[str, object]) -> bool:
    """Whether the message meets every condition.

    `sipfrag=486`: the status in a NOTIFY's body. `method="BYE"`: the CSeq method of a response.
    `sdp="sendonly"`: a substring of the body. Anything else is a header, with `_` for `-`:
    `retry_after="10"`; None means it is absent.
    """
    return all(_meets(message, name, wanted) for name, wanted in conditions.items())


def _meets(message: Message, name: str, wanted: object) -> bool:
    match name:
        case "sipfrag":
            return fragment(message) == wanted
        case "method":
            return message.cseq.method == wanted
        case "sdp":
            return str(wanted).encode() in message.body
        case _:
            return message.headers.get(name.replace("_", "-")) == wanted
