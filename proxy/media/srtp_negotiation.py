"""Negotiating SRTP in SDP offers and answers, with SDES keys (RFC 4568 §5.1, §7.1; RFC 8643)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from proxy.media.sdes import ATTRIBUTE, OFFERED, Crypto, CryptoRefused, SrtpPolicy, chosen, fresh, usable
from proxy.media.sdp import MediaSection

if TYPE_CHECKING:
    from proxy.media.negotiation import Agreement

PLAIN = "RTP/AVP"
SECURE = "RTP/SAVP"
_DTLS = "DTLS-SRTP is not supported, offer RTP/SAVP with a=crypto (SDES)"


class Protection(NamedTuple):
    """The SRTP part of an SDP of ours: the RTP profile of its m= line, and its a=crypto lines."""

    protocol: str
    cryptos: tuple[Crypto, ...]

    @classmethod
    def of(cls, agreement: Agreement) -> Protection:
        """The protection in force, to be said again."""
        if agreement.ours is None and agreement.protocol == PLAIN:
            return NO_PROTECTION
        return cls(agreement.protocol, () if agreement.ours is None else (agreement.ours,))


NO_PROTECTION = Protection(PLAIN, ())


def protection_to_offer(
    agreement: Agreement | None, before: Protection, policy: SrtpPolicy, ids: Callable[[int], int]
) -> Protection:
    """What we offer: the protection in force, under the same key; before an agreement, what the policy says.

    An offer repeated before its answer stays the same: the peer may have read either one.
    """
    if agreement is not None:
        return Protection.of(agreement)
    if not policy.offers:
        return NO_PROTECTION
    if before.cryptos:
        return before
    return Protection(SECURE, tuple(fresh(suite, ids, tag) for tag, suite in enumerate(OFFERED, 1)))


def with_our_key(agreed: Agreement, before: Agreement | None, ids: Callable[[int], int]) -> Agreement:
    """The agreement for our answer to a peer's offer, with our key in it.

    If the peer keeps its key, we keep ours, and both go on counting; if it has a new one, both start afresh
    (RFC 4568 §7.1.4).
    """
    theirs = agreed.crypto
    if theirs is None:
        return agreed
    if before is not None and before.ours is not None and theirs.same_key(before.crypto):
        return replace(agreed, ours=replace(before.ours, tag=theirs.tag))
    return replace(agreed, ours=fresh(theirs.suite, ids, theirs.tag))


def best_crypto(section: MediaSection, policy: SrtpPolicy) -> Crypto | None:
    """The a=crypto line of an offer that we take; None: plain RTP."""
    cryptos = [] if policy is SrtpPolicy.OFF else usable(section.attributes(ATTRIBUTE))[0]
    return cryptos[0] if cryptos else None


def accepted_crypto(section: MediaSection, offered: Protection) -> tuple[Crypto, Crypto] | None:
    """Our a=crypto line that an answer takes, and the answer's; None: plain RTP. Raises CryptoRefused."""
    values = section.attributes(ATTRIBUTE)
    return chosen(values, offered.cryptos) if values and offered.cryptos else None


def unfit_offer(section: MediaSection, policy: SrtpPolicy) -> str | None:
    """Why the protection of an offered section is not acceptable; None if it is."""
    protocol = section.protocol
    if "TLS" in protocol or (protocol != PLAIN and section.attribute("fingerprint") is not None):
        return _DTLS
    if protocol not in (PLAIN, SECURE):
        return f"{protocol[:20]} is not supported, only {PLAIN} and {SECURE}"
    if policy is SrtpPolicy.OFF:
        return None if protocol == PLAIN else f"{SECURE} is off here, only {PLAIN}"
    if protocol == PLAIN and policy is not SrtpPolicy.REQUIRE:
        return None
    cryptos, reason = usable(section.attributes(ATTRIBUTE))
    return None if cryptos else f"SRTP is required: {reason}" if protocol == PLAIN else reason


def unfit_answer(section: MediaSection, offered: Protection, policy: SrtpPolicy) -> str | None:
    """Why the protection of an answer does not match our offer; None if it does.

    Some peers without SRTP answer an offer of it with a plain line; accepted, unless SRTP is required.
    """
    if section.protocol not in (PLAIN, offered.protocol):
        return f"{section.protocol[:20]} was not offered"
    try:
        if accepted_crypto(section, offered) is not None:
            return None
    except CryptoRefused as refusal:
        return str(refusal)
    if section.protocol != PLAIN:
        return "no a=crypto line in the answer"
    return "SRTP is required, the answer is plain" if policy is SrtpPolicy.REQUIRE else None
