"""The lab's phone: digest challenges, ringing, busy, and headers that must not reach it."""

import pytest

from proxy.lab.message_templates import SIGNALWIRE_SDP, sdp
from proxy.lab.peer import Peer
from proxy.lab.peer_call import PeerCall
from proxy.lab.phone import Phone
from proxy.sip.digest import DigestClient
from proxy.sip.headers import Headers
from tests.kit.network import Wire
from tests.kit.user_agents import OFFER, PHONE, Voice, calls, peer, plain

pytestmark = pytest.mark.virtual


async def with_credentials(edge: Peer, phone: Phone, password="secret", **options) -> PeerCall:
    """Retry the challenged INVITE with credentials: same Call-ID, next CSeq (RFC 3261 §22.3)."""
    call = await calls(edge, f"sip:alice@{PHONE}", **options)
    challenge = await call.receives(407)
    again = call.request("INVITE", body=OFFER)
    again.headers = Headers([*again.headers, *DigestClient(phone.username, password).authorize(
        again, challenge, "cnonce1")])  # fmt: skip
    call.over = False
    await call.launch(again)
    return call


async def test_a_phone_challenges_the_invite_then_rings_answers_and_hangs_up():
    wire, voice = Wire(), Voice()
    edge, phone = await plain(wire), await peer(wire, Phone, PHONE, audio=voice)
    call = await with_credentials(edge, phone)
    await phone.rings()
    await call.receives(180)
    await phone.answers()
    answer = await call.receives(200)
    assert [route.uri.host for route in answer.record_routes] == ["192.0.2.70", PHONE]
    assert voice.told == [(("192.0.2.77", 31000), 0)]
    assert len(phone.calls) == 1
    assert (await phone.hangs_up()).status == 200
    await call.receives("BYE")


async def test_a_phone_reports_requests_whose_route_set_is_not_reversed():
    wire = Wire()
    edge, phone = await plain(wire), await peer(wire, Phone, PHONE)
    edge.auto.discard("ACK")
    call = await with_credentials(edge, phone)
    await phone.answers()
    answer = await call.receives(200)
    routes = [("Route", value) for value in answer.headers.split("Record-Route")]
    call._asked[next(reversed(call._asked))].resend.stop()
    await call.requests("BYE", headers=routes[::-1])
    assert phone.faults == []
    edge.auto.add("ACK")
    call = await with_credentials(edge, phone, call_id="other")
    await phone.answers()
    await call.receives(200)
    await call.requests("BYE", headers=routes)
    assert [fault.partition(" ")[0] for fault in phone.faults] == ["ACK", "BYE"]


async def test_a_phone_rejects_a_wrong_password_and_a_reused_or_unknown_nonce():
    wire = Wire()
    edge, phone = await plain(wire), await peer(wire, Phone, PHONE)
    call = await with_credentials(edge, phone, password="wrong")
    await call.receives(403)
    assert phone.faults == ["credentials: the response is wrong"]
    good = await with_credentials(edge, phone, call_id="good")
    await phone.rejects(486)
    await good.receives(486)
    replayed = [("Proxy-Authorization", good.invite.headers.get("Proxy-Authorization"))]
    again = await calls(edge, f"sip:alice@{PHONE}", headers=replayed)
    await again.receives(403)
    assert phone.faults[1:] == ["credentials: nonce count 1 was used before"]
    invented = [("Proxy-Authorization", 'Digest nonce="mine", nc=00000001')]
    await (await calls(edge, f"sip:alice@{PHONE}", headers=invented)).receives(403)
    assert "never given" in phone.faults[2]
    other = await calls(edge, f"sip:alice@{PHONE}")
    challenge = await other.receives(407)
    request = other.request("INVITE")
    other.over = False
    request.headers = Headers([*request.headers, *DigestClient("mallory", "secret").authorize(
        request, challenge, "c")])  # fmt: skip
    await other.launch(request)
    await other.receives(403)
    assert "username, realm or qop" in phone.faults[3]


async def test_a_phone_is_busy_then_answers_the_next_call_and_reports_leaked_values():
    wire = Wire()
    edge, phone = await plain(wire), await peer(wire, Phone, PHONE, challenges=False)
    first = await calls(edge, f"sip:alice@{PHONE}")
    await phone.rejects(486, headers=(("Retry-After", "10"),))
    await first.receives(486, retry_after="10", to_tag=None)
    second = await calls(edge, f"sip:alice@{PHONE}", body=sdp(SIGNALWIRE_SDP))
    await phone.answers()
    await second.receives(200)
    leaked = {fault.split("'")[1] for fault in phone.faults if "brings" in fault}
    assert leaked == {"192.0.2.13", "FreeSWITCH"}
