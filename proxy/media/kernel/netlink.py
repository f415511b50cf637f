"""Netlink queries: interfaces, their addresses, and routes to peers.

Constants are from <linux/rtnetlink.h>; see `man 7 rtnetlink`. These queries need no privileges.
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
_ERROR_CODE = struct.Struct("=i")  # struct nlmsgerr

REQUEST, DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_SRC, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_VIA = 1, 2, 4, 5, 7, 18
_UNICAST, _LOCAL = 1, 2  # rtm_type
_CHANGES = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x40000
"""RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV4_RULE, _IPV6_IFADDR, _IPV6_ROUTE; RTNLGRP_IPV6_RULE."""

_ETHERNET, _LOOPBACK = 1, 772  # <linux/if_arp.h>
_KIND = 0x3FFF
_PATIENCE_S = 1.0
_BUFFER = 65536


@dataclass(frozen=True, slots=True)
class IpRoute:
    """The route for packets to an address."""

    interface: int
    """Index of the outgoing interface."""
    source: str
    """Our source address."""
    local: bool
    """The destination is an address of this machine."""


class Netlink:
    """A netlink socket for queries, in the network namespace of the process at construction."""

    def __init__(self, family: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._socket.settimeout(_PATIENCE_S)
        self._asked = 0
        self.refused = 0
        """Error number of the last query's answer; 0: none."""

    def route(self, to: str, source: str | None = None) -> IpRoute | None:
        """The route to an address, from `source` if that is fixed; None if there is none, or no unambiguous
        one.

        The kernel routes a socket's packets before they have a source address, but the program's by source
        and interface. If routing rules lead those two to different neighbours, there is no unambiguous route.
        """
        found = self._route(to, source)
        if found is None:
            return None
        route = found[0]
        return route if route.local or self._route(to, route.source, route.interface) == found else None

    def _route(self, to: str, source: str | None, interface: int = 0) -> tuple[IpRoute, bytes | None] | None:
        """The route, and its gateway if it has one."""
        where = ip_address(to)
        family = socket.AF_INET if where.version == 4 else socket.AF_INET6
        asked = attribute(_RTA_DST, where.packed)
        if source is not None:
            asked += attribute(_RTA_SRC, ip_address(source).packed)
        if interface:
            asked += attribute(_RTA_OIF, interface.to_bytes(4, sys.byteorder))
        bits = 8 * len(where.packed)
        question = _ROUTE.pack(family, bits, bits if source else 0, 0, 0, 0, 0, 0, 0) + asked
        for body in self.ask(_GETROUTE, REQUEST, question):
            kind = _ROUTE.unpack_from(body)[7]
            values = dict(attributes(body[_ROUTE.size :]))
            ours = source or (str(ip_address(values[_RTA_PREFSRC])) if _RTA_PREFSRC in values else None)
            if kind not in (_UNICAST, _LOCAL) or ours is None or _RTA_OIF not in values:
                return None
            route = IpRoute(int.from_bytes(values[_RTA_OIF], sys.byteorder), ours, kind == _LOCAL)
            return route, values.get(_RTA_GATEWAY, values.get(_RTA_VIA))
        return None

    def interfaces(self) -> dict[int, bool]:
        """Index of each interface with Ethernet frames, and whether it is the loopback interface."""
        kinds = {}
        for body in self.ask(_GETLINK, REQUEST | DUMP, _LINK.pack(0, 0, 0, 0, 0)):
            _, kind, index, _, _ = _LINK.unpack_from(body)
            kinds[index] = kind
        return {index: kind == _LOOPBACK for index, kind in kinds.items() if kind in (_ETHERNET, _LOOPBACK)}

    def interfaces_of(self, address: str) -> set[int]:
        """Indices of the interfaces with this address."""
        wanted = ip_address(address).packed
        found = set()
        for body in self.ask(_GETADDR, REQUEST | DUMP, _ADDRESS.pack(0, 0, 0, 0, 0)):
            index = _ADDRESS.unpack_from(body)[4]
            values = dict(attributes(body[_ADDRESS.size :]))
            if wanted == values.get(_IFA_LOCAL, values.get(_IFA_ADDRESS)):
                found.add(index)
        return found

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(self, kind: int, flags: int, question: bytes) -> Iterator[bytes]:
        """The bodies of the answers; none if the query is refused (see `refused`)."""
        self._asked += 1
        self.refused = 0
        head = _HEADER.pack(_HEADER.size + len(question), kind, flags, self._asked, 0)
        self._socket.send(head + question)
        while True:
            for answer, sequence, body in _messages(self._socket.recv(_BUFFER)):
                if sequence != self._asked:
                    continue
                if answer == _ERROR:
                    (error,) = _ERROR_CODE.unpack_from(body)
                    self.refused = -error
                if answer in (_ERROR, _DONE):
                    return
                yield body
                if not flags & DUMP:
                    return


def changes(family: int = socket.NETLINK_ROUTE, groups: int = _CHANGES) -> socket.socket:
    """A socket that becomes readable when an interface, address, route or routing rule changes; with other
    `family` and `groups`, on other events.
    """
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    changed = socket.socket(socket.AF_NETLINK, kind, family)
    changed.bind((0, groups))
    return changed


def _messages(packet: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(packet):
        size, kind, _, sequence, _ = _HEADER.unpack_from(packet, at)
        if size < _HEADER.size:
            return
        yield kind, sequence, packet[at + _HEADER.size : at + size]
        at += -(-size // 4) * 4


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, encoded for a query."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes of an answer: type, without flags (NLA_TYPE_MASK), and value."""
    at = 0
    while at + _ATTRIBUTE.size <= len(packet):
        size, kind = _ATTRIBUTE.unpack_from(packet, at)
        if size < _ATTRIBUTE.size:
            return
        yield kind & _KIND, packet[at + _ATTRIBUTE.size : at + size]
        at += -(-size // 4) * 4
