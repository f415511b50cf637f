"""Where responses go (RFC 3261 §18.2): noted in the Via, or a new connection if the old one is gone."""

from __future__ import annotations

from collections.abc import Callable

from proxy.sip.message import Request
from proxy.sip.values import parse_top_via
from proxy.transport.flow import Flow, Network, Target, TransportFailed
from proxy.ua.route import DEFAULT_PORTS, verified_name


class DisconnectedFlow:
    """Stands in for a lost flow while it is replaced: queues what is sent."""

    reliable = True
    closed = False
    mutual = False
    received_count = 1

    def __init__(self, flow: Flow) -> None:
        self.transport, self.local, self.remote = flow.transport, flow.local, flow.remote
        self.peer_name, self.peer_names = flow.peer_name, flow.peer_names
        self._waiting: list[bytes] = []

    def when_closed(self, then: Callable[[], None]) -> None:
        """Never called: the stand-in is replaced before that."""

    def send(self, data: bytes) -> None:
        """Queue it for the new flow."""
        self._waiting.append(data)

    def close(self) -> None:
        """Nothing to close."""

    def fail(self, why: TransportFailed) -> None:
        """It has failed already."""

    async def reconnect(self, network: Network, request: Request, profile: str) -> Flow:
        """Connect to the request's sender, send what is queued, return the flow; raises TransportFailed."""
        flow = await network.connect(response_target(request, self, profile))
        for data in self._waiting:
            flow.send(data)
        return flow


def response_target(request: Request, flow: Flow, profile: str) -> Target:
    """The address the request came from, at the port where its sender listens."""
    via = request.via
    address = (flow.remote[0], via.port or DEFAULT_PORTS[flow.transport])
    return Target(flow.transport, address, verified_name(flow) or via.host.strip("[]"), profile)


def add_source(request: Request, flow: Flow) -> None:
    """Add `received` and `rport` to the top Via, where they are needed (§18.2.1, RFC 3581 §4)."""
    host, port = flow.remote
    line = request.headers.first.get("via", "")
    top = parse_top_via(line) if line and "," not in line else request.top_via
    if top.branch_only and top.host == host:
        return  # sent-by is already the source
    rport_index = top.rport_index
    if rport_index and "," not in line:  # fast path with the same result as below; covers nearly all peers
        seen_from = f"{line[:rport_index]}={port}{line[rport_index:]};received={host.partition('%')[0]}"
        return request.headers.rewrite("Via", seen_from)
    via = request.via
    seen = via.seen_from(host, port)
    if seen is not via:
        request.headers.pop_first("Via")
        request.headers.prepend("Via", str(seen))
