"""Cache keys for SDP: the body without what differs from call to call (origin, ports)."""

from __future__ import annotations

import re
from functools import lru_cache

_LONGEST = 2048
"""Longer bodies (in bytes) are not cached."""
_VERSION, _ORIGIN, _AUDIO = b"v=0", b"\r\no=", b"\r\nm=audio "
_RTCP = re.compile(rb"([0-9]{1,5})[ \r]")


def normalise(body: bytes) -> tuple[bytes, int, bool] | None:
    """Normalise a body: empty o= line, port 9 in the only m= line. Returns the text, the real port, and
    whether it may have an a=rtcp line.

    The origin and port do not affect what is agreed, except for where to send. None: the body is not of this
    form, is too long to cache, or may hold a key, which no cache should keep.
    """
    before, _, after = body.partition(_AUDIO)
    digits, _, formats = after.partition(b" ")
    version, _, named = before.partition(_ORIGIN)
    origin, end, middle = named.partition(b"\r\n")
    if version != _VERSION or not (end and digits.isdigit()) or len(digits) > 5:
        return None
    port = int(digits)
    if not 0 < port < 65536 or origin.translate(None, b"\r\n\0") != origin:
        return None
    try:
        text, reports = _examine(middle, formats)
    except _NotCacheable:
        return None
    return text, port, reports


class _NotCacheable(Exception):
    """Not cacheable. Raised rather than returned, so that `lru_cache` does not remember it either."""


@lru_cache(maxsize=256)
def _examine(middle: bytes, formats: bytes) -> tuple[bytes, bool]:
    """The normalised text for these parts, and whether it may have an a=rtcp line. Cached, as this would
    often be half the cost of handling a body.
    """
    text = b"".join((_VERSION, _ORIGIN, b"\r\n", middle, _AUDIO, b"9 ", formats))
    # RFC 4568; RFC 8866 §5.12; RFC 4567
    keys = b"a=crypto" in text or b"k=" in text or b"a=key-mgmt" in text
    if len(text) > _LONGEST or text.count(b"m=") != 1 or keys:
        raise _NotCacheable
    return text, b"a=rtcp:" in text


def normalise_ports(body: bytes) -> tuple[bytes, int] | None:
    """Like `normalise`, with the only a=rtcp line normalised too: port 9 if it names the RTP port, 10 if it
    names the next. None as well if it names any other.
    """
    usual = normalise(body)
    if usual is None:
        return None
    text, port, reports = usual
    if not reports:
        return text, port
    before, line, after = text.partition(b"\na=rtcp:")
    found = _RTCP.match(after)
    if found is None or text.count(b"a=rtcp:") != 1:
        return None
    rtcp_port = int(found[1])
    if not port <= rtcp_port <= min(port + 1, 65535):
        return None
    return before + line + (b"9" if rtcp_port == port else b"10") + after[found.end(1) :], port


def rtcp_at(control: tuple[str, int] | None, port: int) -> tuple[str, int] | None:
    """The a=rtcp address for RTP port `port`, given `control` as parsed from a normalised text."""
    return None if control is None else (control[0], control[1] - 9 + port)
