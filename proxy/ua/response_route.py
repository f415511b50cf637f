"""The way back of an answer: noted in the request, made anew if its connection is gone (RFC 3261 §18.2)."""

from __future__ import annotations

from collections.abc import Callable

from proxy.sip.message import Request
from proxy.sip.values import top_of
from proxy.transport.flow import Flow, Network, Target, TransportFailed
from proxy.ua.route import DEFAULT_PORTS, proven


class Interrupted:
    """Stands in for a flow while another is made: what is sent waits."""

    reliable = True
    closed = False
    mutual = False
    heard = 1

    def __init__(self, flow: Flow) -> None:
        self.transport, self.local, self.remote = flow.transport, flow.local, flow.remote
        self.peer_name, self.peer_names = flow.peer_name, flow.peer_names
        self._waiting: list[bytes] = []

    def when_closed(self, then: Callable[[], None]) -> None:
        """It does not last so long."""

    def send(self, data: bytes) -> None:
        """Keep it for the flow to come."""
        self._waiting.append(data)

    def close(self) -> None:
        """Nothing to close."""

    def fail(self, why: TransportFailed) -> None:
        """It has failed already."""

    async def replaced(self, network: Network, request: Request, profile: str) -> Flow:
        """A flow to the sender of the request, who has been told what waited; raises TransportFailed."""
        flow = await network.connect(way_back(request, self, profile))
        for data in self._waiting:
            flow.send(data)
        return flow


def way_back(request: Request, flow: Flow, profile: str) -> Target:
    """The address that the request came from, at the port where its sender listens."""
    via = request.via
    address = (flow.remote[0], via.port or DEFAULT_PORTS[flow.transport])
    return Target(flow.transport, address, proven(flow) or via.host.strip("[]"), profile)


def stamp(request: Request, flow: Flow) -> None:
    """Note in the top Via where the request really came from."""
    host, port = flow.remote
    line = request.headers.first.get("via", "")
    top = top_of(line) if line and "," not in line else request.top
    if top.bare and top.host == host:
        return  # it says itself where it came from
    gap = top.gap
    if gap and "," not in line:  # the same as below, for nearly everybody
        seen_from = f"{line[:gap]}={port}{line[gap:]};received={host.partition('%')[0]}"
        return request.headers.rewrite("Via", seen_from)
    via = request.via
    seen = via.seen_from(host, port)
    if seen is not via:
        request.headers.pop_first("Via")
        request.headers.prepend("Via", str(seen))
