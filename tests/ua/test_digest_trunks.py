"""Digest trunks: an INVITE from any address, authenticated by the trunk's password (RFC 3261 §22.2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.sip.digest import DigestClient
from proxy.sip.digest_server import DigestServer
from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow
from proxy.ua.challenger import Challenger
from proxy.ua.digest_trunks import DigestTrunks
from tests.kit import messages
from tests.ua.user_agent import HOST, STRANGER, Peer, UserAgent

CONTACT = "<sip:pbx@192.0.2.66:5060>"


@pytest.fixture
async def pbx(ua: UserAgent) -> Peer:
    challenger = Challenger(ua.core, ua, DigestServer(HOST, b"secret"))
    ua.core.authenticated_peers.add(DigestTrunks(ua, challenger, {"pbx": ("carrier", "pw")}))
    peer = Peer(ua.wire, STRANGER)
    await peer.start()
    return peer


def invite(number: int = 1, **fields: Any) -> Request:
    fields.setdefault("contact", CONTACT)
    fields.setdefault("call_id", f"call{number}")
    return messages.invite(branch=f"z9hG4bKpbx{number}", sent_by="192.0.2.66:5060", **fields)


def authorized(request: Request, challenge: Response, number: int = 2, password: str = "pw") -> Request:
    """The INVITE sent again, with credentials."""
    again = invite(number, call_id=request.call_id, cseq=request.cseq.number + 1)
    for name, value in DigestClient("pbx", password).authorize(request, challenge, "cnonce"):
        again.headers.add(name, value)
    return again


async def test_an_invite_with_valid_credentials_is_admitted_rfc3261_22_2(ua: UserAgent, pbx: Peer) -> None:
    request = invite()
    await pbx.says(request)
    challenge = await pbx.hears(401)
    assert [line.rpartition("=")[2] for line in challenge.headers.get_all("WWW-Authenticate")] == [
        "SHA-256",
        "MD5",
    ]
    assert len(challenge.encode()) <= len(request.encode())
    await pbx.says(messages.within(request, "ACK", to_tag=challenge.to_tag, branch="z9hG4bKpbx1", cseq=1))
    await pbx.says(authorized(request, challenge))
    invitation = await ua.invited()
    assert invitation.request.call_id == "call1"
    assert ua.peers == {STRANGER}
    assert ua.turned_away == []
    invitation.reply(486)
    await pbx.hears(486)


async def test_an_ack_that_matches_no_challenge_of_ours_is_reported_to_the_gate(
    ua: UserAgent, pbx: Peer
) -> None:
    await pbx.says(messages.within(invite(), "ACK", to_tag="guess", branch="z9hG4bKpbx1", cseq=1))
    await asyncio.sleep(1)
    assert ua.turned_away == [STRANGER]


async def test_the_401_is_sent_once_and_no_state_is_kept_rfc3261_26_3_2_4(ua: UserAgent, pbx: Peer) -> None:
    await pbx.says(invite())
    await asyncio.sleep(40)
    assert pbx.count(401) == 1
    assert not any(ua.core.left_over().values())


@pytest.mark.parametrize(
    "changes",
    [{"contact": "<sip:alice@192.0.2.66>"}, {"contact": "<sip:192.0.2.66>"}, {"contact": "<nonsense"}],
)
async def test_an_invite_whose_contact_and_from_match_no_trunk_gets_no_response(
    ua: UserAgent, pbx: Peer, changes: dict[str, Any]
) -> None:
    await pbx.says(invite(**changes))
    await pbx.hears_nothing(for_s=40)


async def test_an_invite_whose_from_alone_matches_a_trunk_is_challenged(ua: UserAgent, pbx: Peer) -> None:
    request = invite(contact="<sip:192.0.2.66>")
    request.headers.set("From", "<sip:pbx@example.com>;tag=a1")
    await pbx.says(request)
    await pbx.hears(401)


async def test_credentials_of_an_unknown_trunk_get_no_response(ua: UserAgent, pbx: Peer) -> None:
    request = invite()
    await pbx.says(request)
    challenge = await pbx.hears(401)
    other = invite(2)
    for name, value in DigestClient("other", "pw").authorize(request, challenge, "cnonce"):
        other.headers.add(name, value)
    await pbx.says(other)
    await pbx.hears_nothing(for_s=40)


@pytest.mark.parametrize("method", ["OPTIONS", "BYE", "CANCEL", "REGISTER", "REFER"])
async def test_requests_other_than_invite_are_not_challenged(ua: UserAgent, pbx: Peer, method: str) -> None:
    await pbx.says(messages.request(method, contact=CONTACT))
    await pbx.hears_nothing(for_s=40)


async def test_retransmitted_wrong_credentials_are_counted_once_and_not_answered(
    ua: UserAgent, pbx: Peer
) -> None:
    request = invite()
    await pbx.says(request)
    challenge = await pbx.hears(401)
    wrong = authorized(request, challenge, password="guess")
    with capture_logs() as logs:
        for _ in range(5):
            await pbx.says(wrong)
        await pbx.hears_nothing(for_s=40)
    assert ua.failures == [STRANGER]
    assert [each["event"] for each in logs] == ["wrong password"]
    assert ua.invitations.empty()


async def test_an_expired_nonce_is_challenged_again_with_stale_true_rfc7616_3_3(
    ua: UserAgent, pbx: Peer
) -> None:
    request = invite()
    await pbx.says(request)
    challenge = await pbx.hears(401)
    await asyncio.sleep(301)
    await pbx.says(authorized(request, challenge))
    assert "stale=true" in ((await pbx.hears(401)).headers.get("WWW-Authenticate") or "")


async def test_a_cancel_of_an_authenticated_invite_is_accepted_rfc3261_9_2(ua: UserAgent, pbx: Peer) -> None:
    request = invite()
    await pbx.says(request)
    again = authorized(request, await pbx.hears(401))
    await pbx.says(again)
    invitation = await ua.invited()
    cancelled = asyncio.get_running_loop().create_future()
    invitation.watch(lambda: cancelled.set_result(None), lambda error: None)
    await pbx.says(messages.cancel(again))
    await pbx.hears(200)
    assert cancelled.done()
    invitation.reply(487)
    await pbx.hears(487)


async def test_each_call_on_an_authenticated_flow_is_challenged_again(ua: UserAgent, pbx: Peer) -> None:
    request = invite()
    await pbx.says(request)
    await pbx.says(authorized(request, await pbx.hears(401)))
    (await ua.invited()).reply(486)
    await pbx.hears(486)
    second = invite(3)
    await pbx.says(second)
    challenge = await pbx.hears(401)
    assert ua.invitations.empty()
    await pbx.says(authorized(second, challenge, 4, password="guess"))
    await pbx.hears(401)
    assert ua.failures == [STRANGER]
    third = invite(5)
    await pbx.says(third)
    await pbx.says(authorized(third, await pbx.hears(401), 6))
    assert (await ua.invited()).request.call_id == "call5"


async def test_an_authenticated_flow_is_forgotten_after_five_minutes(ua: UserAgent, pbx: Peer) -> None:
    request = invite()
    await pbx.says(request)
    await pbx.says(authorized(request, await pbx.hears(401)))
    (await ua.invited()).reply(486)
    await asyncio.sleep(301)
    await pbx.says(messages.request("OPTIONS", call_id="ping", branch="z9hG4bKping"))
    await asyncio.sleep(40)
    assert pbx.count(200) == 0


async def test_an_authenticated_flow_is_forgotten_when_its_connection_is_lost(
    ua: UserAgent, pbx: Peer
) -> None:
    peer = Peer(ua.wire, "192.0.2.67", "tcp")
    ua.strangers.add("192.0.2.67")
    await peer.start()
    request = invite()
    await peer.says(request)
    await peer.says(authorized(request, await peer.hears(401)))
    (await ua.invited()).reply(486)
    await peer.hears(486)
    (flow,) = ua.wire.flows()
    assert ua.core.authenticated_peers.knows(flow.other)
    ua.wire.cut(flow)
    assert not ua.core.authenticated_peers.knows(flow.other)


async def test_remembered_flows_and_failures_are_bounded_in_number(
    ua: UserAgent, pbx: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.ua.digest_trunks.MAX_KNOWN", 3)
    peers = [Peer(ua.wire, f"192.0.2.{100 + number}") for number in range(5)]
    trunks = ua.core.authenticated_peers._authenticators[0]
    assert isinstance(trunks, DigestTrunks)
    for number, peer in enumerate(peers):
        ua.strangers.add(peer.address)
        await peer.start()
        request = invite(10 + 2 * number)
        await peer.says(request)
        challenge = await peer.hears(401)
        await peer.says(authorized(request, challenge, 11 + 2 * number))
        (await ua.invited()).reply(486)
        await peer.hears(486)
        for guess in range(3):
            wrong = invite(100 + 10 * number + guess)
            for name, value in DigestClient("pbx", "guess").authorize(request, challenge, "x"):
                wrong.headers.add(name, value)
            await peer.says(wrong)
    assert len(trunks._known) == 3
    assert len(trunks._counted_failures) <= 3


async def test_a_flow_maps_to_the_trunk_it_authenticated_as_for_five_minutes(
    ua: UserAgent, pbx: Peer
) -> None:
    request = invite()
    await pbx.says(request)
    await pbx.says(authorized(request, await pbx.hears(401)))
    invitation = await ua.invited()
    assert ua.core.authenticated_peers.trunk(invitation.flow) == "carrier"
    invitation.reply(486)
    await asyncio.sleep(301)
    assert ua.core.authenticated_peers.trunk(invitation.flow) is None


async def test_an_unauthenticated_invite_does_not_count_towards_the_trunks_rate_limit(
    ua: UserAgent, pbx: Peer
) -> None:
    counted: list[Flow] = []
    ua.core._admission.overload_wait_s = lambda flow: counted.append(flow)  # type: ignore[func-returns-value]
    for number in (1, 11, 21):
        request = invite(number)
        await pbx.says(request)
        challenge = await pbx.hears(401)
        await pbx.says(
            messages.within(request, "ACK", to_tag=challenge.to_tag, branch=f"z9hG4bKpbx{number}", cseq=1)
        )
        await pbx.says(authorized(request, challenge, number + 1))
        (await ua.invited()).reply(486)
        await pbx.hears(486)
    assert len(counted) == 3
