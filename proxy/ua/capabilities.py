"""Our capabilities, and the headers that state them (RFC 3261 §11.2, §13.2.1)."""

from __future__ import annotations

from proxy.sip.message import Response

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, REFER, NOTIFY, INFO"
SUPPORTED = ("timer", "norefersub")
"""Option tags in our INVITE and its answer; we do not ask for reliable provisional responses."""
UNDERSTOOD = (*SUPPORTED, "100rel")
RELIABLY = ("Supported", "100rel")
"""Added to our INVITE if the peer demands it."""
REGISTERING = ("outbound",)
"""Option tags that a REGISTER may require."""

IN_DIALOG_WITH_AGENT = (("Allow", ALLOW), ("Supported", ", ".join(SUPPORTED)))
IN_DIALOG = (("Allow", ALLOW.replace("REFER, ", "")), IN_DIALOG_WITH_AGENT[1])
"""Headers of our INVITE and its answer. Only the agent may send REFER."""


SDP = (("Content-Type", "application/sdp"),)
"""Header of a message with a session description."""


def capabilities() -> list[tuple[str, str]]:
    """The headers of our response to OPTIONS (§11.2)."""
    return [("Allow", ALLOW), ("Accept", "application/sdp"), ("Supported", ", ".join(UNDERSTOOD))]


def wants_reliability(refusal: Response) -> bool:
    """Whether this is a 421 that requires 100rel and nothing unsupported (§21.4.16)."""
    required = {option.lower() for option in refusal.headers.split("Require")}
    return refusal.status == 421 and required.difference(SUPPORTED) == {"100rel"}
