"""Asking the kernel by netlink which interfaces there are, whose an address is, and the way to a peer.

Numbers are those of <linux/rtnetlink.h>; see `man 7 rtnetlink`. No privilege is needed.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_ROUTE = struct.Struct("=8BI")  # struct rtmsg
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg
_ADDRESS = struct.Struct("=4BI")  # struct ifaddrmsg
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr

_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_SRC, _RTA_OIF, _RTA_PREFSRC = 1, 2, 4, 7
_UNICAST, _LOCAL = 1, 2  # rtm_type
_CHANGES = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE."""

_ETHERNET, _LOOPBACK = 1, 772  # <linux/if_arp.h>
_PATIENCE_S = 1.0
_BUFFER = 65536


@dataclass(frozen=True, slots=True)
class Way:
    """How packets to an address leave this machine."""

    interface: int
    """Index of the interface."""
    source: str
    """Our address on that way."""
    local: bool
    """The address is one of this machine's."""


class Netlink:
    """Questions and answers; the network namespace is that of the process when this is made."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_PATIENCE_S)
        self._asked = 0

    def way(self, to: str, source: str | None = None) -> Way | None:
        """The way to an address, from `source` if that is settled; None if there is none, or no plain one."""
        where = ip_address(to)
        family = socket.AF_INET if where.version == 4 else socket.AF_INET6
        attributes = _attribute(_RTA_DST, where.packed)
        if source is not None:
            attributes += _attribute(_RTA_SRC, ip_address(source).packed)
        bits = 8 * len(where.packed)
        question = _ROUTE.pack(family, bits, bits if source else 0, 0, 0, 0, 0, 0, 0) + attributes
        for body in self._ask(_GETROUTE, _REQUEST, question):
            kind = _ROUTE.unpack_from(body)[7]
            told = dict(_attributes(body[_ROUTE.size :]))
            ours = source or (str(ip_address(told[_RTA_PREFSRC])) if _RTA_PREFSRC in told else None)
            if kind not in (_UNICAST, _LOCAL) or ours is None or _RTA_OIF not in told:
                return None
            return Way(int.from_bytes(told[_RTA_OIF], sys.byteorder), ours, kind == _LOCAL)
        return None

    def interfaces(self) -> dict[int, bool]:
        """Index of each interface that carries Ethernet frames, and whether it is the loopback one."""
        kinds = {}
        for body in self._ask(_GETLINK, _REQUEST | _DUMP, _LINK.pack(0, 0, 0, 0, 0)):
            _, kind, index, _, _ = _LINK.unpack_from(body)
            kinds[index] = kind
        return {index: kind == _LOOPBACK for index, kind in kinds.items() if kind in (_ETHERNET, _LOOPBACK)}

    def interfaces_of(self, address: str) -> set[int]:
        """Those that have this address."""
        wanted = ip_address(address).packed
        found = set()
        for body in self._ask(_GETADDR, _REQUEST | _DUMP, _ADDRESS.pack(0, 0, 0, 0, 0)):
            index = _ADDRESS.unpack_from(body)[4]
            told = dict(_attributes(body[_ADDRESS.size :]))
            if wanted == told.get(_IFA_LOCAL, told.get(_IFA_ADDRESS)):
                found.add(index)
        return found

    def close(self) -> None:
        """Ask no more."""
        self._socket.close()

    def _ask(self, kind: int, flags: int, question: bytes) -> Iterator[bytes]:
        """The bodies of the answers; none to a question that is refused."""
        self._asked += 1
        head = _HEADER.pack(_HEADER.size + len(question), kind, flags, self._asked, 0)
        self._socket.send(head + question)
        while True:
            for answer, sequence, body in _messages(self._socket.recv(_BUFFER)):
                if sequence != self._asked:
                    continue
                if answer in (_ERROR, _DONE):
                    return
                yield body
                if not flags & _DUMP:
                    return


def changes() -> socket.socket:
    """A socket that becomes readable whenever an interface, an address or a route changes."""
    told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    told.bind((0, _CHANGES))
    return told


def _messages(packet: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(packet):
        size, kind, _, sequence, _ = _HEADER.unpack_from(packet, at)
        if size < _HEADER.size:
            return
        yield kind, sequence, packet[at + _HEADER.size : at + size]
        at += -(-size // 4) * 4


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value


def _attributes(packet: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(packet):
        size, kind = _ATTRIBUTE.unpack_from(packet, at)
        if size < _ATTRIBUTE.size:
            return
        yield kind, packet[at + _ATTRIBUTE.size : at + size]
        at += -(-size // 4) * 4
