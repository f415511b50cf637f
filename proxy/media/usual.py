"""SDP without what differs from call to call, so that what was made of it once can be looked up."""

from __future__ import annotations

_LONGEST = 2048
"""Bytes of a body that is worth keeping."""
_AUDIO = b"\nm=audio "
_OF_KEYS = (b"a=crypto", b"\nk=", b"a=key-mgmt")
"""RFC 4568, RFC 8866 §5.12, RFC 4567."""


def usual_text(body: bytes) -> tuple[bytes, int] | None:
    """A body as it would be with nothing in its o= line and port 9 in its only m= line, and that line's port.

    Neither has a say in what is agreed, but for where to send. None: not of that form, too long to keep, or
    a key may be in it, which no cache should have.
    """
    lines = body.count(b"\r\n")
    if len(body) > _LONGEST or b"\0" in body or lines != body.count(b"\n") or lines != body.count(b"\r"):
        return None
    if any(word in body for word in _OF_KEYS):
        return None
    origin = body.find(b"\no=")
    end = body.find(b"\r", origin + 1)
    audio = body.find(_AUDIO, end)
    if origin < 0 or end < 0 or audio < 0 or body.count(b"\nm=") != 1:
        return None
    start = audio + len(_AUDIO)
    stop = body.find(b" ", start)
    digits = body[start:stop]
    if stop < 0 or not digits.isdigit() or len(digits) > 5 or not 0 < int(digits) < 65536:
        return None
    return body[: origin + 3] + body[end:start] + b"9" + body[stop:], int(digits)
