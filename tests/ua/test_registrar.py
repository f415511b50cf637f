"""The registrar: phones authenticate by digest and are reached over the flow they registered from."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest
from structlog.testing import capture_logs

from proxy.sip.message import Response
from proxy.sip.values import NameAddr
from proxy.transport.flow import ListenOn, Target
from proxy.ua.registrar import Phone, Registrar
from tests.kit import messages
from tests.ua.phones import ALICE, a_registrar, start_phone
from tests.ua.user_agent import EDGE, HOST, STRANGER, UserAgent

OUTBOUND = '<sip:alice@192.168.1.7:5060;ob>;reg-id={};+sip.instance="<urn:uuid:0001>"'


@pytest.fixture
def registrar(ua: UserAgent) -> Registrar:
    return a_registrar(ua)


def contacts(response: Response) -> list[tuple[str, str | None]]:
    """URI and expiry of every Contact in a response."""
    found = [NameAddr.parse(value) for value in response.headers.split("Contact")]
    return [(each.raw_uri, each.params.get("expires")) for each in found]


def uris(registrar: Registrar, name: str = "alice") -> list[str]:
    return [each.uri for each in registrar.reachable(name)]


async def test_a_phone_at_an_unknown_address_registers_with_its_password_rfc3261_10_3(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    answer = await phone.registers()
    assert answer.status == 200
    assert contacts(answer) == [("sip:alice@192.168.1.7:5060", "300")]
    (binding,) = registrar.reachable("alice")
    assert binding.flow.remote == (STRANGER, 5060)
    assert ua.peers == {STRANGER}
    assert ua.turned_away == []
    registrar.close()


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
async def test_a_response_with_either_sha_256_or_md5_is_accepted(
    ua: UserAgent, registrar: Registrar, algorithm: str
) -> None:
    phone = await start_phone(ua)
    request = phone.register(ALICE)
    await phone.says(request)
    challenge = await phone.hears(401)
    one = [line for line in challenge.headers.get_all("WWW-Authenticate") if line.endswith(algorithm)]
    challenge.headers.set("WWW-Authenticate", one[0])
    await phone.says(phone.authorized(request, challenge))
    await phone.hears(200)
    registrar.close()


async def test_a_register_for_an_unknown_name_gets_no_response(ua: UserAgent, registrar: Registrar) -> None:
    phone = await start_phone(ua, user="bob")
    await phone.says(phone.register(ALICE))
    await phone.hears_nothing(for_s=40)
    assert ua.turned_away == [STRANGER]


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE"])
async def test_requests_other_than_register_from_an_unknown_address_get_no_response(
    ua: UserAgent, registrar: Registrar, method: str
) -> None:
    phone = await start_phone(ua)
    await phone.says(messages.request(method, "sip:alice@sbc.example.com"))
    await phone.hears_nothing(for_s=40)


async def test_without_configured_phones_a_register_gets_no_response(ua: UserAgent) -> None:
    phone = await start_phone(ua)
    await phone.says(phone.register(ALICE))
    await phone.hears_nothing(for_s=40)


async def test_a_phone_may_be_restricted_to_networks(ua: UserAgent) -> None:
    registrar = a_registrar(ua, Phone("alice", "pw", (ip_network("10.0.0.0/8"),)))
    phone, near = await start_phone(ua), await start_phone(ua, address="10.1.2.3")
    await phone.says(phone.register(ALICE))
    await phone.hears_nothing(for_s=40)
    ua.strangers.add("10.1.2.3")
    assert (await near.registers()).status == 200
    registrar.close()


async def test_a_register_of_an_admitted_peer_for_an_unknown_phone_gets_404_rfc3261_10_3_step_5(
    ua: UserAgent, registrar: Registrar
) -> None:
    await ua.peer.says(messages.request("REGISTER"))
    assert (await ua.peer.hears(404)).status == 404


async def test_replayed_credentials_from_another_address_get_a_stale_challenge_rfc7616_5_5(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone, thief = await start_phone(ua), await start_phone(ua, address="192.0.2.67")
    ua.strangers.add("192.0.2.67")
    await phone.registers()
    seen = next(h.message for h in phone.heard if isinstance(h.message, Response) and h.message.status == 200)
    assert seen.status == 200
    request = phone.register(ALICE, call_id="mine")
    await phone.says(request)
    challenge = await phone.hears(401)
    good = phone.authorized(request, challenge)
    await phone.says(good)
    await phone.hears(200)
    stolen = thief.register("<sip:thief@192.0.2.67>", call_id="theirs")
    for line in good.headers.get_all("Authorization"):
        stolen.headers.add("Authorization", line)
    await thief.says(stolen)
    assert "stale=true" in ((await thief.hears(401)).headers.get("WWW-Authenticate") or "")
    assert uris(registrar) == ["sip:alice@192.168.1.7:5060"]
    registrar.close()


async def test_credentials_for_a_udp_challenge_are_valid_only_from_the_challenged_address_rfc7616_5_4(
    ua: UserAgent, registrar: Registrar
) -> None:
    """Else a phone's owner could register from a trunk's forged address, and have us call that trunk."""
    phone = await start_phone(ua)
    premium_contact = "<sip:+19005550123@carrier.example.com>"
    request = phone.register(premium_contact)
    await phone.says(request)
    forged = phone.authorized(request, await phone.hears(401))
    await ua.peer.says(forged)
    assert "stale=true" in ((await ua.peer.hears(401)).headers.get("WWW-Authenticate") or "")
    assert uris(registrar) == []
    proofs = tuple(("Authorization", line) for line in forged.headers.get_all("Authorization"))
    await phone.says(phone.register(premium_contact, headers=proofs))
    await phone.hears(200)
    registrar.close()


async def test_credentials_from_a_new_address_are_challenged_once_more(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone, elsewhere = await start_phone(ua), await start_phone(ua, address="192.0.2.67", transport="tcp")
    ua.strangers.add("192.0.2.67")
    request = phone.register(ALICE)
    await phone.says(request)
    await elsewhere.says(phone.authorized(request, await phone.hears(401)))
    stale = await elsewhere.hears(401)
    elsewhere.credentials = phone.credentials
    await elsewhere.says(elsewhere.authorized(request, stale))
    await elsewhere.hears(200)
    registrar.close()


async def test_an_expired_nonce_of_a_registered_phone_is_challenged_with_stale_true_rfc7616_3_3(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    request = phone.register(ALICE)
    await phone.says(request)
    challenge = await phone.hears(401)
    await asyncio.sleep(301)
    again = phone.authorized(request, challenge)
    await phone.says(again)
    stale = await phone.hears(401)
    assert "stale=true" in (stale.headers.get("WWW-Authenticate") or "")
    await phone.says(phone.authorized(again, stale))
    await phone.hears(200)
    assert ua.failures == []
    registrar.close()


# What a REGISTER changes.


async def test_several_contacts_are_kept_and_reached_in_order_of_q_rfc3261_10_3(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    await phone.registers("<sip:alice@192.168.1.7:5060>;q=0.3", "<sip:alice@192.168.1.8>;q=0.9;expires=120")
    answer = await phone.registers("<sip:alice@192.168.1.9>;q=0.5", call_id="reg2")
    assert dict(contacts(answer)) == {
        "sip:alice@192.168.1.7:5060": "300",
        "sip:alice@192.168.1.8": "120",
        "sip:alice@192.168.1.9": "300",
    }
    assert [uri[-6:] for uri in uris(registrar)] == ["68.1.8", "68.1.9", "7:5060"]
    registrar.close()


async def test_a_register_without_contact_returns_the_current_bindings_rfc3261_10_2_3(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    await phone.registers()
    await asyncio.sleep(100)
    request = phone.register(call_id="reg2")
    await phone.says(request)
    await phone.says(phone.authorized(request, await phone.hears(401)))
    assert contacts(await phone.hears(200)) == [("sip:alice@192.168.1.7:5060", "200")]
    registrar.close()


async def test_expires_0_removes_that_contact_only_rfc3261_10_2_2(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    await phone.registers(ALICE, "<sip:alice@192.168.1.8>")
    answer = await phone.registers("<sip:ALICE@192.168.1.8>", f"{ALICE};expires=0")
    assert contacts(answer) == [("sip:alice@192.168.1.8", "300"), ("sip:ALICE@192.168.1.8", "300")]
    registrar.close()


async def test_contact_star_with_expires_0_removes_all_contacts_rfc3261_10_2_2(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    await phone.registers(ALICE, "<sip:alice@192.168.1.8>")
    answer = await phone.registers("*", expires=0)
    assert (answer.status, contacts(answer), uris(registrar)) == (200, [], [])
    await phone.says(messages.request("OPTIONS"))
    await phone.hears_nothing(for_s=40)  # no longer a known peer


@pytest.mark.parametrize(("given", "expires"), [(("*",), 3600), (("*",), None), (("*", ALICE), 0)])
async def test_contact_star_with_other_contacts_or_expires_gets_400_rfc3261_10_3_step_6(
    ua: UserAgent, registrar: Registrar, given: tuple[str, ...], expires: int | None
) -> None:
    phone = await start_phone(ua)
    await phone.registers()
    assert (await phone.registers(*given, expires=expires, call_id="reg2")).status == 400
    assert len(uris(registrar)) == 1
    registrar.close()


@pytest.mark.parametrize(
    ("transport", "given", "expires", "kept"),
    [
        ("tcp", ALICE, None, "3600"),
        ("tcp", ALICE, 600, "600"),
        ("tcp", ALICE, 100_000, "3600"),
        ("tcp", f"{ALICE};expires=90", 600, "90"),
        ("tcp", f"{ALICE};expires=soon", 600, "3600"),
        ("udp", ALICE, None, "300"),
        ("udp", ALICE, 3600, "300"),
        ("udp", ALICE, 299, "299"),
        ("udp", f"{ALICE};expires=3600", 90, "300"),
    ],
)
async def test_the_expiry_of_a_binding_follows_expires_within_the_limit_of_its_transport_rfc3261_10_2_1_1(
    ua: UserAgent, registrar: Registrar, transport: str, given: str, expires: int | None, kept: str
) -> None:
    """Shorter over UDP than requested: only a refresh tells such a phone that we lost its binding."""
    phone = await start_phone(ua, transport=transport)
    assert contacts(await phone.registers(given, expires=expires))[0][1] == kept
    await asyncio.sleep(int(kept) - 1)
    assert uris(registrar)
    await asyncio.sleep(2)
    assert uris(registrar) == []
    await ua.assert_clean()


async def test_an_expiry_below_the_minimum_gets_423_with_min_expires_rfc3261_10_2_8(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    answer = await phone.registers(expires=59)
    assert (answer.status, answer.headers.get("Min-Expires")) == (423, "60")
    assert uris(registrar) == []


@pytest.mark.parametrize("contact", ["<tel:+14155550100>", "<mailto:a@b>"])
async def test_a_contact_that_is_not_a_sip_uri_gets_400(
    ua: UserAgent, registrar: Registrar, contact: str
) -> None:
    phone = await start_phone(ua)
    assert (await phone.registers(contact)).status == 400


@pytest.mark.parametrize(
    ("contact", "shown", "called"),
    [
        ("sip:alice@desk;new", "sip:alice@desk", "sip:alice@desk"),
        ("<sip:alice@desk;new>", "sip:alice@desk;new", "sip:alice@desk;new"),
        ("<sip:alice@desk?Route=%3Csip:b%3E>", "sip:alice@desk?Route=%3Csip:b%3E", "sip:alice@desk"),
    ],
)
async def test_contact_headers_are_kept_but_left_out_of_the_target_rfc4475_3_3_12_to_3_3_14(
    ua: UserAgent, registrar: Registrar, contact: str, shown: str, called: str
) -> None:
    phone = await start_phone(ua)
    answer = await phone.registers(contact)
    assert (answer.status, contacts(answer)) == (200, [(shown, "300")])
    assert uris(registrar) == [called]
    registrar.close()


async def test_credentials_of_an_unknown_scheme_are_challenged_as_missing_rfc4475_3_3_7(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    await phone.says(phone.register(ALICE, headers=(("Authorization", "Unheardof token=there"),)))
    await phone.hears(401)


async def test_one_invalid_contact_rejects_the_whole_register_rfc3261_10_3_step_7(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    assert (await phone.registers(ALICE, "<sip:alice@192.168.1.8>;expires=1")).status == 423
    assert (await phone.registers(ALICE, "<sip:alice")).status == 400
    assert uris(registrar) == []


async def test_a_register_with_a_lower_cseq_of_the_same_call_id_gets_500_rfc3261_10_3_step_7(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    assert (await phone.registers(cseq=10, then=11)).status == 200
    assert (await phone.registers(f"{ALICE};expires=0", cseq=5, then=6)).status == 500
    assert (await phone.registers("*", expires=0, cseq=7, then=8)).status == 500
    assert len(uris(registrar)) == 1
    assert (await phone.registers("*", expires=0, call_id="reg2", cseq=1, then=2)).status == 200
    assert uris(registrar) == []


async def test_above_the_contact_limit_the_first_to_expire_is_removed(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    for number in range(12):
        await phone.registers(f"<sip:alice@192.168.1.{number + 1}>", call_id=f"reg{number}")
        await asyncio.sleep(10)
    assert sorted(uris(registrar)) == sorted(f"sip:alice@192.168.1.{number}" for number in range(3, 13))
    registrar.close()


async def test_above_the_contact_limit_the_newest_contact_is_always_kept_rfc3261_10_3_step_8(
    ua: UserAgent, registrar: Registrar
) -> None:
    """A phone that restarts repeatedly leaves contacts that expire later than its newest one."""
    phone = await start_phone(ua)
    for number in range(10):
        await phone.registers(f"<sip:alice@192.168.1.{number + 1}>", call_id=f"reg{number}")
    answer = await phone.registers("<sip:alice@192.168.1.99>", call_id="last", expires=60)
    assert "sip:alice@192.168.1.99" in uris(registrar)
    assert len(uris(registrar)) == 10
    assert "192.168.1.99" in str(answer.headers.get_all("Contact"))
    registrar.close()


# Flows.


async def test_a_binding_is_removed_when_its_connection_is_lost_rfc5626_5_3(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua, transport="tcp")
    await phone.registers()
    (flow,) = ua.wire.flows()
    assert len(uris(registrar)) == 1
    ua.wire.cut(flow)
    assert uris(registrar) == []
    await ua.assert_clean()


async def test_outbound_is_granted_with_require_and_flow_timer_rfc5626_6(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua, transport="tcp")
    answer = await phone.registers(OUTBOUND.format(1), headers=(("Supported", "path, outbound"),))
    assert answer.headers.get("Require") == "outbound"
    assert answer.headers.get("Flow-Timer") == "120"
    assert answer.headers.get("Supported") == "outbound"
    assert 'reg-id=1;+sip.instance="<urn:uuid:0001>"' in (answer.headers.get("Contact") or "")
    registrar.close()


async def test_a_register_with_the_same_instance_and_reg_id_replaces_the_binding_rfc5626_6(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua, transport="tcp")
    await phone.registers(OUTBOUND.format(1))
    await phone.registers(OUTBOUND.format(2))
    (flow,) = ua.wire.flows()
    flow.close()
    await asyncio.sleep(1)
    assert uris(registrar) == []
    await phone.registers(OUTBOUND.format(1), call_id="reg2")
    await phone.registers(OUTBOUND.format(1).replace("1.7", "1.9"), call_id="reg3")
    assert uris(registrar) == ["sip:alice@192.168.1.9:5060;ob"]
    registrar.close()


async def test_require_outbound_is_accepted_and_require_path_gets_420_rfc3261_8_2_2_3(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    assert (await phone.registers(OUTBOUND.format(1), headers=(("Require", "outbound"),))).status == 200
    await phone.says(phone.register(ALICE, headers=(("Require", "path"),), call_id="reg2"))
    assert (await phone.hears(420)).headers.get("Unsupported") == "path"
    registrar.close()


async def test_outbound_through_a_proxy_gets_439_rfc5626_6(ua: UserAgent, registrar: Registrar) -> None:
    phone = await start_phone(ua)
    request = phone.register(OUTBOUND.format(1))
    await phone.says(request)
    again = phone.authorized(request, await phone.hears(401))
    again.headers.add("Via", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKinner")
    await phone.says(again)
    await phone.hears(439)


async def test_two_reg_ids_in_one_register_get_400_rfc5626_4_2(ua: UserAgent, registrar: Registrar) -> None:
    phone = await start_phone(ua)
    assert (await phone.registers(OUTBOUND.format(1), OUTBOUND.format(2))).status == 400


async def test_a_phone_registered_over_udp_gets_keep_alives_until_it_expires(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    await phone.registers(expires=60)
    began = len(ua.wire.trace)
    await asyncio.sleep(200)
    pings = [each.at for each in ua.wire.trace[began:] if each.data == b"\r\n\r\n"]
    assert len(pings) == 2
    await ua.assert_clean()


# What a registered phone may do.


async def test_options_of_a_registered_phone_gets_200_and_its_invite_403(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    await phone.registers()
    await phone.says(messages.request("OPTIONS", call_id="ping"))
    await phone.hears(200)
    with capture_logs() as logs:
        await phone.says(messages.invite("sip:+19005550100@sbc.example.com"))
        await phone.hears(403)
    assert ua.invitations.empty()
    assert logs == [
        {
            "event": "phone may not call out",
            "log_level": "warning",
            "phone": "alice",
            "why": "phones are called, and call nobody",
        }
    ]
    registrar.close()


async def test_a_registered_phone_is_known_by_its_flow_and_not_by_its_address(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua, transport="tcp")
    await phone.registers()
    before = len(phone.heard)
    await phone.network.listen(ListenOn("udp", (STRANGER, 5060)))
    udp = await phone.network.connect(Target("udp", (EDGE, 5060), HOST))
    await phone.says(messages.request("OPTIONS"), flow=udp)
    await asyncio.sleep(40)
    assert len(phone.heard) == before
    registrar.close()


async def test_each_registration_change_is_logged_once(ua: UserAgent, registrar: Registrar) -> None:
    phone = await start_phone(ua)
    with capture_logs() as logs:
        await phone.registers()
        await asyncio.sleep(30)
        await phone.registers()
        await phone.registers(expires=0)
        await phone.registers(expires=60)
        await asyncio.sleep(100)
    assert [each["event"] for each in logs] == [
        "phone registered",
        "phone unregistered",
        "phone registered",
        "phone unregistered",
    ]
    assert registrar.contact_counts() == {"alice": 0}


async def test_the_old_connection_of_a_phone_is_closed_after_it_registered_over_a_new_one_rfc5626_5_3(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua, transport="tcp")
    assert (await phone.registers()).status == 200
    first = await phone.flow()
    second = await phone.network.connect(Target("tcp", (EDGE, 5060), "another.example"))
    assert second is not first
    request = phone.register(ALICE)
    await phone.says(request, flow=second)
    await phone.says(phone.authorized(request, await phone.hears(401)), flow=second)
    await phone.hears(200)
    await asyncio.sleep(60)
    assert first.closed
    assert not second.closed
    assert uris(registrar) == ["sip:alice@192.168.1.7:5060"]
    registrar.close()


async def test_many_phones_behind_one_nat_can_register_at_once(ua: UserAgent, registrar: Registrar) -> None:
    phone = await start_phone(ua)
    for _ in range(60):
        assert (await phone.registers()).status == 200
        registrar.close()  # as if each were a new, unknown phone
    assert ua.turned_away == []
