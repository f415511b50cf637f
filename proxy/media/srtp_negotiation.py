"""What offers and answers say of SRTP by SDES, and whether it will do (RFC 4568 §5.1, §7.1; RFC 8643)."""

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
    """What one of our SDPs says: the protocol of its m= line, and its a=crypto lines."""

    protocol: str
    cryptos: tuple[Crypto, ...]

    @classmethod
    def of(cls, agreement: Agreement) -> Protection:
        """What is in force, said again."""
        if agreement.ours is None and agreement.protocol == PLAIN:
            return NO_PROTECTION
        return cls(agreement.protocol, () if agreement.ours is None else (agreement.ours,))


NO_PROTECTION = Protection(PLAIN, ())


def offered(
    agreement: Agreement | None, before: Protection, policy: SrtpPolicy, ids: Callable[[int], int]
) -> Protection:
    """What we offer: what is in force, under the same key; before that, as the policy says.

    Offered again before an answer, it is the same: the peer may have read either.
    """
    if agreement is not None:
        return Protection.of(agreement)
    if not policy.offers:
        return NO_PROTECTION
    if before.cryptos:
        return before
    return Protection(SECURE, tuple(fresh(suite, ids, tag) for tag, suite in enumerate(OFFERED, 1)))


def answering(agreed: Agreement, before: Agreement | None, ids: Callable[[int], int]) -> Agreement:
    """The agreement on a peer's offer, with our key in it.

    Under the key that it had before, the peer goes on as before, and so do we; with a new one, both begin
    anew (RFC 4568 §7.1.4).
    """
    theirs = agreed.crypto
    if theirs is None:
        return agreed
    if before is not None and before.ours is not None and theirs.same_key(before.crypto):
        return replace(agreed, ours=replace(before.ours, tag=theirs.tag))
    return replace(agreed, ours=fresh(theirs.suite, ids, theirs.tag))


def best(section: MediaSection, policy: SrtpPolicy) -> Crypto | None:
    """The line of an offer that we take; None: plain RTP."""
    cryptos = [] if policy is SrtpPolicy.OFF else usable(section.attributes(ATTRIBUTE))[0]
    return cryptos[0] if cryptos else None


def taken(section: MediaSection, told: Protection) -> tuple[Crypto, Crypto] | None:
    """Our line that an answer takes, and its own; None: plain RTP. Raises CryptoRefused."""
    values = section.attributes(ATTRIBUTE)
    return chosen(values, told.cryptos) if values and told.cryptos else None


def unfit_offer(section: MediaSection, policy: SrtpPolicy) -> str | None:
    """Why an offered line cannot be used, by how it is protected; None: it can."""
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


def unfit_answer(section: MediaSection, told: Protection, policy: SrtpPolicy) -> str | None:
    """Why an answer is none to what we told; None: it is one.

    A plain line is what some who cannot do SRTP answer to an offer of it; taken, unless SRTP is required.
    """
    if section.protocol not in (PLAIN, told.protocol):
        return f"{section.protocol[:20]} was not offered"
    try:
        if taken(section, told) is not None:
            return None
    except CryptoRefused as refusal:
        return str(refusal)
    if section.protocol != PLAIN:
        return "no a=crypto line in the answer"
    return "SRTP is required, the answer is plain" if policy is SrtpPolicy.REQUIRE else None
