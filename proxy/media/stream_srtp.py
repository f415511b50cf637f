"""SRTP on one stream: the keys in force, and packets that failed authentication."""

from __future__ import annotations

from proxy.media.negotiation import Agreement
from proxy.media.srtp import SrtpReceiver, SrtpSender, receiver, sender


class StreamSrtp:
    """Encrypts what a stream sends and decrypts what it receives, under the keys agreed last."""

    __slots__ = ("_before", "receiver", "sender")

    def __init__(self) -> None:
        self.sender: SrtpSender | None = None
        """None: we send plain RTP."""
        self.receiver: SrtpReceiver | None = None
        self._before = 0  # failures under earlier keys

    @property
    def unauthentic(self) -> int:
        """Packets that failed authentication."""
        return self._before + (0 if self.receiver is None else self.receiver.unauthentic)

    def agreed(self, agreement: Agreement, before: Agreement | None) -> None:
        """Apply an agreement. A key that stays keeps its replay window and roll-over counter (RFC 3711
        §3.3.1); a new one starts afresh.
        """
        theirs, ours = agreement.crypto, agreement.ours
        if before is None or theirs is None or not theirs.same_key(before.crypto):
            self._before = self.unauthentic
            self.receiver = None if theirs is None else receiver(theirs, self.receiver)
        if before is None or ours is None or not ours.same_key(before.ours):
            self.sender = None if ours is None else sender(ours)

    def unprotect(self, packet: memoryview) -> memoryview | None:
        """Decrypt an RTP packet (or RTCP on its port) for changing in place; None: drop it."""
        if self.receiver is None:
            return packet
        clear = self.receiver.unprotect(bytes(packet))
        return None if clear is None else memoryview(bytearray(clear))

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """Decrypt an RTCP packet; None: drop it."""
        return packet if self.receiver is None else self.receiver.unprotect_rtcp(packet)

    def protect(self, packet: bytes | memoryview) -> bytes | memoryview | None:
        """Encrypt an RTP packet; None: it must not be sent."""
        return packet if self.sender is None else self.sender.protect(bytes(packet))

    def protect_rtcp(self, packet: bytes) -> bytes | None:
        """Encrypt an RTCP packet; None: it must not be sent."""
        return packet if self.sender is None else self.sender.protect_rtcp(packet)
