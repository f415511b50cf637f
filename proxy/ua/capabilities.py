"""What we are capable of, and how we say so (RFC 3261 §11.2, §13.2.1)."""

from __future__ import annotations

from proxy.sip.message import Response

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, REFER, NOTIFY, INFO"
SUPPORTED = ("timer", "norefersub")
"""What our INVITE and its answer say: nobody is asked for reliable provisional responses."""
UNDERSTOOD = (*SUPPORTED, "100rel")
RELIABLY = ("Supported", "100rel")
"""What our INVITE says besides where the peer makes that a condition."""
REGISTERING = ("outbound",)
"""What a peer may require of us."""

IN_DIALOG_WITH_AGENT = (("Allow", ALLOW), ("Supported", ", ".join(SUPPORTED)))
IN_DIALOG = (("Allow", ALLOW.replace("REFER, ", "")), IN_DIALOG_WITH_AGENT[1])
"""Headers of our INVITE and its answer: REFER is the agent's alone."""


SDP = (("Content-Type", "application/sdp"),)
"""Header of what carries a description."""


def capabilities() -> list[tuple[str, str]]:
    """What we say of ourselves in the answer to OPTIONS (§11.2)."""
    return [("Allow", ALLOW), ("Accept", "application/sdp"), ("Supported", ", ".join(UNDERSTOOD))]


def wants_reliability(refusal: Response) -> bool:
    """Whether this is a 421 for want of reliable provisional responses, and of nothing unknown (§21.4.16)."""
    required = {option.lower() for option in refusal.headers.split("Require")}
    return refusal.status == 421 and required.difference(SUPPORTED) == {"100rel"}
