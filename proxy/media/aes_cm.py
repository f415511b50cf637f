"""SRTP with AES in counter mode and HMAC-SHA1, any key length (RFC 3711, RFC 6188): pylibsrtp's wheel lacks
some.

A packet costs a few microseconds: a single AES-ECB call makes its whole keystream.
"""

from __future__ import annotations

import hmac
from struct import Struct

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from proxy.media.rtp import HEADER_BYTES, PLAIN, is_rtcp
from proxy.media.sdes import Crypto

_WINDOW = 128
"""Replay window, in packets (RFC 3711 §3.3.2: at least 64)."""
_RTCP_HEADER_BYTES = 8
_RTCP_TAG_BYTES = 10
_INDEX = Struct("!I")
_ALL_SEEN = (1 << _WINDOW) - 1
MAX_BYTES = 2304
"""Longest packet accepted."""
_BLOCKS = tuple(
    (b"", *(number.to_bytes(2) for number in range(count))) for count in range(MAX_BYTES // 16 + 1)
)
"""Joined by a 14-byte prefix, these are the AES counter blocks of a packet (§4.1.1)."""
MAX_SSRCS = 256
"""Most SSRCs of one peer under one key: each takes some hundred bytes of state for as long as the key is in
use. An AI agent may use a new one for every sentence.
"""


class SessionKeys:
    """Session keys for RTP (label 0) or RTCP (3), derived from a master key (RFC 3711 §4.3, RFC 6188 §3).

    The key derivation rate is zero: they last as long as the master key.
    """

    __slots__ = ("_auth", "_ecb", "_salt")

    def __init__(self, crypto: Crypto, label: int) -> None:
        suite, master = crypto.suite, crypto.master
        derive = _block_cipher(master[: suite.key_bytes])
        salt = int.from_bytes(master[suite.key_bytes :]) << 16

        def derived(label: int, size: int) -> bytes:
            block = salt ^ (label << 64)
            return derive.update(b"".join((block + n).to_bytes(16) for n in range(-(-size // 16))))[:size]

        self._ecb = _block_cipher(derived(label, suite.key_bytes))
        self._auth = derived(label + 1, 20)
        self._salt = int.from_bytes(derived(label + 2, suite.salt_bytes)) << 16

    def crypted(self, text: bytes, ssrc: int, index: int) -> bytes:
        """Encrypt or decrypt: the text XOR the keystream of this index (§4.1.1)."""
        size = len(text)
        if not size:
            return text
        prefix = ((self._salt ^ (ssrc << 64) ^ (index << 16)) >> 16).to_bytes(14)
        stream = self._ecb.update(prefix.join(_BLOCKS[(size + 15) >> 4]))
        return (int.from_bytes(text) ^ int.from_bytes(stream[:size])).to_bytes(size)

    def tag(self, text: bytes, size: int) -> bytes:
        """The authentication tag, truncated to `size` bytes (§4.2)."""
        return hmac.digest(self._auth, text, "sha1")[:size]


class Window:
    """Packet index and replay window of one SSRC (§3.3.1, §3.3.2)."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0

    def index(self, sequence: int) -> int:
        """Estimate the 48-bit packet index of a sequence number (Appendix A); -1: a replay, or too old."""
        highest = self._highest
        if highest < 0:
            return sequence
        turn, last = highest >> 16, highest & 0xFFFF
        if last < 0x8000:
            turn -= sequence - last > 0x8000
        else:
            turn += last - 0x8000 > sequence
        index = (turn << 16) | sequence
        return index if turn >= 0 and self.fresh(index) else -1

    def fresh(self, index: int) -> bool:
        """Whether this index is neither a replay nor too old."""
        behind = self._highest - index
        return behind < 0 or (behind < _WINDOW and not self._seen >> behind & 1)

    def use(self, index: int) -> None:
        """Mark the index as used: the packet is authentic, or is sent."""
        ahead = index - self._highest
        if ahead > 0:
            self._seen = (self._seen << min(ahead, _WINDOW) | 1) & _ALL_SEEN
            self._highest = index
        else:
            self._seen |= 1 << -ahead


class CmSender:
    """Encrypts what we send; see `srtp.SrtpSender`."""

    __slots__ = ("_control", "_control_index", "_keys", "_tag_bytes", "_windows")

    def __init__(self, ours: Crypto) -> None:
        self._keys, self._control = SessionKeys(ours, 0), SessionKeys(ours, 3)
        self._tag_bytes = ours.suite.tag_bytes
        self._control_index = 0
        self._windows: dict[bytes, Window] = {}

    def protect(self, packet: bytes) -> bytes | None:
        """The SRTP packet (§3.3)."""
        start = header_size(packet)
        if not start:
            return None
        name = packet[8:12]
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = Window()
        index = window.index(packet[2] << 8 | packet[3])
        if index < 0:
            return None
        window.use(index)
        sealed = packet[:start] + self._keys.crypted(packet[start:], int.from_bytes(name), index)
        return sealed + self._keys.tag(sealed + _INDEX.pack(index >> 16 & 0xFFFFFFFF), self._tag_bytes)

    def protect_rtcp(self, packet: bytes) -> bytes | None:
        """The SRTCP packet (§3.4)."""
        if not _RTCP_HEADER_BYTES <= len(packet) <= MAX_BYTES:
            return None
        self._control_index = index = (self._control_index + 1) & 0x7FFFFFFF
        body = self._control.crypted(packet[_RTCP_HEADER_BYTES:], int.from_bytes(packet[4:8]), index)
        sealed = packet[:_RTCP_HEADER_BYTES] + body + _INDEX.pack(0x80000000 | index)
        return sealed + self._control.tag(sealed, _RTCP_TAG_BYTES)


class CmReceiver:
    """Decrypts what one peer sends; see `srtp.SrtpReceiver`."""

    __slots__ = ("_control", "_control_windows", "_keys", "_tag_bytes", "_windows", "unauthentic")

    def __init__(self, theirs: Crypto) -> None:
        self._keys, self._control = SessionKeys(theirs, 0), SessionKeys(theirs, 3)
        self._tag_bytes = theirs.suite.tag_bytes
        self._windows: dict[bytes, Window] = {}
        self._control_windows: dict[bytes, Window] = {}
        self.unauthentic = 0

    def unprotect(self, packet: bytes) -> bytes | None:
        """The RTP packet (§3.3), or RTCP as its second octet says; None: drop it."""
        if is_rtcp(packet):
            return self.unprotect_rtcp(packet)
        start, end = header_size(packet), len(packet) - self._tag_bytes
        if not start or end < start:
            return None
        name = packet[8:12]
        window = _window(self._windows, name)
        index = -1 if window is None else window.index(packet[2] << 8 | packet[3])
        if window is None or index < 0:
            return None
        sealed = packet[:end]
        tag = self._keys.tag(sealed + _INDEX.pack(index >> 16 & 0xFFFFFFFF), self._tag_bytes)
        if not hmac.compare_digest(packet[end:], tag):
            self.unauthentic += 1
            return None
        window.use(index)
        self._windows[name] = window
        return sealed[:start] + self._keys.crypted(sealed[start:], int.from_bytes(name), index)

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """The RTCP packet (§3.4); None: drop it. Unencrypted RTCP is refused, as it was not negotiated."""
        end = len(packet) - _RTCP_TAG_BYTES
        if not _RTCP_HEADER_BYTES + _INDEX.size <= end <= MAX_BYTES:
            return None
        sealed, name = packet[:end], packet[4:8]
        window = _window(self._control_windows, name)
        if window is None:
            return None
        if not hmac.compare_digest(packet[end:], self._control.tag(sealed, _RTCP_TAG_BYTES)):
            self.unauthentic += 1
            return None
        index = _INDEX.unpack_from(sealed, end - _INDEX.size)[0] ^ 0x80000000
        if index & 0x80000000 or not window.fresh(index):
            return None
        window.use(index)
        self._control_windows[name] = window
        body = sealed[_RTCP_HEADER_BYTES : end - _INDEX.size]
        return packet[:_RTCP_HEADER_BYTES] + self._control.crypted(body, int.from_bytes(name), index)


def _window(windows: dict[bytes, Window], name: bytes) -> Window | None:
    """The window of an SSRC, new if the SSRC is; None if there are too many."""
    window = windows.get(name)
    return Window() if window is None and len(windows) < MAX_SSRCS else window


def header_size(packet: bytes) -> int:
    """Where the encrypted part of an RTP packet begins, after CSRCs and extension (§3.1); 0: invalid."""
    size = len(packet)
    if not HEADER_BYTES <= size <= MAX_BYTES or packet[0] >> 6 != 2:
        return 0
    if packet[0] == PLAIN:
        return HEADER_BYTES
    start = HEADER_BYTES + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
    return start if start <= size else 0


def _block_cipher(key: bytes) -> CipherContext:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor()
