"""What can be told of a message by a glance at its bytes, for a fraction of what it costs to read it."""

from __future__ import annotations

import re

_TO = re.compile(rb"\n(?:to|t)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE).search
_RESPONSE = re.compile(rb"[\r\n]*SIP/", re.IGNORECASE).match


def begins_nothing_new(data: bytes) -> bool:
    """Whether it may belong to what goes on: a response, or a request with a tag in its To (RFC 3261 §12.2).

    False is certain: it is a request outside any dialog, or no SIP.
    """
    if _RESPONSE(data):
        return True
    to = _TO(data)
    return to is not None and b"tag" in to[1].lower()
