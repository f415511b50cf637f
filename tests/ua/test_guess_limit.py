"""A registered phone that tries the passwords of other accounts is barred from them, and nobody else is."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from proxy.sip.digest import DigestClient
from proxy.transport.flow import Target
from proxy.ua.guess_limit import FORGIVEN_S, MAX_GUESSES
from proxy.ua.registrar import Phone, Registrar
from tests.ua.phones import ALICE, RegisteringPhone, a_registrar, start_phone
from tests.ua.user_agent import EDGE, HOST, UserAgent

BOB = "<sip:bob@192.168.1.8:5060>"


@pytest.fixture
def registrar(ua: UserAgent) -> Registrar:
    return a_registrar(ua, Phone("alice", "pw"), Phone("bob", "pw"))


async def bob_after_ten_guesses(ua: UserAgent, transport: str = "udp") -> RegisteringPhone:
    """Bob is registered, and has tried ten wrong passwords of alice."""
    bob = await start_phone(ua, user="bob", transport=transport)
    assert (await bob.registers(BOB, call_id="bob")).status == 200
    bob.user, bob.credentials = "alice", DigestClient("alice", "guess")
    for number in range(MAX_GUESSES):
        assert (await bob.registers(call_id=f"guess{number}")).status == 401
    return bob


def with_right_password(phone: RegisteringPhone, user: str = "alice") -> RegisteringPhone:
    phone.user, phone.credentials = user, DigestClient(user, "pw")
    return phone


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_after_ten_wrong_passwords_for_another_account_even_the_right_one_gets_403(
    ua: UserAgent, registrar: Registrar, transport: str
) -> None:
    with capture_logs() as logs:
        bob = await bob_after_ten_guesses(ua, transport)
        with_right_password(bob)
        for _ in range(3):
            await bob.says(bob.register(call_id="right"))
            await bob.hears(403)
    assert registrar.reachable("alice") == []
    logged = [each for each in logs if each["event"] == "phone guesses passwords"]
    assert [(each["phone"], each["of"]) for each in logged] == [("bob", "alice")]
    registrar.close()


async def test_guesses_sent_at_once_on_one_nonce_are_limited_too(ua: UserAgent, registrar: Registrar) -> None:
    bob = await start_phone(ua, user="bob")
    await bob.registers(BOB, call_id="bob")
    bob.user, bob.credentials = "alice", DigestClient("alice", "guess")
    request = bob.register()
    await bob.says(request)
    challenge = await bob.hears(401)
    for number in range(50):
        bob.credentials = DigestClient("alice", f"guess{number}")
        await bob.says(bob.authorized(request, challenge))
    await asyncio.sleep(1)
    assert bob.count(403) >= 40
    registrar.close()


async def test_the_owner_of_a_guessed_account_can_register_from_behind_the_same_nat(
    ua: UserAgent, registrar: Registrar
) -> None:
    bob = with_right_password(await bob_after_ten_guesses(ua, "tls"))
    flow_of_alice = await bob.network._dial(Target("tls", (EDGE, 5061), HOST))
    for call_id in ("first", "refresh"):
        request = bob.register(ALICE, call_id=call_id)
        await bob.says(request, flow=flow_of_alice)
        await bob.says(bob.authorized(request, await bob.hears(401)), flow=flow_of_alice)
        await bob.hears(200)
    assert len(registrar.reachable("alice")) == 1
    registrar.close()


async def test_a_guessing_phone_can_register_its_own_account_but_stays_barred_from_others(
    ua: UserAgent, registrar: Registrar
) -> None:
    bob = with_right_password(await bob_after_ten_guesses(ua), "bob")
    assert (await bob.registers(BOB, call_id="bob", then=99)).status == 200
    with_right_password(bob)
    await bob.says(bob.register())
    await bob.hears(403)
    registrar.close()


async def test_the_bar_for_a_guessing_phone_ends_after_ten_minutes(
    ua: UserAgent, registrar: Registrar
) -> None:
    """As a phone with two accounts does, one of which had a typing error."""
    bob = with_right_password(await bob_after_ten_guesses(ua, "tls"))
    await asyncio.sleep(FORGIVEN_S)
    assert (await bob.registers()).status == 200
    assert len(registrar.reachable("alice")) == 1
    registrar.close()
