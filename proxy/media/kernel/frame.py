"""Offsets in an Ethernet frame that carries RTP (RFC 791, 8200, 768, 3550)."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.media.rtp import HEADER_BYTES

ETHERNET = 14
UDP_HEADER = 8


@dataclass(frozen=True, slots=True)
class Ip:
    """Layout of a frame for one IP version; all offsets are from its first byte."""

    ethertype: int
    header: int
    """Length of the IP header, without options."""
    addresses: int
    address_words: int
    """32-bit words in both addresses together."""

    @property
    def udp(self) -> int:
        return ETHERNET + self.header

    @property
    def rtp(self) -> int:
        return self.udp + UDP_HEADER

    @property
    def least(self) -> int:
        """Minimum frame length: up to the end of the RTP header."""
        return self.rtp + HEADER_BYTES


IPV4 = Ip(0x0800, 20, ETHERNET + 12, 2)
IPV6 = Ip(0x86DD, 40, ETHERNET + 8, 8)
