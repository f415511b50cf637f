"""Request inspection before method processing (RFC 3261 §8.2.2.3, §8.2.3): Require, Accept and the body."""

from __future__ import annotations

from collections.abc import Collection

from proxy.sip.body import SDP, accepts_sdp, handling
from proxy.sip.message import Request

Refusal = tuple[int, list[tuple[str, str]]]
"""A status, and headers that say what would have been accepted."""

_ENVELOPED = ("application/pkcs7-mime", "application/x-pkcs7-mime")


def refusal(request: Request, supported: Collection[str]) -> Refusal | None:
    """The refusal of an unacceptable request, else None. `reduce_to_sdp` must have reduced its body."""
    first = request.headers.first
    if "require" in first:
        required = request.headers.split("Require")
        if unknown := [option for option in required if option.lower() not in supported]:
            return 420, [("Unsupported", ", ".join(unknown))]
    if request.method not in ("INVITE", "UPDATE", "PRACK"):
        return None
    if "accept" in first and not accepts_sdp(request.headers):
        return 406, []  # whatever we answer is SDP (§8.2.3, RFC 4475 §3.3.15)
    return _unreadable(request) if request.body else None


def _unreadable(request: Request) -> Refusal | None:
    first = request.headers.first
    if "content-encoding" not in first and first.get("content-type") == SDP:
        return None
    coding = (request.headers.get("Content-Encoding") or "identity").lower()
    if coding != "identity":
        return 415, [("Accept-Encoding", "identity")]
    kind = request.content_type
    if kind is None or kind == SDP:
        return None
    if kind in _ENVELOPED and handling(request.headers) == "required":
        return 493, []  # §21.4.28: encrypted, and we have no key
    return 415, [("Accept", SDP)]
