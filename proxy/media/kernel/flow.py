"""Forwarding rule for one direction of a call, and its layout in the memory shared with the kernel."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from proxy.media.udp import Address

USERSPACE = 0xFF
"""Entry in the table of payload types: leave such packets to userspace."""
TICK_BITS = 32
"""Clock ticks per nanosecond are tiny, so the program has them as fixed point with this many bits."""
TTL = 64
"""TTL of forwarded packets, the same as of packets from a socket."""

ADDRESSES = struct.Struct("=16s16s16s16s")
_HEAD = struct.Struct("=Q13I4x")  # 64 bytes; see the offsets
_UDP = 17
_DO_NOT_FRAGMENT = 0x4000


@dataclass(frozen=True, slots=True)
class Flow:
    """What is forwarded from one peer to the other, and how it is rewritten; every number is fixed."""

    peer: Address
    """The source address that is accepted: the one our stream is latched to."""
    ours: Address
    """The address of ours it sends to."""
    out: Address
    """The source address of forwarded packets: ours, towards the other peer."""
    to: Address
    """Their destination: the other peer."""
    ssrc: int
    """The only SSRC that is forwarded."""
    out_ssrc: int
    sequence_step: int
    """Added to each sequence number, modulo 2**16."""
    timestamp_step: int
    """Added to each timestamp, modulo 2**32."""
    types: Mapping[int, int]
    """Payload types that are forwarded, and what they are changed to."""
    rate: int
    """RTP clock rate in Hz; packets after a pause of more than a second go to userspace."""
    leaves_by: int
    """Index of the outgoing interface; 0: the other peer is on this machine, and the packet goes up the
    stack.
    """
    only_from: int = 0
    """Index of the only interface it may come in through; 0: any."""

    def packed(self, sequence: int, timestamp: int) -> bytes:
        """The bytes that the program reads; sequence and timestamp are those of the peer's last packet."""
        came, leaves = _ip(self.peer) + _ip(self.ours), _ip(self.out) + _ip(self.to)
        ports_in = struct.pack("!HH", self.peer[1], self.ours[1])
        ports_out = struct.pack("!HH", self.out[1], self.to[1])
        old, new = ports_in + struct.pack("!I", self.ssrc), ports_out + struct.pack("!I", self.out_ssrc)
        head = _HEAD.pack(
            (sequence & 0xFFFF) << 32 | (timestamp & 0xFFFFFFFF),
            *(self.only_from, self.leaves_by),
            *_words(old),
            *_words(new),
            *(self.sequence_step, self.timestamp_step, self.rate),
            *(difference(old, new), difference(came, leaves), _ipv4_sum(leaves)),
            (self.rate << TICK_BITS) // 1_000_000_000,
        )
        addresses = ADDRESSES.pack(*map(_ip, (self.peer, self.ours, self.out, self.to)))
        table = bytes(self.types.get(pt, USERSPACE) for pt in range(128))
        return head + addresses + table


def difference(old: bytes, new: bytes) -> int:
    """The checksum change when 32-bit words are replaced (RFC 1624)."""
    total = sum(_words(new)) + sum(0xFFFFFFFF - word for word in _words(old))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _words(text: bytes) -> tuple[int, ...]:
    return struct.unpack(f"={len(text) // 4}I", text)


def _ipv4_sum(addresses: bytes) -> int:
    """The sum of the constant words of our IPv4 header; 0 for IPv6, which has no header checksum."""
    if len(addresses) != 8:
        return 0
    fixed = struct.pack("!HHBB", 0x4500, _DO_NOT_FRAGMENT, TTL, _UDP) + addresses
    return sum(struct.unpack("=7H", fixed))


def _ip(address: Address) -> bytes:
    return ip_address(address[0]).packed


# Offsets within a flow; `packed` writes them.
LAST = 0  # u64: sequence number << 32 | timestamp of the peer's last packet, written by the kernel too
ONLY_FROM, LEAVES_BY = 8, 12
PORTS_IN, SSRC_IN, PORTS_OUT, SSRC_OUT = 16, 20, 24, 28
SEQUENCE_STEP, TIMESTAMP_STEP, RATE = 32, 36, 40
CHANGE, ADDRESS_CHANGE, IPV4_SUM, TICKS = 44, 48, 52, 56
ADDRESSES_IN, ADDRESSES_OUT = 64, 96
TYPES = 128
FLOW_BYTES = 256

# Offsets within the record of a port pair: one flow is live while the other is written.
LIVE, PACKETS, OCTETS = 0, 8, 16
LAST_NS, JITTER, LONGEST_NS = 24, 32, 40  # jitter in sixteenths of a tick (RFC 3550 A.8)
FLOWS = 64
RECORD_BYTES = FLOWS + 2 * FLOW_BYTES
