"""Where an in-dialog request goes: the flow its dialog lives on, or a new one of the same transport."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from functools import lru_cache

from proxy.sip.dialog import TARGET_REFRESH
from proxy.sip.uri import Uri
from proxy.transport.flow import Address, Flow, Network, TransportFailed
from proxy.transport.identity import numeric
from proxy.transport.resolver import asked_for

_SHARED = ipaddress.ip_network("100.64.0.0/10")
"""Behind a carrier's NAT (RFC 6598)."""

DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


def on_course(flow: Flow, next_hop: str, *, kept: bool = False) -> bool:
    """True if the dialog's flow leads to its next hop (RFC 3261 §12.2.1.1, RFC 5626 §5.3).

    A connection always does. A datagram goes where the route set says, save that a private address seen from
    outside is a peer behind a NAT, reached only where it came from. So is a phone on the flow that it has
    registered over (`kept`).
    """
    if flow.closed:
        return False
    return flow.reliable or kept or _leads(flow.transport, flow.remote, next_hop)


def lives_on(flow: Flow, came: Flow, method: str, *, kept: bool) -> Flow:
    """The flow of a dialog, now that a request of its peer came by another.

    One that refreshes the target says where the peer is, as its Contact does; where a NAT stands before that,
    nothing else says it. A connection serves both ends for as long as it stands, save a phone's own (`kept`).
    """
    if flow.closed or (method in TARGET_REFRESH and (kept or not flow.reliable)):
        return came
    return flow


@lru_cache(maxsize=4096)
def _leads(transport: str, remote: Address, next_hop: str) -> bool:
    uri = Uri.parse(next_hop)
    try:
        host = ipaddress.ip_address(asked_for(uri).strip("[]"))
    except ValueError:
        return False
    if host == ipaddress.ip_address(remote[0]):
        return (uri.port or DEFAULT_PORTS[transport]) == remote[1]
    return _behind_nat(host) and not _behind_nat(ipaddress.ip_address(remote[0]))


async def reach(
    network: Network,
    next_hop: str,
    transport: str | None = None,
    *,
    profile: str = "",
    peer: str | None = None,
    rather: Address | None = None,
) -> Flow:
    """A flow to the next hop, over `transport` whatever the URI says; the first address that answers.

    OpenAI's Contact names no transport, for which RFC 3263 alone would choose UDP: a dialog stays on the
    transport it began with. `profile`: on whose terms TLS is spoken. `peer`: who gave us the next hop, proven
    by a certificate; where that is a bare address, which no certificate names, it must be they again.
    `rather`: where the dialog has been so far; of a name's several addresses it is the one that knows it.
    """
    uri = Uri.parse(next_hop)
    if not uri.host:
        raise TransportFailed(f"a {uri.scheme} URI leads to no host")
    if transport is not None:
        uri = Uri("sip", uri.user, None, uri.host, uri.port, uri.params.with_("transport", transport))
    error = TransportFailed(f"{uri.host}: no address")
    for target in sorted(await network.resolve(uri, profile), key=lambda each: each.address != rather):
        named = replace(target, name=peer) if peer and numeric(target.name) else target
        try:
            return await network.connect(named)
        except TransportFailed as failure:
            error = failure
    raise error


def proven(flow: Flow) -> str | None:
    """The name by which the peer of a connection is known for certain."""
    return flow.peer_name or min(flow.peer_names, default=None)


def _behind_nat(host: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return (host.is_private and not host.is_loopback) or host in _SHARED
