"""Writes messages as a capture file (pcapng) for Wireshark, sngrep or tcpdump.

Every message becomes one UDP packet, whatever its transport, so that these programs recognise it as SIP; what
came over TLS is readable. Its leg and true transport are in the packet's comment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from proxy.observe.trace import TracedMessage
from proxy.transport.flow import Address

MAX_OCTETS = 65_507
"""The longest payload of a UDP packet over IPv4; a longer message is cut."""
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_COMMENT = 1
_RAW = 101
"""LINKTYPE_RAW: packets begin with their IPv4 or IPv6 header."""
_UDP = 17
_BYTE_ORDER = 0x1A2B3C4D


def pcapng(messages: Iterable[TracedMessage]) -> bytes:
    """The whole file; times are in microseconds."""
    section = _block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1))
    interface = _block(_INTERFACE, struct.pack("<HHI", _RAW, 0, 0))
    return b"".join([section, interface, *map(_packet, messages)])


def _packet(traced: TracedMessage) -> bytes:
    source, target = (traced.local, traced.remote) if traced.sent else (traced.remote, traced.local)
    packet = _ip(source, target, traced.octets[:MAX_OCTETS])
    high, low = divmod(round(traced.at * 1_000_000), 1 << 32)
    head = struct.pack("<IIIII", 0, high, low, len(packet), len(packet))
    return _block(_PACKET, head + _padded(packet) + _comment(f"{traced.leg}, by {traced.transport.upper()}"))


def _comment(text: str) -> bytes:
    octets = text.encode()
    return struct.pack("<HH", _COMMENT, len(octets)) + _padded(octets) + struct.pack("<HH", 0, 0)


def _block(kind: int, content: bytes) -> bytes:
    length = len(content) + 12
    return struct.pack("<II", kind, length) + content + struct.pack("<I", length)


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)


def _ip(source: Address, target: Address, payload: bytes) -> bytes:
    """A UDP packet over IPv4 (RFC 791), or over IPv6 (RFC 8200) if either end has an IPv6 address."""
    ends = [ip_address(host.partition("%")[0]) for host, _ in (source, target)]
    length = 8 + len(payload)
    if all(isinstance(end, IPv4Address) for end in ends):
        addresses = ends[0].packed + ends[1].packed
        head = struct.pack(">BBHIBBH", 0x45, 0, 20 + length, 0, 64, _UDP, 0) + addresses
        head = head[:10] + struct.pack(">H", _checksum(head)) + head[12:]
    else:
        addresses = b"".join(_as_ipv6(end).packed for end in ends)
        head = struct.pack(">IHBB", 0x60000000, length, _UDP, 64) + addresses
    udp = struct.pack(">HHHH", source[1], target[1], length, 0)
    sum_ = _checksum(addresses + struct.pack(">II", length, _UDP) + udp + payload) or 0xFFFF
    return head + udp[:6] + struct.pack(">H", sum_) + payload


def _as_ipv6(end: IPv4Address | IPv6Address) -> IPv6Address:
    return IPv6Address(f"::ffff:{end}") if isinstance(end, IPv4Address) else end


def _checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    words: Sequence[int] = struct.unpack(f">{(len(octets) + 1) // 2}H", octets + bytes(len(octets) % 2))
    total = sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
