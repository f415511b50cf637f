"""The eBPF program that forwards RTP in the kernel.

It is attached to interfaces, sees all incoming packets, and takes only those that match a rule exactly: a
plain RTP packet from the peer that a stream is latched to, with the right SSRC, a payload type in the table,
and the very next sequence number. Everything else - strangers, RTCP, telephone-events, what is late or
follows a loss, jumps in time, header extensions - goes up to our socket, and is handled as without kernel
mode. So the program makes no decisions; it saves the way up to userspace and back. Nor does it reorder: what
follows a packet that went up is not the next one, and goes up too.

The map has one record for each port pair (`flow.py`):

    live | packets | octets | last_ns | jitter | longest_ns | flow 1 | flow 2

`live` is the number of the flow in force, 1 or 2, or 0 for none.
"""

from __future__ import annotations

import socket

from proxy.media.kernel import flow
from proxy.media.kernel.assembler import R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, Assembler
from proxy.media.kernel.frame import ETHERNET, IPV4, IPV6, UDP_HEADER, Ip
from proxy.media.rtp import HEADER_BYTES, PLAIN

# Helpers: __BPF_FUNC_MAPPER of <linux/bpf.h>
_MAP_LOOKUP_ELEM = 1
_KTIME_GET_NS = 5
_L4_CSUM_REPLACE = 11
_SKB_PULL_DATA = 39
_REDIRECT_NEIGH = 152

# Flags of bpf_l4_csum_replace
_PSEUDO_HEADER = 1 << 4
_ZERO_STAYS = 1 << 5

# Offsets in struct __sk_buff
_LEN, _PKT_TYPE, _PROTOCOL, _VLAN_PRESENT, _IFINDEX = 0, 4, 16, 20, 40
_DATA, _DATA_END, _GSO_SIZE = 76, 80, 176

_INDEX, _CHANGE, _ELAPSED = -4, -16, -24
"""Offsets of local variables on the stack."""
_MICROSECOND_BITS = 10
_LONGEST = 1280
"""An IP packet of this length fits every interface (RFC 8200 §5); a longer one may need fragmentation."""

NEXT = -1
"""TCX_NEXT: not for us; continue with the next program on the interface, if any, and then the stack."""


def forwarder(records: int, low: int) -> bytes:
    """Assemble the program, for a map of records that begins with port `low`.

    Preserved registers: r6 the context, r7 the frame, r8 the flow, r9 the record.
    """
    asm = Assembler()
    asm.do("mov", R6, R1)
    _ordinary(asm)
    asm.load(4, R1, R6, _PROTOCOL)
    asm.network_order(R1, 16)
    asm.jump_if_number(R1, "==", IPV6.ethertype, "ipv6")
    asm.jump_if_number(R1, "!=", IPV4.ethertype, "up")
    for ip, name in ((IPV4, "ipv4"), (IPV6, "ipv6")):
        asm.label(name)
        _parse(asm, ip, name)
        _find(asm, ip, records, low, name)
        _compare(asm, ip)
        _in_order(asm, ip)
        _rewrite(asm, ip)
        _send(asm, ip, name)
    asm.label("up")
    asm.do_number("mov", R0, NEXT)
    asm.leave()
    return asm.code()


def _ordinary(asm: Assembler) -> None:
    """Check that it is for our MAC address, a single packet, and not of a VLAN (those have interfaces of
    their own).
    """
    for offset in (_PKT_TYPE, _VLAN_PRESENT, _GSO_SIZE):
        asm.load(4, R1, R6, offset)
        asm.jump_if_number(R1, "!=", 0, "up")


def _parse(asm: Assembler, ip: Ip, name: str) -> None:
    """Check that the headers are whole and plain: no IP options or fragments, UDP, consistent lengths."""
    asm.load(4, R1, R6, _LEN)
    asm.jump_if_number(R1, "<", ip.least, "up")
    _frame(asm, ip, f"{name} whole", otherwise=f"{name} pull")
    asm.label(f"{name} pull")  # the driver left the headers in fragments: make them contiguous
    asm.do("mov", R1, R6)
    asm.do_number("mov", R2, ip.least)
    asm.call(_SKB_PULL_DATA)
    _frame(asm, ip, f"{name} whole", otherwise="up")
    asm.label(f"{name} whole")
    (_parse_ipv4 if ip is IPV4 else _parse_ipv6)(asm)
    # r3: bytes of the frame by IP's length, r4: bytes of UDP header and payload by IP's length
    asm.jump_if_number(R3, ">", ETHERNET + _LONGEST, "up")
    asm.load(4, R1, R6, _LEN)
    asm.jump_if(R3, ">", R1, "up")
    asm.load(2, R1, R7, ip.udp + 4)
    asm.network_order(R1, 16)
    asm.jump_if(R1, "!=", R4, "up")
    asm.jump_if_number(R4, "<", UDP_HEADER + HEADER_BYTES, "up")
    asm.load(1, R1, R7, ip.rtp)
    asm.jump_if_number(R1, "!=", PLAIN, "up")


def _frame(asm: Assembler, ip: Ip, whole: str, otherwise: str) -> None:
    asm.load(4, R7, R6, _DATA)
    asm.load(4, R2, R6, _DATA_END)
    asm.do("mov", R1, R7)
    asm.do_number("add", R1, ip.least)
    asm.jump_if(R1, ">", R2, otherwise)
    asm.jump(whole)


def _parse_ipv4(asm: Assembler) -> None:
    asm.load(1, R1, R7, ETHERNET)
    asm.jump_if_number(R1, "!=", 0x45, "up")
    asm.load(1, R1, R7, ETHERNET + 9)
    asm.jump_if_number(R1, "!=", socket.IPPROTO_UDP, "up")
    asm.load(2, R1, R7, ETHERNET + 6)
    asm.network_order(R1, 16)
    asm.do_number("and", R1, 0x3FFF)  # more fragments, fragment offset
    asm.jump_if_number(R1, "!=", 0, "up")
    asm.load(2, R4, R7, ETHERNET + 2)  # total length
    asm.network_order(R4, 16)
    asm.do("mov", R3, R4)
    asm.do_number("add", R3, ETHERNET)
    asm.do_number("sub", R4, IPV4.header)


def _parse_ipv6(asm: Assembler) -> None:
    asm.load(1, R1, R7, ETHERNET + 6)
    asm.jump_if_number(R1, "!=", socket.IPPROTO_UDP, "up")
    asm.load(2, R4, R7, ETHERNET + 4)  # payload length
    asm.network_order(R4, 16)
    asm.do("mov", R3, R4)
    asm.do_number("add", R3, ETHERNET + IPV6.header)


def _find(asm: Assembler, ip: Ip, records: int, low: int, name: str) -> None:
    """Set r9 to the record of the destination port, and r8 to its live flow."""
    asm.load(2, R1, R7, ip.udp + 2)
    asm.network_order(R1, 16)
    asm.jump_if_number(R1, "<", low, "up")
    asm.do_number("sub", R1, low)
    asm.do("mov", R2, R1)
    asm.do_number("and", R2, 1)
    asm.jump_if_number(R2, "!=", 0, "up")  # RTCP
    asm.do_number("rsh", R1, 1)
    asm.store(4, R10, _INDEX, R1)
    asm.map(R1, records)
    asm.do("mov", R2, R10)
    asm.do_number("add", R2, _INDEX)
    asm.call(_MAP_LOOKUP_ELEM)
    asm.jump_if_number(R0, "==", 0, "up")
    asm.do("mov", R9, R0)
    asm.do("mov", R8, R0)
    asm.load(4, R1, R9, flow.LIVE)
    asm.jump_if_number(R1, "==", 0, "up")
    asm.jump_if_number(R1, "==", 1, f"{name} first")
    asm.do_number("add", R8, flow.FLOWS + flow.FLOW_BYTES)
    asm.jump(f"{name} found")
    asm.label(f"{name} first")
    asm.do_number("add", R8, flow.FLOWS)
    asm.label(f"{name} found")


def _compare(asm: Assembler, ip: Ip) -> None:
    """Check peer, destination, interface and SSRC. Sets r5 to the new payload type."""
    asm.load(4, R1, R8, flow.ONLY_FROM)
    asm.load(4, R2, R6, _IFINDEX)
    asm.jump_if_number(R1, "==", 0, f"any {ip.header}")
    asm.jump_if(R1, "!=", R2, "up")
    asm.label(f"any {ip.header}")
    half = ip.address_words // 2
    for word in range(ip.address_words):
        asm.load(4, R1, R7, ip.addresses + 4 * word)
        asm.load(4, R2, R8, flow.ADDRESSES_IN + 16 * (word // half) + 4 * (word % half))
        asm.jump_if(R1, "!=", R2, "up")
    for offset, expected in ((ip.udp, flow.PORTS_IN), (ip.rtp + 8, flow.SSRC_IN)):
        asm.load(4, R1, R7, offset)
        asm.load(4, R2, R8, expected)
        asm.jump_if(R1, "!=", R2, "up")
    asm.load(1, R1, R7, ip.rtp + 1)
    asm.do_number("and", R1, 0x7F)
    asm.do("mov", R2, R8)
    asm.do("add", R2, R1)
    asm.load(1, R5, R2, flow.TYPES)
    asm.jump_if_number(R5, "==", flow.USERSPACE, "up")


def _in_order(asm: Assembler, ip: Ip) -> None:
    """Check that it is the next packet, within a second of the last. Sets r3: its sequence number, r4: its
    timestamp.

    Leaves the ticks between the two on the stack.
    """
    asm.load(8, R0, R8, flow.LAST)
    asm.load(2, R3, R7, ip.rtp + 2)
    asm.network_order(R3, 16)
    asm.load(4, R4, R7, ip.rtp + 4)
    asm.network_order(R4, 32)
    asm.do("mov", R1, R4)
    asm.do("sub", R1, R0)
    asm.keep_32(R1)  # modulo 2**32
    asm.jump_if_number(R1, "==", 0, "up")
    asm.load(4, R2, R8, flow.RATE)
    asm.jump_if(R1, ">", R2, "up")
    asm.store(8, R10, _ELAPSED, R1)
    asm.do_number("rsh", R0, 32)
    asm.do_number("add", R0, 1)
    asm.do_number("and", R0, 0xFFFF)
    asm.jump_if(R0, "!=", R3, "up")
    asm.do_number("lsh", R0, 32)
    asm.do("or", R0, R4)
    asm.store(8, R8, flow.LAST, R0)


def _rewrite(asm: Assembler, ip: Ip) -> None:
    """Rewrite all headers into those of our packet, and leave the checksum change on the stack.

    r0 accumulates that change in 64 bits: the flow's constant part, less the old words, plus the new ones.
    """
    asm.load(4, R0, R8, flow.CHANGE)
    _less_old(asm, ip)
    asm.load(4, R1, R8, flow.SEQUENCE_STEP)
    asm.do("add", R3, R1)
    asm.network_order(R3, 16)
    asm.load(4, R1, R8, flow.TIMESTAMP_STEP)
    asm.do("add", R4, R1)
    asm.network_order(R4, 32)
    asm.load(1, R1, R7, ip.rtp + 1)
    asm.do_number("and", R1, 0x80)  # keep the marker
    asm.do("or", R1, R5)
    asm.store(1, R7, ip.rtp + 1, R1)
    asm.store(2, R7, ip.rtp + 2, R3)
    asm.store(4, R7, ip.rtp + 4, R4)
    for place, of in ((ip.udp, flow.PORTS_OUT), (ip.rtp + 8, flow.SSRC_OUT)):
        asm.load(4, R1, R8, of)
        asm.store(4, R7, place, R1)
    asm.load(4, R1, R7, ip.rtp)
    asm.do("add", R0, R1)
    asm.do("add", R0, R4)
    for _ in range(2):
        _fold(asm, R0, 32)
    asm.store(8, R10, _CHANGE, R0)
    half = ip.address_words // 2
    for word in range(ip.address_words):
        asm.load(4, R1, R8, flow.ADDRESSES_OUT + 16 * (word // half) + 4 * (word % half))
        asm.store(4, R7, ip.addresses + 4 * word, R1)
    (_head_ipv4 if ip is IPV4 else _head_ipv6)(asm)
    asm.load(2, R4, R7, ip.udp + 4)
    asm.network_order(R4, 16)
    asm.do_number("sub", R4, UDP_HEADER + HEADER_BYTES)
    asm.count(R9, flow.OCTETS, R4)
    asm.do_number("mov", R1, 1)
    asm.count(R9, flow.PACKETS, R1)


def _less_old(asm: Assembler, ip: Ip) -> None:
    for offset in (ip.rtp, ip.rtp + 4):
        asm.load(4, R1, R7, offset)
        asm.invert_32(R1)
        asm.do("add", R0, R1)


def _fold(asm: Assembler, register: int, bits: int) -> None:
    """One step of folding the carries of a one's complement sum (RFC 1071); clobbers r1."""
    asm.do("mov", R1, register)
    asm.do_number("rsh", R1, bits)
    if bits == 32:
        asm.keep_32(register)
    else:
        asm.do_number("and", register, 0xFFFF)
    asm.do("add", register, R1)


def _head_ipv4(asm: Assembler) -> None:
    """TOS 0, don't fragment, a new TTL, and the header checksum."""
    asm.do_number("mov", R1, 0)
    asm.store(1, R7, ETHERNET + 1, R1)
    asm.do_number("mov", R1, 0x40)
    asm.store(1, R7, ETHERNET + 6, R1)
    asm.do_number("mov", R1, 0)
    asm.store(1, R7, ETHERNET + 7, R1)
    asm.do_number("mov", R1, flow.TTL)
    asm.store(1, R7, ETHERNET + 8, R1)
    asm.load(4, R2, R8, flow.IPV4_SUM)
    for varying in (ETHERNET + 2, ETHERNET + 4):  # total length, identification
        asm.load(2, R1, R7, varying)
        asm.do("add", R2, R1)
    for _ in range(2):
        _fold(asm, R2, 16)
    asm.do_number("xor", R2, 0xFFFF)
    asm.store(2, R7, ETHERNET + 10, R2)


def _head_ipv6(asm: Assembler) -> None:
    """No traffic class, no flow label, a new hop limit."""
    asm.do_number("mov", R1, 0x60)
    asm.store(1, R7, ETHERNET, R1)
    asm.do_number("mov", R1, 0)
    for offset in (1, 2, 3):
        asm.store(1, R7, ETHERNET + offset, R1)
    asm.do_number("mov", R1, flow.TTL)
    asm.store(1, R7, ETHERNET + 7, R1)


def _send(asm: Assembler, ip: Ip, name: str) -> None:
    """Record the time, fix the UDP checksum, and send. After the first helper call, r7 is no longer valid.

    With checksum offload, the checksum field only covers the addresses yet, and the network card completes
    it. Only the kernel knows whether that is so, so it must be given the two changes separately.
    """
    _time(asm, name)
    asm.load(8, R4, R10, _CHANGE)
    _change_checksum(asm, ip, _ZERO_STAYS)
    asm.load(4, R4, R8, flow.ADDRESS_CHANGE)
    _change_checksum(asm, ip, _ZERO_STAYS | _PSEUDO_HEADER)
    asm.load(4, R1, R8, flow.LEAVES_BY)
    asm.jump_if_number(R1, "==", 0, "up")
    asm.do_number("mov", R2, 0)  # let the kernel look up the next hop
    asm.do_number("mov", R3, 0)
    asm.do_number("mov", R4, 0)
    asm.call(_REDIRECT_NEIGH)
    asm.leave()


def _time(asm: Assembler, name: str) -> None:
    """Update arrival time, longest gap and jitter (RFC 3550 A.8): J += |D| - ((J + 8) >> 4)."""
    asm.call(_KTIME_GET_NS)
    asm.load(8, R1, R9, flow.LAST_NS)
    asm.store(8, R9, flow.LAST_NS, R0)
    asm.jump_if_number(R1, "==", 0, f"{name} timed")  # nothing to compare with
    asm.do("sub", R0, R1)
    asm.load(8, R1, R9, flow.LONGEST_NS)
    asm.jump_if(R0, "<=", R1, f"{name} gap")
    asm.store(8, R9, flow.LONGEST_NS, R0)
    asm.label(f"{name} gap")
    asm.load(4, R1, R8, flow.TICKS)
    asm.do_number("rsh", R0, _MICROSECOND_BITS)  # before multiplying, to stay below 2**64
    asm.do("mul", R0, R1)
    asm.do_number("rsh", R0, flow.TICK_BITS - _MICROSECOND_BITS)
    asm.load(8, R1, R10, _ELAPSED)
    asm.jump_if(R0, ">=", R1, f"{name} slow")
    asm.do("sub", R1, R0)
    asm.do("mov", R0, R1)
    asm.jump(f"{name} off")
    asm.label(f"{name} slow")
    asm.do("sub", R0, R1)
    asm.label(f"{name} off")
    asm.load(4, R1, R8, flow.RATE)
    asm.jump_if(R0, ">=", R1, f"{name} timed")  # a reset clock, not the network
    asm.load(8, R1, R9, flow.JITTER)
    asm.do("mov", R2, R1)
    asm.do_number("add", R2, 8)
    asm.do_number("rsh", R2, 4)
    asm.do("sub", R1, R2)
    asm.do("add", R1, R0)
    asm.store(8, R9, flow.JITTER, R1)
    asm.label(f"{name} timed")


def _change_checksum(asm: Assembler, ip: Ip, flags: int) -> None:
    asm.do("mov", R1, R6)
    asm.do_number("mov", R2, ip.udp + 6)
    asm.do_number("mov", R3, 0)
    asm.do_number("mov", R5, flags)
    asm.call(_L4_CSUM_REPLACE)
