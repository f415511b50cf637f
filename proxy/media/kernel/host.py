"""Checks for host configuration that treats packets from a socket differently from those that our program
sends. Such packets must be sent from the socket.

That is policy routing by more than addresses, IPsec, and NAT. Constants are from <linux/fib_rules.h>,
<linux/xfrm.h> and <linux/netfilter/nfnetlink_conntrack.h>.
"""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import ip_address
from pathlib import Path

from proxy.media.kernel.netlink import DUMP, REQUEST, Netlink, attribute, attributes, changes
from proxy.media.udp import Address

_GETRULE = 34
_RULE = struct.Struct("=8BI")  # struct fib_rule_hdr
_BY_MORE = {10: "fwmark", 17: "oif", 19: "l3mdev", 20: "uidrange", 22: "ipproto", 23: "sport", 24: "dport"}
"""Attributes (FRA_…) of routing rules that we cannot query by, or that the program's packets do not have."""

_NETLINK_XFRM, _GETSPDINFO, _SPD_INFO = 6, 0x25, 1
_POLICY_CHANGES = 0x8
_COUNTS = struct.Struct("=3I")  # start of struct xfrmu_spdinfo: in, out, forwarded

_NETLINK_NETFILTER, _CT_GET = 12, 1 << 8 | 1
_TUPLE, _STATUS = 1, 3
_TRANSLATED = 0x10 | 0x20  # IPS_SRC_NAT, IPS_DST_NAT
_NESTED = 0x8000
_TRACKED = Path("/proc/sys/net/netfilter/nf_conntrack_count")


class Host:
    """The host's configuration, in the network namespace of the process at construction."""

    def __init__(self, routes: Netlink) -> None:
        self._routes = routes
        self._ipsec, self._tracking = _family(_NETLINK_XFRM), _family(_NETLINK_NETFILTER)

    def obstacle(self) -> str | None:
        """Why nothing may be forwarded in the kernel, in words for people; None: no reason."""
        for family in (socket.AF_INET, socket.AF_INET6):
            for body in self._routes.ask(_GETRULE, REQUEST | DUMP, _RULE.pack(family, *[0] * 8)):
                for kind, _ in attributes(body[_RULE.size :]):
                    if kind in _BY_MORE:
                        return f"a rule of routing goes by {_BY_MORE[kind]} (see `ip rule`)"
        if self._policies():
            return "packets may have to be encrypted by IPsec (see `ip xfrm policy`)"
        return None

    def translates(self, ours: Address, peer: Address) -> bool:
        """Whether NAT rewrites the source of what we send to a peer, or might."""
        tracking = self._tracking
        if tracking is None:
            return _tracks()
        source, to = ip_address(ours[0]), ip_address(peer[0])
        first = 1 if to.version == 4 else 3
        ip = attribute(first, source.packed) + attribute(first + 1, to.packed)
        udp = attribute(1, bytes([socket.IPPROTO_UDP]))
        udp += attribute(2, struct.pack("!H", ours[1])) + attribute(3, struct.pack("!H", peer[1]))
        tuple_ = attribute(_NESTED | _TUPLE, attribute(_NESTED | 1, ip) + attribute(_NESTED | 2, udp))
        family = socket.AF_INET if to.version == 4 else socket.AF_INET6
        try:
            for body in tracking.ask(_CT_GET, REQUEST, struct.pack("=BBH", family, 0, 0) + tuple_):
                status = dict(attributes(body[4:])).get(_STATUS, b"")
                return bool(int.from_bytes(status, "big") & _TRANSLATED)
        except OSError:
            return True
        return tracking.refused != errno.ENOENT and _tracks()

    def changes(self) -> socket.socket | None:
        """A socket that becomes readable when `obstacle` may have changed. None: without IPsec, only routing
        rules matter, and `netlink.changes` covers them.
        """
        return None if self._ipsec is None else changes(_NETLINK_XFRM, _POLICY_CHANGES)

    def close(self) -> None:
        """Close the netlink sockets."""
        for each in (self._ipsec, self._tracking):
            if each is not None:
                each.close()

    def _policies(self) -> bool:
        if self._ipsec is None:
            return False
        for body in self._ipsec.ask(_GETSPDINFO, REQUEST, bytes(4)):
            counts = dict(attributes(body[4:])).get(_SPD_INFO, b"")
            return len(counts) < _COUNTS.size or any(_COUNTS.unpack_from(counts))
        return True  # no answer: assume that there are


def _family(number: int) -> Netlink | None:
    """A netlink socket; None if the kernel lacks this protocol. Raises OSError if it cannot be opened."""
    try:
        return Netlink(number)
    except OSError as error:
        if error.errno != errno.EPROTONOSUPPORT:
            raise
        return None


def _tracks() -> bool:
    """Whether connection tracking is active, so that NAT is possible."""
    try:
        return int(_TRACKED.read_text(encoding="ascii")) > 0
    except (OSError, ValueError):
        return False
