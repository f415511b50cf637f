"""SRTP on one stream: the keys in force, and what they did not fit."""

from __future__ import annotations

from proxy.media.negotiation import Agreement
from proxy.media.srtp import Receiver, Sender, receiver, sender


class Seal:
    """Opens what the peer sends and protects what it is sent, as agreed last."""

    __slots__ = ("_before", "receiver", "sender")

    def __init__(self) -> None:
        self.sender: Sender | None = None
        """None: what is sent is plain."""
        self.receiver: Receiver | None = None
        self._before = 0  # under the keys before the present one

    @property
    def unauthentic(self) -> int:
        """Packets that no key fitted."""
        return self._before + (0 if self.receiver is None else self.receiver.unauthentic)

    def agreed(self, agreement: Agreement, before: Agreement | None) -> None:
        """Protect as agreed. Under a key that stays, replays and roll-overs go on being counted (RFC 3711
        §3.3.1); under a new one they are counted anew.
        """
        theirs, ours = agreement.crypto, agreement.ours
        if before is None or theirs is None or not theirs.same_key(before.crypto):
            self._before = self.unauthentic
            self.receiver = None if theirs is None else receiver(theirs, self.receiver)
        if before is None or ours is None or not ours.same_key(before.ours):
            self.sender = None if ours is None else sender(ours)

    def opened(self, packet: memoryview) -> memoryview | None:
        """The RTP packet, to be changed in place; or RTCP that came to the same port; None drops it."""
        if self.receiver is None:
            return packet
        clear = self.receiver.unprotect(bytes(packet))
        return None if clear is None else memoryview(bytearray(clear))

    def opened_rtcp(self, packet: bytes) -> bytes | None:
        """The RTCP packet; None drops it."""
        return packet if self.receiver is None else self.receiver.unprotect_rtcp(packet)

    def sealed(self, packet: bytes | memoryview) -> bytes | memoryview | None:
        """What is sent of it; None where nothing may be."""
        return packet if self.sender is None else self.sender.protect(bytes(packet))

    def sealed_rtcp(self, packet: bytes) -> bytes | None:
        """What is sent of an RTCP packet; None where nothing may be."""
        return packet if self.sender is None else self.sender.protect_rtcp(packet)
