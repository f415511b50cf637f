"""Cheap checks on the raw bytes of a message, without parsing it."""

from __future__ import annotations

import re

_TO = re.compile(rb"\n(?:to|t)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE).search
_RESPONSE = re.compile(rb"[\r\n]*SIP/", re.IGNORECASE).match


def may_be_follow_up(data: bytes) -> bool:
    """Whether this may be a response or an in-dialog request, one with a To tag (RFC 3261 §12.2).

    May be true by mistake; false is certain: a request outside any dialog, or not SIP.
    """
    if _RESPONSE(data):
        return True
    to = _TO(data)
    return to is not None and b"tag" in to[1].lower()
