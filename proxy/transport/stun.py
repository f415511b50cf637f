"""STUN keep-alives of phones on the SIP port over UDP (RFC 5626 §4.4.2, RFC 5389)."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from proxy.transport.flow import Address

REQUEST, RESPONSE, XOR_MAPPED_ADDRESS = 0x0001, 0x0101, 0x0020
COOKIE = 0x2112A442
HEAD = struct.Struct("!HHI12s")
IPV4, IPV6 = 1, 2


def answer(request: bytes, source: Address) -> bytes | None:
    """The response to a Binding request: the source address seen; None if it is no such request.

    The attributes of the request are ignored. A phone without a response considers its flow failed; one that
    sees a different address learns that its NAT binding changed, and registers again.
    """
    if len(request) < HEAD.size:
        return None
    kind, length, cookie, _ = HEAD.unpack_from(request)
    if (kind, length, cookie) != (REQUEST, len(request) - HEAD.size, COOKIE):
        return None
    host = ip_address(source[0].partition("%")[0])
    hidden = bytes(one ^ other for one, other in zip(host.packed, request[4:], strict=False))
    seen = struct.pack("!BBH", 0, IPV4 if host.version == 4 else IPV6, source[1] ^ COOKIE >> 16) + hidden
    head = struct.pack("!HH", RESPONSE, 4 + len(seen)) + request[4 : HEAD.size]
    return head + struct.pack("!HH", XOR_MAPPED_ADDRESS, len(seen)) + seen
