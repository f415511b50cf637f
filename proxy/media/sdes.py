"""Keys in SDP: the a=crypto line (RFC 4568), and the suites we speak (RFC 3711, 6188, 7714).

A line is never shown: neither its text nor its key stands in a `repr` or in a refusal.
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
"""Characters of a line worth reading."""
_LEAST_WINDOW = 64
"""Of WSH, the window of replays (RFC 4568 §6.3.7)."""


class SrtpPolicy(Enum):
    """How the audio of a leg is to be protected."""

    OFF = "off"
    """Plain RTP alone."""
    ACCEPT = "accept"
    """SRTP where the peer offers it; what we offer is plain."""
    OFFER = "offer"
    """We offer SRTP; a peer that cannot do it is spoken to in plain RTP, and that is said."""
    REQUIRE = "require"
    """SRTP, or no call."""

    __hash__ = object.__hash__  # as equality is identity; that of `Enum` is a call of its own

    @property
    def offers(self) -> bool:
        """Our first offer is of SRTP."""
        return self in (SrtpPolicy.OFFER, SrtpPolicy.REQUIRE)


@dataclass(frozen=True, slots=True)
class Suite:
    """A crypto-suite: how much key it takes, and how long its tags are, in bytes."""

    name: str
    key_bytes: int
    salt_bytes: int = 14
    tag_bytes: int = 10
    """Authentication tag of an SRTP packet; that of SRTCP is never shorter than 10 (RFC 4568 §6.2.2)."""

    @property
    def master_bytes(self) -> int:
        """Length of master key and master salt, as they stand after `inline:`."""
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
"""The suites we speak, by name."""
OFFERED = (AES_CM_128_80, AEAD_256_GCM, AES_256_CM_80)
"""What we offer, in this order: first what everybody speaks; few lines, lest an INVITE outgrow a datagram."""
_PARAMETERS = (
    "KDR", "UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP", "FEC_ORDER", "FEC_KEY", "WSH",
)  # fmt: skip
"""Session parameters that RFC 4568 §6.3 names."""
_LAST = (AES_256_CM_80, AES_256_CM_32)
"""Taken where nothing else is offered: only these are computed by us, at some cost."""


class CryptoRefused(ValueError):
    """An a=crypto line that cannot be used; says why without a word of the key."""


@dataclass(frozen=True, slots=True)
class Crypto:
    """One a=crypto line that we can use: a tag, a suite, and the key of what its author will send (§9.1)."""

    tag: int
    suite: Suite
    master: bytes = field(repr=False)
    """Master key and master salt."""

    @property
    def line(self) -> str:
        """The attribute, `a=` and all. It holds the key: for a peer's eyes only."""
        inline = b64encode(self.master).decode()
        return f"a={ATTRIBUTE}:{self.tag} {self.suite.name} inline:{inline}"

    def same_key(self, other: Crypto | None) -> bool:
        """Whether both say the same key for the same suite: then what was begun with it goes on."""
        return other is not None and (self.suite, self.master) == (other.suite, other.master)


_LINE = re.compile(r"(\d{1,9})[ \t]+([A-Za-z0-9_]+)[ \t]+(\S+)(.*)", re.ASCII)
_KEY = re.compile(r"inline:([A-Za-z0-9+/]+={0,2})(?:\|(2\^\d{1,2}|\d{1,15}))?(\|\d+:\d+)?", re.ASCII)


def parse(value: str) -> Crypto:
    """Read the value of one a=crypto attribute (§9.1). Raises CryptoRefused for what we cannot do."""
    line = _LINE.fullmatch(value.strip()) if len(value) <= _LONGEST else None
    if line is None:
        raise CryptoRefused("a=crypto not understood")
    suite = SUITES.get(line[2])
    if suite is None:
        # Suites are named in capitals; all else may be a key, put wrongly.
        shown = line[2][:40] if line[2].isupper() else "of no known name"
        raise CryptoRefused(f"crypto suite {shown} is not supported")
    for parameter in line[4].split():
        _check(parameter)
    return Crypto(int(line[1]), suite, _master(line[3], suite))


def usable(values: Iterable[str]) -> tuple[list[Crypto], str]:
    """The a=crypto lines of an offer that can be used, best first; and, if there is none, why.

    In the peer's order (§5.1.2), but for those that cost us most, which come last.
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
    """Which of our lines an answer takes, and the line of the answer (§5.1.3). Raises CryptoRefused."""
    if len(values) != 1:
        raise CryptoRefused(f"{len(values)} a=crypto lines in an answer")
    theirs = parse(values[0])
    for ours in offered:
        if (ours.tag, ours.suite) == (theirs.tag, theirs.suite):
            return ours, theirs
    raise CryptoRefused(f"crypto {theirs.tag} {theirs.suite.name} was not offered")


def fresh(suite: Suite, ids: Callable[[int], int], tag: int = 1) -> Crypto:
    """A line with a new key; `ids(n)` gives n bits that nobody can guess."""
    return Crypto(tag, suite, ids(8 * suite.master_bytes).to_bytes(suite.master_bytes))


def _check(parameter: str) -> None:
    """Session parameters that change what packets look like are not for us (§6.3)."""
    name, _, value = parameter.partition("=")
    if name.startswith("-"):  # §6.3.8: those may be ignored by who does not know them
        return
    window = int(value) if name == "WSH" and re.fullmatch(r"\d{1,9}", value, re.ASCII) else 0
    if window < _LEAST_WINDOW:
        shown = name if name in _PARAMETERS else "of no known name"
        raise CryptoRefused(f"session parameter {shown} is not supported")


def _master(text: str, suite: Suite) -> bytes:
    key = _KEY.fullmatch(text)
    if key is None:
        raise CryptoRefused("several keys in one line" if ";" in text else "key parameters not understood")
    if key[3] is not None:
        raise CryptoRefused("a key with an MKI is not supported")
    lifetime = key[2] or "1"
    if int(lifetime.removeprefix("2^")) == 0 and not lifetime.startswith("2"):
        raise CryptoRefused("key lifetime of no packet")
    if lifetime.startswith("2^") and int(lifetime[2:]) > 48:
        raise CryptoRefused("key lifetime above 2^48")
    try:
        master = b64decode(key[1] + "=" * (-len(key[1]) % 4), validate=True)
    except binascii.Error:
        raise CryptoRefused("key not in base64") from None
    if len(master) != suite.master_bytes:
        raise CryptoRefused(f"key of {len(master)} bytes, {suite.name} takes {suite.master_bytes}")
    return master
