"""A phone or trunk that tries the passwords of other accounts is barred from them, and nobody else is."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from proxy.sip.digest import DigestClient
from proxy.sip.digest_server import DigestServer
from proxy.sip.message import Request, Response
from proxy.transport.flow import Target
from proxy.ua.challenger import Challenger
from proxy.ua.digest_trunks import DigestTrunks
from proxy.ua.guess_limit import FORGIVEN_S, MAX_GUESSES
from proxy.ua.registrar import Phone, Registrar
from tests.kit import messages
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


class CallingTrunk:
    """A digest trunk that places calls with any account's credentials."""

    def __init__(self, ua: UserAgent, peer: RegisteringPhone) -> None:
        self.ua, self.peer = ua, peer
        self._invites = 0

    async def calls(self, user: str, password: str, then: int = 486) -> None:
        """Place a call, answer its challenge, and expect this final response."""
        request = self._invite(user)
        await self.peer.says(request)
        challenge = await self._final(request, 401)
        again = self._invite(user)
        for name, value in DigestClient(user, password).authorize(request, challenge, "cnonce"):
            again.headers.add(name, value)
        await self.peer.says(again)
        if then == 486:
            (await self.ua.invited()).reply(486)
        await self._final(again, then)

    async def is_barred_from(self, user: str) -> None:
        request = self._invite(user)
        await self.peer.says(request)
        await self._final(request, 403)

    async def _final(self, request: Request, status: int) -> Response:
        response: Response = await self.peer.hears(status)
        branch, cseq = request.via.params.get("branch") or "", request.cseq.number
        ack = messages.within(request, "ACK", to_tag=str(response.to_tag), branch=branch, cseq=cseq)
        await self.peer.says(ack)
        return response

    def _invite(self, user: str) -> Request:
        self._invites += 1
        return messages.invite(
            branch=f"z9hG4bKpbx{self._invites}",
            sent_by="192.0.2.66:5060",
            contact=f"<sip:{user}@192.0.2.66:5060>",
            call_id=f"call{self._invites}",
        )


@pytest.fixture
async def trunk(ua: UserAgent) -> CallingTrunk:
    challenger = Challenger(ua.core, ua, DigestServer(HOST, b"secret"))
    accounts = {"pbx": ("office", "pw"), "other": ("shop", "pw")}
    ua.core.authenticated_peers.add(DigestTrunks(ua, challenger, accounts))
    return CallingTrunk(ua, await start_phone(ua))


async def test_a_trunk_that_has_tried_ten_passwords_of_another_gets_403_even_for_the_right_one(
    trunk: CallingTrunk,
) -> None:
    await trunk.calls("pbx", "pw")
    with capture_logs() as logs:
        for _ in range(MAX_GUESSES):
            await trunk.calls("other", "guess", then=401)
        await trunk.is_barred_from("other")
    logged = [each for each in logs if each["event"] == "trunk guesses passwords"]
    assert [(each["trunk"], each["of"]) for each in logged] == [("office", "shop")]
    await trunk.calls("pbx", "pw")
    await trunk.is_barred_from("other")
    await asyncio.sleep(FORGIVEN_S)
    await trunk.calls("other", "pw")


async def test_a_trunk_that_has_mistyped_its_own_password_is_not_barred(trunk: CallingTrunk) -> None:
    await trunk.calls("pbx", "pw")
    for _ in range(MAX_GUESSES + 2):
        await trunk.calls("pbx", "typo", then=401)
    await trunk.calls("pbx", "pw")


async def test_a_trunk_that_has_tried_ten_passwords_of_phones_gets_403_for_every_phone(
    ua: UserAgent, registrar: Registrar, trunk: CallingTrunk
) -> None:
    await trunk.calls("pbx", "pw")
    phone = trunk.peer
    phone.user, phone.credentials = "alice", DigestClient("alice", "guess")
    for number in range(MAX_GUESSES):
        assert (await phone.registers(call_id=f"guess{number}")).status == 401
    await trunk.calls("pbx", "pw")  # it is still known as a trunk
    with_right_password(phone, "bob")
    await phone.says(phone.register())
    await phone.hears(403)
    assert registrar.reachable("bob") == []
    registrar.close()
