"""Where in-dialog requests go: the dialog's flow, or a new one of the same transport."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache

from proxy.sip.dialog import TARGET_REFRESH
from proxy.sip.uri import Uri
from proxy.transport.flow import Address, Flow, Network, Target, TransportFailed
from proxy.transport.identity import numeric
from proxy.transport.resolver import host_to_resolve

_SHARED = ipaddress.ip_network("100.64.0.0/10")
"""Addresses behind a carrier's NAT (RFC 6598)."""

TARGET_TIMEOUT_S = 4.0
"""Seconds without any response, even 100, before the next target, or the phone's next flow, is tried.

The last target has all of Timer B. RFC 3263 §4.3 would wait that long for each: 32 s of silence, after which
the caller is gone.
"""
DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}


def leads_to_next_hop(flow: Flow, next_hop: str, *, kept: bool = False) -> bool:
    """Whether the dialog's flow leads to its next hop (RFC 3261 §12.2.1.1, RFC 5626 §5.3).

    A connection always does. A datagram follows the route set, except that a private address seen from
    outside belongs to a peer behind a NAT, reachable only where it sends from; likewise a registered phone
    (`kept`).
    """
    if flow.closed:
        return False
    return flow.reliable or kept or _leads(flow.transport, flow.remote, next_hop)


def dialog_flow(flow: Flow, came_over: Flow, method: str, *, kept: bool) -> Flow:
    """The flow of a dialog after its peer has sent a request over another one.

    A target refresh moves the dialog: behind a NAT the source is the only sign of where the peer is. A
    connection serves both ends while it is open, unless it is a registered phone's (`kept`).
    """
    if flow.closed or (method in TARGET_REFRESH and (kept or not flow.reliable)):
        return came_over
    return flow


@lru_cache(maxsize=4096)
def _leads(transport: str, remote: Address, next_hop: str) -> bool:
    uri = Uri.parse(next_hop)
    try:
        host = ipaddress.ip_address(host_to_resolve(uri).strip("[]"))
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
    prefer: Address | None = None,
    avoid: Collection[Address] = (),
) -> Flow:
    """A flow to the next hop over `transport`, whatever the URI says: to the first address that answers.

    OpenAI's Contact names no transport, for which RFC 3263 alone would choose UDP; a dialog keeps the
    transport it began with. `profile`: name of the TLS profile. `peer`: the certified name of whoever gave us
    the next hop; if that is a bare address, which no certificate names, the same name must be certified
    again. `prefer`: the dialog's address so far, preferred among those of a name since only it knows the
    dialog. `avoid`: addresses that were tried.
    """
    uri = Uri.parse(next_hop)
    if not uri.host:
        raise TransportFailed(f"a {uri.scheme} URI leads to no host")
    if transport is not None:
        uri = Uri("sip", uri.user, None, uri.host, uri.port, uri.params.with_("transport", transport))
    error = TransportFailed(f"{uri.host}: no address")
    targets = _untried(await network.resolve(uri, profile), avoid)
    for target in sorted(targets, key=lambda each: each.address != prefer):
        named = replace(target, name=peer) if peer and numeric(target.name) else target
        try:
            return await network.connect(named)
        except TransportFailed as failure:
            error = failure
    raise error


def _untried(targets: list[Target], tried: Collection[Address]) -> list[Target]:
    """The targets not tried; none if what was tried is none of their hosts, but a NAT's, say."""
    hosts = {host for host, _ in tried}
    if tried and not any(target.address[0] in hosts for target in targets):
        return []
    return [target for target in targets if target.address not in tried]


def verified_name(flow: Flow) -> str | None:
    """The peer's name as verified in its certificate, if any."""
    return flow.peer_name or min(flow.peer_names, default=None)


def _behind_nat(host: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return (host.is_private and not host.is_loopback) or host in _SHARED
