"""Our INVITE: its headers, and how it is rewritten after a refusal (RFC 3261 §8.1.1, §8.1.3.5, §22.2)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.sip.digest import DigestClient
from proxy.sip.message import Response
from proxy.ua.errors import LegEnded, Rejected
from proxy.ua.outgoing_invite import Outgoing
from proxy.ua.reason import EndReason
from tests.ua.user_agent import PEER, Peer, UserAgent, wait_for_ringing

CHALLENGE = 'Digest realm="trunk", nonce="n1", algorithm=MD5, qop="auth"'


async def test_our_invite_has_one_via_and_one_contact(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    _, task, invite = await ua.start_call("sip:bob@192.0.2.7:5061;transport=tls", peer)
    assert len(invite.vias) == 1
    assert str(invite.via).startswith("SIP/2.0/TLS sbc.example.com:5061;branch=z9hG4bK")
    assert invite.headers.split("Contact") == ["<sip:token1@sbc.example.com:5061;transport=tls>"]
    assert invite.headers.get("Max-Forwards") == "70"
    peer.answers(invite, 486)
    await asyncio.gather(task, return_exceptions=True)


async def test_a_challenged_invite_is_repeated_with_credentials_and_the_next_cseq_rfc3261_22_2(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call(credentials=DigestClient("u", "secret"))
    ua.peer.answers(invite, 407, headers=[("Proxy-Authenticate", CHALLENGE)])
    again = await ua.peer.hears("INVITE")
    assert (again.cseq.number, again.call_id, again.from_tag) == (2, invite.call_id, invite.from_tag)
    assert again.to_tag is None
    assert 'nonce="n1"' in again.headers.get("Proxy-Authorization")
    ua.peer.answers(again, 200)
    await task
    await asyncio.sleep(0.1)
    acks = ua.peer.all("ACK")
    assert [ack.cseq.number for ack in acks][-1] == 2
    assert acks[-1].headers.get("Proxy-Authorization") == again.headers.get("Proxy-Authorization")
    leg.end(EndReason.COMPLETED)
    bye = await ua.peer.hears("BYE")
    assert bye.cseq.number == 3
    ua.peer.answers(bye, 200)
    await ua.assert_clean()


async def test_a_401_is_answered_with_authorization(ua: UserAgent) -> None:
    _, task, invite = await ua.start_call(credentials=DigestClient("u", "secret"))
    ua.peer.answers(invite, 401, headers=[("WWW-Authenticate", CHALLENGE)])
    again = await ua.peer.hears("INVITE")
    assert "Authorization" in again.headers
    ua.peer.answers(again, 486)
    with pytest.raises(Rejected):
        await task
    await ua.assert_clean()


async def test_a_second_challenge_to_our_credentials_raises_rejected(ua: UserAgent) -> None:
    _, task, invite = await ua.start_call(credentials=DigestClient("u", "wrong"))
    ua.peer.answers(invite, 407, headers=[("Proxy-Authenticate", CHALLENGE)])
    again = await ua.peer.hears("INVITE")
    ua.peer.answers(again, 407, headers=[("Proxy-Authenticate", CHALLENGE.replace("n1", "n2"))])
    with pytest.raises(Rejected) as refusal:
        await task
    assert refusal.value.status == 407
    await ua.assert_clean()
    assert ua.peer.count("INVITE") == 2


@pytest.mark.parametrize(
    "challenge", [None, "Digest", "Basic realm=x", 'Digest realm="a", nonce="b", algorithm=X']
)
async def test_a_challenge_that_cannot_be_answered_raises_rejected(
    ua: UserAgent, challenge: str | None
) -> None:
    _, task, invite = await ua.start_call(credentials=DigestClient("u", "secret"))
    ua.peer.answers(invite, 407, headers=[("Proxy-Authenticate", challenge)] if challenge else [])
    with pytest.raises(Rejected):
        await task


async def test_a_challenge_to_a_leg_without_credentials_raises_rejected(ua: UserAgent) -> None:
    _, task, invite = await ua.start_call()
    ua.peer.answers(invite, 407, headers=[("Proxy-Authenticate", CHALLENGE)])
    with pytest.raises(Rejected):
        await task


async def test_a_challenge_to_an_ended_leg_is_not_answered(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call(credentials=DigestClient("u", "secret"))
    leg.end(EndReason.NO_ANSWER)
    ua.peer.answers(invite, 407, headers=[("Proxy-Authenticate", CHALLENGE)])
    await ua.peer.hears("ACK")
    await asyncio.gather(task, return_exceptions=True)
    await ua.assert_clean()
    assert ua.peer.count("INVITE") == 1


def as_another(response: Response) -> Outgoing | None:
    """The alternative identity to call as after a 403; none after other refusals."""
    if response.status != 403:
        return None
    return Outgoing(f"sip:bob@{PEER}:5060", "<sip:other@us.example>", credentials=DigestClient("o", "x"))


async def test_a_refused_invite_is_repeated_with_an_alternative_identity_as_a_new_request_rfc3261_21_4_4(
    ua: UserAgent,
) -> None:
    """It is a new request, not a retry; later challenges are answered as the new identity."""
    leg, task, invite = await ua.start_call(alternative=as_another)
    ua.peer.answers(invite, 403)
    again = await ua.peer.hears("INVITE")
    assert (again.from_.uri.user, again.cseq.number) == ("other", 1)
    assert again.call_id != invite.call_id
    assert again.from_tag != invite.from_tag
    assert again.body == invite.body
    ua.peer.answers(again, 407, headers=[("Proxy-Authenticate", CHALLENGE)])
    proved = await ua.peer.hears("INVITE")
    assert 'username="o"' in str(proved.headers.get("Proxy-Authorization"))
    assert (proved.call_id, proved.cseq.number) == (again.call_id, 2)
    ua.peer.answers(proved, 200)
    await task
    assert leg.credentials is not None
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 407, headers=[("Proxy-Authenticate", CHALLENGE)])
    bye = await ua.peer.hears("BYE")
    assert bye.call_id == again.call_id
    assert 'username="o"' in str(bye.headers.get("Proxy-Authorization"))
    ua.peer.answers(bye, 200)
    await ua.assert_clean()


async def test_an_alternative_identity_is_tried_once_and_only_for_its_status(ua: UserAgent) -> None:
    _, task, invite = await ua.start_call(alternative=as_another)
    ua.peer.answers(invite, 403)
    ua.peer.answers(await ua.peer.hears("INVITE"), 403)
    with pytest.raises(Rejected, match="403"):
        await task
    _, task, invite = await ua.start_call(alternative=as_another)
    ua.peer.answers(invite, 404)
    with pytest.raises(Rejected, match="404"):
        await task
    await ua.assert_clean()


async def test_after_a_180_no_alternative_identity_is_tried(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call(alternative=as_another)
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    ua.peer.answers(invite, 403)
    with pytest.raises(Rejected, match="403"):
        await task
    assert ua.peer.count("INVITE") == 1
    await ua.assert_clean()


async def test_after_the_leg_ended_no_alternative_identity_is_tried(ua: UserAgent) -> None:
    """Our CANCEL crosses the 403."""
    leg, task, invite = await ua.start_call(alternative=as_another)
    ua.peer.answers(invite, 100, to_tag=None)
    await asyncio.sleep(0.1)
    leg.end(EndReason.CALLER_LEFT)
    with pytest.raises(LegEnded):
        await task
    ua.peer.answers(await ua.peer.hears("CANCEL"), 200)
    ua.peer.answers(invite, 403)
    await ua.assert_clean()
    assert ua.peer.count("INVITE") == 1


@pytest.mark.parametrize("status", [415, 488, 606])
async def test_a_refused_offer_is_repeated_with_the_fallback_offer_rfc3261_8_1_3_5(
    ua: UserAgent, status: int
) -> None:
    leg, task, invite = await ua.start_call()
    leg.media.concedes = True
    ua.peer.answers(invite, status)
    assert (await ua.peer.hears("ACK")).via.branch == invite.via.branch
    again = await ua.peer.hears("INVITE")
    assert (again.call_id, again.cseq.number) == (invite.call_id, invite.cseq.number + 1)
    assert [what for what, _ in leg.media.calls] == ["offer", "offer"]
    ua.peer.answers(again, status)
    with pytest.raises(Rejected, match=str(status)):
        await task
    await ua.assert_clean()


async def test_after_a_180_the_fallback_offer_is_not_tried(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    leg.media.concedes = True
    ua.peer.answers(invite, 180, to_tag="far")
    ua.peer.answers(invite, 488, to_tag="far")
    with pytest.raises(Rejected, match="488"):
        await task
    await ua.assert_clean()
