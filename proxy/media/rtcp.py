"""RTCP packets: reports of ours made, a peer's read (RFC 3550 §6)."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, BYE = 200, 201, 202, 203
_VERSION = 0x80
_CNAME = 1

_HEAD = Struct("!BBHI")  # V|P|count, type, length in words less one, SSRC
_SENT = Struct("!IIIII")  # NTP seconds and fraction, RTP timestamp, packets, octets
_BLOCK = Struct("!IIIIII")  # SSRC, fraction and total lost, highest number, jitter, LSR, DLSR


class Sent(NamedTuple):
    """What a sender report tells of its sender (§6.4.1)."""

    at: float
    """Seconds of a clock that all its reports share."""
    timestamp: int
    """RTP timestamp of that moment."""
    packets: int
    octets: int


class Block(NamedTuple):
    """What a report tells of somebody's packets."""

    ssrc: int
    fraction_lost: float
    """Since the report before, from 0 to 1."""
    lost: int
    """Over all; negative where more came than were sent, as duplicates do."""
    highest: int
    jitter: int
    """In ticks of the clock of what is reported on."""
    last_report: int
    """Middle 32 bits of the NTP time of the last sender report that its author heard; 0: none."""
    delay_s: float
    """From then to the making of this report."""


class Report(NamedTuple):
    """All that one compound packet says to us."""

    ssrc: int
    sent: int | None
    """Middle 32 bits of its NTP time, if it is a sender report."""
    blocks: tuple[Block, ...]
    leaves: bool
    """It has a BYE."""


def compound(ssrc: int, sent: Sent | None, blocks: tuple[Block, ...], cname: str, *, leaves: bool) -> bytes:
    """A report with its author's CNAME, and a BYE if it `leaves` (§6.1, §6.5, §6.6)."""
    body = b""
    if sent is not None:  # the counts begin anew at 2^32 (§6.4.1)
        counts = sent.packets & 0xFFFFFFFF, sent.octets & 0xFFFFFFFF
        body = _SENT.pack(*_ntp(sent.at), sent.timestamp, *counts)
    for each in blocks:
        lost = (
            min(int(each.fraction_lost * 256), 255) << 24
            | max(min(each.lost, 0x7FFFFF), -0x800000) & 0xFFFFFF
        )
        delay = min(round(each.delay_s * 65536), 0xFFFFFFFF)
        body += _BLOCK.pack(each.ssrc, lost, each.highest, each.jitter, each.last_report, delay)
    kind = RECEIVER_REPORT if sent is None else SENDER_REPORT
    name = cname.encode("ascii")
    item = bytes((_CNAME, len(name))) + name + b"\0"
    item += bytes(-len(item) % 4)
    packet = _packet(kind, len(blocks), ssrc, body) + _packet(DESCRIPTION, 1, ssrc, item)
    return packet + _packet(BYE, 1, ssrc, b"") if leaves else packet


def read(packet: bytes) -> Report | None:
    """What a compound packet says; None if it does not add up (A.2). Unknown kinds are passed over."""
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
    """The middle 32 bits of a time, as LSR has them: units of 1/65536 s (§6.4.1)."""
    seconds, fraction = _ntp(at)
    return (seconds & 0xFFFF) << 16 | fraction >> 16


def _ntp(at: float) -> tuple[int, int]:
    return int(at) & 0xFFFFFFFF, int(at % 1 * 2**32)


def _packet(kind: int, count: int, ssrc: int, body: bytes) -> bytes:
    return _HEAD.pack(_VERSION | count, kind, 1 + len(body) // 4, ssrc) + body


def _block(packet: bytes, at: int) -> Block:
    ssrc, lost, highest, jitter, last_report, delay = _BLOCK.unpack_from(packet, at)
    total = (lost & 0xFFFFFF) - (0x1000000 if lost & 0x800000 else 0)
    return Block(ssrc, (lost >> 24) / 256, total, highest, jitter, last_report, delay / 65536)
