"""Authenticated peers: every way of proving an identity is tried, in order."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.sip.message import Request
from proxy.transport.flow import Flow, Target
from proxy.ua.authenticated_peers import AuthenticatedPeers, AuthResult
from proxy.ua.transactions import ServerTransaction
from tests.kit import messages
from tests.ua.user_agent import PEER, UserAgent


@dataclass
class OneDoor:
    """One authenticator, with results set by the test; records the calls made to it."""

    meeting: AuthResult
    known: bool = False
    taken: bool = False
    heard: list[str] = field(default_factory=list)

    def knows(self, flow: Flow) -> bool:
        return self.known

    def trunk(self, flow: Flow) -> str | None:
        return "carrier" if self.known else None

    def authenticate(self, request: Request, flow: Flow, size_bytes: int) -> AuthResult:
        self.heard.append(f"meets {size_bytes}")
        return self.meeting

    def lacks_credentials(self, request: Request, flow: Flow) -> bool:
        return self.known and not self.taken

    def handle(self, transaction: ServerTransaction) -> bool:
        return self.taken

    def lost(self, flow: Flow) -> None:
        self.heard.append("lost")


async def test_the_first_door_that_answers_has_the_stranger(ua: UserAgent) -> None:
    peers = AuthenticatedPeers()
    flow = await ua.network.connect(Target("udp", (PEER, 5060), PEER))
    assert not peers.admit(messages.invite(), flow, 7, ua)
    assert ua.turned_away == [PEER]
    ignoring, asking, last = (
        OneDoor(each) for each in (AuthResult.IGNORED, AuthResult.HANDLED, AuthResult.ADMITTED)
    )
    for authenticator in (ignoring, asking, last):
        peers.add(authenticator)
    assert not peers.admit(messages.invite(), flow, 7, ua)
    assert ua.turned_away == [PEER]
    assert (ignoring.heard, asking.heard, last.heard) == (["meets 7"], ["meets 7"], [])
    asking.meeting = AuthResult.IGNORED
    assert peers.admit(messages.invite(), flow, 7, ua)


async def test_one_door_that_knows_a_peer_is_enough_and_all_hear_of_a_lost_connection(ua: UserAgent) -> None:
    peers = AuthenticatedPeers()
    flow = await ua.network.connect(Target("udp", (PEER, 5060), PEER))
    one, other = OneDoor(AuthResult.IGNORED), OneDoor(AuthResult.IGNORED, known=True)
    peers.add(one)
    assert not peers.knows(flow)
    peers.add(other)
    assert peers.knows(flow)
    peers.lost(flow)
    assert one.heard == other.heard == ["lost"]
