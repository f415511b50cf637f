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


async def bob_guesses(ua: UserAgent, transport: str = "udp") -> RegisteringPhone:
    """Bob is registered, and has tried ten wrong passwords of alice."""
    bob = await start_phone(ua, user="bob", transport=transport)
    assert (await bob.registers(BOB, call_id="bob")).status == 200
    bob.user, bob.credentials = "alice", DigestClient("alice", "guess")
    for number in range(MAX_GUESSES):
        assert (await bob.registers(call_id=f"guess{number}")).status == 401
    return bob


def with_the_right_one(phone: RegisteringPhone, user: str = "alice") -> RegisteringPhone:
    phone.user, phone.credentials = user, DigestClient(user, "pw")
    return phone


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_after_ten_wrong_passwords_the_right_one_is_not_found_either(
    ua: UserAgent, registrar: Registrar, transport: str
) -> None:
    with capture_logs() as logs:
        bob = await bob_guesses(ua, transport)
        with_the_right_one(bob)
        for _ in range(3):
            await bob.says(bob.register(call_id="right"))
            await bob.hears(403)
    assert registrar.reachable("alice") == []
    told = [each for each in logs if each["event"] == "phone guesses passwords"]
    assert [(each["phone"], each["of"]) for each in told] == [("bob", "alice")]
    registrar.close()


async def test_all_at_once_are_no_more_than_ten(ua: UserAgent, registrar: Registrar) -> None:
    bob = await start_phone(ua, user="bob")
    await bob.registers(BOB, call_id="bob")
    bob.user, bob.credentials = "alice", DigestClient("alice", "guess")
    asked = bob.register()
    await bob.says(asked)
    challenge = await bob.hears(401)
    for number in range(50):
        bob.credentials = DigestClient("alice", f"guess{number}")
        await bob.says(bob.authorized(asked, challenge))
    await asyncio.sleep(1)
    assert bob.count(403) >= 40
    registrar.close()


async def test_the_phone_that_is_guessed_registers_from_behind_the_same_nat(
    ua: UserAgent, registrar: Registrar
) -> None:
    bob = with_the_right_one(await bob_guesses(ua, "tls"))
    her_own = await bob.network._dial(Target("tls", (EDGE, 5061), HOST))
    for call_id in ("first", "refresh"):
        request = bob.register(ALICE, call_id=call_id)
        await bob.says(request, flow=her_own)
        await bob.says(bob.authorized(request, await bob.hears(401)), flow=her_own)
        await bob.hears(200)
    assert len(registrar.reachable("alice")) == 1
    registrar.close()


async def test_its_own_account_stays_and_a_new_registration_of_it_forgives_nothing(
    ua: UserAgent, registrar: Registrar
) -> None:
    bob = with_the_right_one(await bob_guesses(ua), "bob")
    assert (await bob.registers(BOB, call_id="bob", then=99)).status == 200
    with_the_right_one(bob)
    await bob.says(bob.register())
    await bob.hears(403)
    registrar.close()


async def test_ten_minutes_later_it_may_try_again(ua: UserAgent, registrar: Registrar) -> None:
    """As a phone with two accounts does, one of which had a typing error."""
    bob = with_the_right_one(await bob_guesses(ua, "tls"))
    await asyncio.sleep(FORGIVEN_S)
    assert (await bob.registers()).status == 200
    assert len(registrar.reachable("alice")) == 1
    registrar.close()
