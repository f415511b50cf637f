"""SDES keys in SDP: the a=crypto attribute (RFC 4568), and our crypto-suites (RFC 3711, 6188, 7714).

Keys never leak: neither a line nor its key appears in a `repr` or an error message.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

ATTRIBUTE = "crypto"
_LONGEST = 1024
"""Longer attributes (in characters) are refused."""
_LEAST_WINDOW = 64
"""The smallest window size hint (WSH) for replay protection that we accept (RFC 4568 §6.3.7)."""


class SrtpPolicy(Enum):
    """How to protect a leg's audio."""

    OFF = "off"
    """Plain RTP only."""
    ACCEPT = "accept"
    """SRTP if the peer offers it; our own offers are plain."""
    OFFER = "offer"
    """Offer SRTP; fall back to plain RTP, with a note in the log, if the peer cannot do it."""
    REQUIRE = "require"
    """SRTP or no call."""

    __hash__ = object.__hash__  # members compare by identity; `Enum.__hash__` costs an extra call

    @property
    def offers(self) -> bool:
        """Whether our first offer is SRTP."""
        return self in (SrtpPolicy.OFFER, SrtpPolicy.REQUIRE)


@dataclass(frozen=True, slots=True)
class Suite:
    """A crypto-suite: its key, salt and tag lengths in bytes."""

    name: str
    key_bytes: int
    salt_bytes: int = 14
    tag_bytes: int = 10
    """Authentication tag of SRTP packets; that of SRTCP is never shorter than 10 (RFC 4568 §6.2.2)."""

    @property
    def master_bytes(self) -> int:
        """Length of master key and master salt together, as they follow `inline:`."""
        return self.key_bytes + self.salt_bytes


AES_CM_128_80 = Suite("AES_CM_128_HMAC_SHA1_80", 16)
AES_CM_128_32 = Suite("AES_CM_128_HMAC_SHA1_32", 16, tag_bytes=4)
AES_256_CM_80 = Suite("AES_256_CM_HMAC_SHA1_80", 32)
AES_256_CM_32 = Suite("AES_256_CM_HMAC_SHA1_32", 32, tag_bytes=4)
AEAD_128_GCM = Suite("AEAD_AES_128_GCM", 16, 12, 16)
AEAD_256_GCM = Suite("AEAD_AES_256_GCM", 32, 12, 16)

SUITES = {
    suite.name: suite
    for suite in (AES_CM_128_80, AES_CM_128_32, AES_256_CM_80, AES_256_CM_32, AEAD_128_GCM, AEAD_256_GCM)
}
"""The supported suites, by name."""
OFFERED = (AES_CM_128_80, AEAD_256_GCM, AES_256_CM_80)
"""What we offer, the most widely supported first; few lines, lest an INVITE outgrow a datagram."""
_PARAMETERS = (
    "KDR", "UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP", "FEC_ORDER", "FEC_KEY", "WSH",
)  # fmt: skip
"""The session parameters of RFC 4568 §6.3."""
_LAST = (AES_256_CM_80, AES_256_CM_32)
"""Taken only if nothing else is offered: we compute these in Python, at some cost."""


class CryptoRefused(ValueError):
    """An a=crypto line cannot be used; the message says why, without the key."""


@dataclass(frozen=True, slots=True)
class Crypto:
    """A usable a=crypto line: a tag, a suite, and the key its author encrypts with (§9.1)."""

    tag: int
    suite: Suite
    master: bytes = field(repr=False)
    """Master key and master salt, concatenated."""

    @property
    def line(self) -> str:
        """The attribute line, with `a=`. It holds the key: only for sending to the peer."""
        inline = b64encode(self.master).decode()
        return f"a={ATTRIBUTE}:{self.tag} {self.suite.name} inline:{inline}"

    def same_key(self, other: Crypto | None) -> bool:
        """Whether suite and key are the same, so that the SRTP state carries on."""
        return other is not None and (self.suite, self.master) == (other.suite, other.master)


_LINE = re.compile(r"(\d{1,9})[ \t]+([A-Za-z0-9_]+)[ \t]+(\S+)(.*)", re.ASCII)
_KEY = re.compile(r"inline:([A-Za-z0-9+/]+={0,2})(?:\|(2\^\d{1,2}|\d{1,15}))?(\|\d+:\d+)?", re.ASCII)


def parse(value: str) -> Crypto:
    """Parse the value of an a=crypto attribute (§9.1). Raises CryptoRefused if we cannot use it."""
    line = _LINE.fullmatch(value.strip()) if len(value) <= _LONGEST else None
    if line is None:
        raise CryptoRefused("a=crypto not understood")
    suite = SUITES.get(line[2])
    if suite is None:
        # Suite names are in capitals; anything else may be a misplaced key.
        shown = line[2][:40] if line[2].isupper() else "of unknown name"
        raise CryptoRefused(f"crypto suite {shown} is not supported")
    for parameter in line[4].split():
        _check(parameter)
    return Crypto(int(line[1]), suite, _master(line[3], suite))


def usable(values: Iterable[str]) -> tuple[list[Crypto], str]:
    """The usable a=crypto lines of an offer, best first; and why the last unusable one was refused.

    In the peer's order of preference (§5.1.2), except that the suites most costly to us come last.
    """
    found: dict[int, Crypto] = {}
    reason = "no a=crypto line"
    for value in values:
        try:
            crypto = parse(value)
        except CryptoRefused as refusal:
            reason = str(refusal)
        else:
            found.setdefault(crypto.tag, crypto)
    return sorted(found.values(), key=lambda each: each.suite in _LAST), reason


def chosen(values: Sequence[str], offered: Sequence[Crypto]) -> tuple[Crypto, Crypto]:
    """Our line that an answer takes, and the answer's own line (§5.1.3). Raises CryptoRefused."""
    if len(values) != 1:
        raise CryptoRefused(f"{len(values)} a=crypto lines in an answer")
    theirs = parse(values[0])
    for ours in offered:
        if (ours.tag, ours.suite) == (theirs.tag, theirs.suite):
            return ours, theirs
    raise CryptoRefused(f"crypto {theirs.tag} {theirs.suite.name} was not offered")


def fresh(suite: Suite, ids: Callable[[int], int], tag: int = 1) -> Crypto:
    """A line with a new key; `ids(n)` returns n unpredictable bits."""
    return Crypto(tag, suite, ids(8 * suite.master_bytes).to_bytes(suite.master_bytes))


def _check(parameter: str) -> None:
    """Refuse session parameters that change the packet format (§6.3)."""
    name, _, value = parameter.partition("=")
    if name.startswith("-"):  # §6.3.8: such a parameter may be ignored if unknown
        return
    window = int(value) if name == "WSH" and re.fullmatch(r"\d{1,9}", value, re.ASCII) else 0
    if window < _LEAST_WINDOW:
        shown = name if name in _PARAMETERS else "of unknown name"
        raise CryptoRefused(f"session parameter {shown} is not supported")


def _master(text: str, suite: Suite) -> bytes:
    key = _KEY.fullmatch(text)
    if key is None:
        raise CryptoRefused("several keys in one line" if ";" in text else "key parameters not understood")
    if key[3] is not None:
        raise CryptoRefused("a key with an MKI is not supported")
    lifetime = key[2] or "1"
    if int(lifetime.removeprefix("2^")) == 0 and not lifetime.startswith("2"):
        raise CryptoRefused("key lifetime of 0 packets")
    if lifetime.startswith("2^") and int(lifetime[2:]) > 48:
        raise CryptoRefused("key lifetime above 2^48")
    try:
        master = b64decode(key[1] + "=" * (-len(key[1]) % 4), validate=True)
    except binascii.Error:
        raise CryptoRefused("key not in base64") from None
    if len(master) != suite.master_bytes:
        raise CryptoRefused(f"key of {len(master)} bytes, {suite.name} takes {suite.master_bytes}")
    return master
