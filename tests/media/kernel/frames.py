"""Build and parse Ethernet frames that carry an RTP packet."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from ipaddress import ip_address

from tests.media.kernel.namespaces import checksum

SPEECH = bytes(range(160))


@dataclass(frozen=True)
class Frame:
    source: tuple[str, int] = ("192.0.2.2", 5000)
    to: tuple[str, int] = ("192.0.2.1", 20000)
    sequence: int = 11
    timestamp: int = 320
    ssrc: int = 0xAAAA
    pt: int = 0
    marker: bool = False
    first: int = 0x80
    payload: bytes = SPEECH
    protocol: int = 17
    options: bytes = b""
    fragment: int = 0
    udp_longer: int = 0
    ip_longer: int = 0
    ethertype: int | None = None
    summed: bool = True
    trailer: bytes = b""

    def but(self, **changes: object) -> Frame:
        return replace(self, **changes)  # type: ignore[arg-type]

    def encode(self) -> bytes:
        rtp = struct.pack(
            "!BBHII",
            self.first,
            self.pt | self.marker << 7,
            self.sequence & 0xFFFF,
            self.timestamp & 0xFFFFFFFF,
            self.ssrc,
        )
        rtp += self.payload
        size = 8 + len(rtp) + self.udp_longer
        source, to = ip_address(self.source[0]), ip_address(self.to[0])
        udp = struct.pack("!HHHH", self.source[1], self.to[1], size, 0) + rtp
        if self.summed:
            value = checksum(_pseudo(source.packed + to.packed, len(udp)) + udp) or 0xFFFF
            udp = udp[:6] + struct.pack("!H", value) + udp[8:]
        length = len(udp) + self.ip_longer
        if source.version == 4:
            words = 5 + len(self.options) // 4
            head = struct.pack(
                "!BBHHHBBH", 0x40 | words, 0xB8, 4 * words + length, 777, self.fragment, 9, self.protocol, 0
            )
            head += source.packed + to.packed + self.options
            ip = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        else:
            ip = struct.pack("!IHBB", 0x6B812345, length, self.protocol, 9) + source.packed + to.packed
        kind = self.ethertype or (0x0800 if source.version == 4 else 0x86DD)
        return bytes(12) + struct.pack("!H", kind) + ip + udp + self.trailer


def decode(frame: bytes) -> Frame:
    """Parse a frame; raises AssertionError if a checksum is wrong."""
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == 0x0800:
        ip, udp = frame[14:34], frame[34 : 14 + struct.unpack_from("!H", frame, 16)[0]]
        assert checksum(ip) == 0
        addresses, fragment, protocol = ip[12:], struct.unpack_from("!H", ip, 6)[0], ip[9]
    else:
        ip, udp = frame[14:54], frame[54 : 54 + struct.unpack_from("!H", frame, 18)[0]]
        addresses, fragment, protocol = ip[8:], 0, ip[6]
    half = len(addresses) // 2
    source_port, to_port, size, given = struct.unpack_from("!HHHH", udp)
    assert size == len(udp)
    if given:
        assert checksum(_pseudo(addresses, size) + udp) == 0
    first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", udp, 8)
    return Frame(
        (str(ip_address(addresses[:half])), source_port),
        (str(ip_address(addresses[half:])), to_port),
        *(sequence, timestamp, ssrc, second & 0x7F, second >> 7 == 1, first, udp[20:], protocol),
        fragment=fragment,
        summed=given != 0,
    )


def _pseudo(addresses: bytes, size: int) -> bytes:
    return addresses + struct.pack("!IHBB", size, 0, 0, 17)
