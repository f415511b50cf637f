"""Where things stand in an Ethernet frame with RTP in it (RFC 791, 8200, 768, 3550)."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.media.rtp import HEADER_BYTES

ETHERNET = 14
UDP_HEADER = 8


@dataclass(frozen=True, slots=True)
class Ip:
    """Where things stand in a frame of one IP version; all offsets from its first byte."""

    ethertype: int
    header: int
    """Bytes of the IP header, without options."""
    addresses: int
    address_words: int
    """Words of 32 bits in both addresses."""

    @property
    def udp(self) -> int:
        return ETHERNET + self.header

    @property
    def rtp(self) -> int:
        return self.udp + UDP_HEADER

    @property
    def least(self) -> int:
        """Bytes up to the end of the RTP header."""
        return self.rtp + HEADER_BYTES


IPV4 = Ip(0x0800, 20, ETHERNET + 12, 2)
IPV6 = Ip(0x86DD, 40, ETHERNET + 8, 8)
