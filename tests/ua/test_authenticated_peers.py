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
class FakeAuthenticator:
    """One authenticator, with results set by the test; records the calls made to it."""

    result: AuthResult
    known: bool = False
    taken: bool = False
    calls: list[str] = field(default_factory=list)

    def knows(self, flow: Flow) -> bool:
        return self.known

    def trunk(self, flow: Flow) -> str | None:
        return "carrier" if self.known else None

    def authenticate(self, request: Request, flow: Flow, size_bytes: int) -> AuthResult:
        self.calls.append(f"authenticate {size_bytes}")
        return self.result

    def lacks_credentials(self, request: Request, flow: Flow) -> bool:
        return self.known and not self.taken

    def handle(self, transaction: ServerTransaction) -> bool:
        return self.taken

    def lost(self, flow: Flow) -> None:
        self.calls.append("lost")


async def test_authenticators_are_asked_in_order_until_one_handles_the_request(ua: UserAgent) -> None:
    peers = AuthenticatedPeers()
    flow = await ua.network.connect(Target("udp", (PEER, 5060), PEER))
    assert not peers.admit(messages.invite(), flow, 7, ua)
    assert ua.turned_away == [PEER]
    ignoring, asking, last = (
        FakeAuthenticator(each) for each in (AuthResult.IGNORED, AuthResult.HANDLED, AuthResult.ADMITTED)
    )
    for authenticator in (ignoring, asking, last):
        peers.add(authenticator)
    assert not peers.admit(messages.invite(), flow, 7, ua)
    assert ua.turned_away == [PEER]
    assert (ignoring.calls, asking.calls, last.calls) == (["authenticate 7"], ["authenticate 7"], [])
    asking.result = AuthResult.IGNORED
    assert peers.admit(messages.invite(), flow, 7, ua)


async def test_one_authenticator_that_knows_the_flow_is_enough_and_all_are_told_of_its_loss(
    ua: UserAgent,
) -> None:
    peers = AuthenticatedPeers()
    flow = await ua.network.connect(Target("udp", (PEER, 5060), PEER))
    one, other = FakeAuthenticator(AuthResult.IGNORED), FakeAuthenticator(AuthResult.IGNORED, known=True)
    peers.add(one)
    assert not peers.knows(flow)
    peers.add(other)
    assert peers.knows(flow)
    peers.lost(flow)
    assert one.calls == other.calls == ["lost"]
