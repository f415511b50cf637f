"""RTCP packets: build and parse (RFC 3550 §6)."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, BYE = 200, 201, 202, 203
_VERSION = 0x80
_CNAME = 1

_HEAD = Struct("!BBHI")  # V|P|count, type, length in words less one, SSRC
_SENT = Struct("!IIIII")  # NTP seconds and fraction, RTP timestamp, packets, octets
_SENDER = Struct("!BBHIIIIII")  # both
_BLOCK = Struct("!IIIIII")  # SSRC, fraction and total lost, highest number, jitter, LSR, DLSR


class Sent(NamedTuple):
    """The sender information of a sender report (§6.4.1)."""

    at: float
    """Seconds, by a clock that all its reports share."""
    timestamp: int
    """The RTP timestamp of the same moment."""
    packets: int
    octets: int


class Block(NamedTuple):
    """A report block: how one source's packets are received (§6.4.1)."""

    ssrc: int
    fraction_lost: float
    """Since the previous report, from 0 to 1."""
    lost: int
    """Cumulative; negative if more packets came than were expected, as with duplicates."""
    highest: int
    jitter: int
    """In ticks of the reported stream's clock."""
    last_report: int
    """LSR: middle 32 bits of the NTP time of the last sender report received; 0: none."""
    delay_s: float
    """DLSR: from receiving that to sending this report."""


class Report(NamedTuple):
    """The content of one compound packet."""

    ssrc: int
    sent: int | None
    """Middle 32 bits of its NTP time, if it has a sender report."""
    blocks: tuple[Block, ...]
    leaves: bool
    """It has a BYE."""


def compound(ssrc: int, sent: Sent | None, blocks: tuple[Block, ...], cname: str, *, leaves: bool) -> bytes:
    """Build a compound packet: a report, its author's CNAME, and a BYE if it `leaves` (§6.1, §6.5, §6.6)."""
    count = len(blocks)
    if sent is None:
        packet = _HEAD.pack(_VERSION | count, RECEIVER_REPORT, 1 + 6 * count, ssrc)
    else:  # the counts wrap at 2^32 (§6.4.1)
        head = (_VERSION | count, SENDER_REPORT, 6 + 6 * count, ssrc)
        packets, octets = sent.packets & 0xFFFFFFFF, sent.octets & 0xFFFFFFFF
        packet = _SENDER.pack(*head, *_ntp(sent.at), sent.timestamp, packets, octets)
    for each in blocks:
        packet += _packed(each)
    name = cname.encode("ascii")
    item = b"%c%c%b\0" % (_CNAME, len(name), name)
    item += bytes(-len(item) % 4)
    packet += _HEAD.pack(_VERSION | 1, DESCRIPTION, 1 + len(item) // 4, ssrc) + item
    return packet + _HEAD.pack(_VERSION | 1, BYE, 1, ssrc) if leaves else packet


def read(packet: bytes) -> Report | None:
    """Parse a compound packet; None if it is malformed (A.2). Unknown packet types are skipped."""
    at, author, sent, leaves = 0, -1, None, False
    blocks: list[Block] = []
    while at < len(packet):
        if len(packet) - at < 4 or packet[at] >> 6 != 2:
            return None
        count, kind = packet[at] & 0x1F, packet[at + 1]
        end = at + 4 + 4 * int.from_bytes(packet[at + 2 : at + 4])
        if end > len(packet) or not 192 <= kind <= 223:
            return None
        if kind in (SENDER_REPORT, RECEIVER_REPORT):
            first = at + (_HEAD.size if kind == RECEIVER_REPORT else _HEAD.size + _SENT.size)
            if first + count * _BLOCK.size > end:
                return None
            author = _HEAD.unpack_from(packet, at)[3]
            if kind == SENDER_REPORT:
                sent = int.from_bytes(packet[at + 10 : at + 14])
            blocks += (_block(packet, first + n * _BLOCK.size) for n in range(count))
        leaves = leaves or kind == BYE
        at = end
    return Report(author, sent, tuple(blocks), leaves) if packet else None


def middle(at: float) -> int:
    """The middle 32 bits of the NTP time, as in LSR: units of 1/65536 s (§6.4.1)."""
    seconds, fraction = _ntp(at)
    return (seconds & 0xFFFF) << 16 | fraction >> 16


def _ntp(at: float) -> tuple[int, int]:
    return int(at) & 0xFFFFFFFF, int(at % 1 * 2**32)


def _packed(block: Block) -> bytes:
    ssrc, fraction_lost, lost, highest, jitter, last_report, delay_s = block
    if lost:
        lost = max(min(lost, 0x7FFFFF), -0x800000) & 0xFFFFFF
    if fraction_lost:
        lost |= min(int(fraction_lost * 256), 255) << 24
    return _BLOCK.pack(ssrc, lost, highest, jitter, last_report, min(round(delay_s * 65536), 0xFFFFFFFF))


def _block(packet: bytes, at: int) -> Block:
    ssrc, lost, highest, jitter, last_report, delay = _BLOCK.unpack_from(packet, at)
    total = (lost & 0xFFFFFF) - (0x1000000 if lost & 0x800000 else 0)
    return Block(ssrc, (lost >> 24) / 256, total, highest, jitter, last_report, delay / 65536)
