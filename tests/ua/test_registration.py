"""Our registration with a trunk: registering, refreshing, retrying; its calls are then accepted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from proxy import assembly
from proxy.call.admission import Admission
from proxy.config import parse
from proxy.sip.digest_server import DigestServer, Verdict
from proxy.sip.message import Request
from proxy.ua.registration import Account, Registration
from tests.call.flows import stub_flow
from tests.call.test_admission import nobody
from tests.kit import messages
from tests.ua.user_agent import HOST, STRANGER, Peer, UserAgent

ACCOUNT = Account("carrier", "sip:reg.example.com", "screendoor", "pw", 600)


class Carrier(Peer):
    """A trunk's registrar, at an address that the gate does not know."""

    def __init__(self, ua: UserAgent, address: str = STRANGER, transport: str = "udp") -> None:
        super().__init__(ua.wire, address, transport, names=("reg.example.com",))
        self.digest = DigestServer("reg.example.com", b"secret")
        ua.strangers.add(address)

    async def registers(self, *, expires: int | None = None, within_s: float = 700.0) -> Request:
        """Challenge the next REGISTER, accept the one with credentials, and return it."""
        first = await self.hears("REGISTER", within_s=within_s)
        now = asyncio.get_running_loop().time()
        assert self.digest.verify(first, "screendoor", "pw", now) is Verdict.MISSING
        challenges = [("WWW-Authenticate", self.digest.challenge(now, each)) for each in ("SHA-256", "MD5")]
        self.answers(first, 401, headers=challenges)
        again: Request = await self.hears("REGISTER")
        assert self.digest.verify(again, "screendoor", "pw", now) is Verdict.ACCEPTED
        self.takes(again, expires)
        return again

    def takes(self, request: Request, expires: int | None = None) -> None:
        granted_s = expires if expires is not None else int(request.headers.get("Expires") or 0)
        contact = (request.headers.get("Contact") or "") + f";expires={granted_s}"
        others = "<sip:other@192.0.2.9>;expires=7"
        self.answers(request, 200, headers=[("Contact", f"{others}, {contact}")])


@asynccontextmanager
async def registering(
    ua: UserAgent, account: Account = ACCOUNT, wall_clock: Callable[[], float] | None = None
) -> AsyncIterator[Registration]:
    """A running registration; its attribute `changes` records the reported state changes."""
    changes: list[tuple[str, bool]] = []
    registration = Registration(
        ua.core, account, changed=lambda *change: changes.append(change), wall_clock=wall_clock
    )
    registration.changes = changes  # type: ignore[attr-defined]
    ua.core.authenticated_peers.add(registration)
    task = asyncio.ensure_future(registration.run())
    try:
        yield registration
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def carrier(ua: UserAgent) -> Carrier:
    carrier = Carrier(ua)
    await carrier.start()
    return carrier


async def test_we_register_with_our_password_rfc3261_10_2(ua: UserAgent, carrier: Carrier) -> None:
    async with registering(ua) as registration:
        request = await carrier.registers()
        await asyncio.sleep(1)
        assert registration.registered
        assert request.uri == "sip:reg.example.com"
        assert request.to.raw_uri == "sip:screendoor@reg.example.com"
        assert request.from_.raw_uri == "sip:screendoor@reg.example.com"
        assert request.contact is not None
        assert (request.contact.uri.host, request.contact.uri.port) == (HOST, 5060)
        first = carrier.all("REGISTER")[0]
        assert first.call_id == request.call_id
        assert request.cseq.number == first.cseq.number + 1
        assert request.routes == []


async def test_a_registration_is_refreshed_before_it_expires_with_the_same_call_id_rfc3261_10_2_4(
    ua: UserAgent, carrier: Carrier
) -> None:
    async with registering(ua):
        requests, times = [], []
        for _ in range(5):
            requests.append(await carrier.registers(expires=100))
            times.append(ua.now)
        assert all(45 < later - earlier < 95 for earlier, later in pairwise(times))
        assert len({request.call_id for request in requests}) == 1
        assert len({request.from_tag for request in requests}) == 1
        numbers = [request.cseq.number for request in carrier.all("REGISTER")]
        assert numbers == list(range(1, 11))


async def test_the_refresh_follows_the_expiry_granted_for_our_contact_rfc3261_10_2_4(
    ua: UserAgent, carrier: Carrier
) -> None:
    async with registering(ua):
        await carrier.registers()
        granted = ua.now
        await carrier.hears("REGISTER", within_s=700)
        assert 295 < ua.now - granted < 545


async def test_the_granted_expiry_may_be_in_the_expires_header_rfc3261_10_2_4(
    ua: UserAgent, carrier: Carrier
) -> None:
    async with registering(ua):
        request = await carrier.hears("REGISTER")
        carrier.answers(request, 200, headers=[("Contact", "nonsense <"), ("Expires", "60")])
        began = ua.now
        await carrier.hears("REGISTER")
        assert 25 < ua.now - began < 56


async def test_a_200_without_an_expiry_grants_the_requested_one_rfc3261_10_2_4(
    ua: UserAgent, carrier: Carrier
) -> None:
    async with registering(ua):
        carrier.answers(await carrier.hears("REGISTER"), 200)
        granted = ua.now
        await carrier.hears("REGISTER", within_s=700)
        assert 295 < ua.now - granted < 545


async def test_a_refresh_is_not_reported_as_a_state_change(ua: UserAgent, carrier: Carrier) -> None:
    async with registering(ua) as registration:
        for _ in range(4):
            await carrier.registers(expires=100)
        await asyncio.sleep(1)
        assert registration.changes == [("carrier", True)]  # type: ignore[attr-defined]


async def test_a_423_is_followed_by_a_register_with_its_min_expires_rfc3261_10_2_8(
    ua: UserAgent, carrier: Carrier
) -> None:
    async with registering(ua) as registration:
        carrier.answers(await carrier.hears("REGISTER"), 423, headers=[("Min-Expires", "1800")])
        request = await carrier.registers()
        assert request.headers.get("Expires") == "1800"
        await asyncio.sleep(1)
        assert registration.registered


@pytest.mark.parametrize("headers", [[], [("Min-Expires", "600")], [("Min-Expires", "soon")]])
async def test_a_423_without_a_higher_min_expires_is_a_failure(
    ua: UserAgent, carrier: Carrier, headers: list[tuple[str, str]]
) -> None:
    async with registering(ua) as registration:
        carrier.answers(await carrier.hears("REGISTER"), 423, headers=headers)
        await carrier.hears_nothing(for_s=10)
        assert registration.why == "423 Interval Too Brief"


async def test_a_challenge_with_stale_true_is_answered_once_more_rfc7616_3_3(
    ua: UserAgent, carrier: Carrier
) -> None:
    async with registering(ua) as registration:
        for stale in (False, True):
            request = await carrier.hears("REGISTER")
            challenge = carrier.digest.challenge(ua.now, "MD5", stale=stale)
            carrier.answers(request, 401, headers=[("WWW-Authenticate", challenge)])
        carrier.takes(await carrier.hears("REGISTER"))
        await asyncio.sleep(1)
        assert registration.registered


async def test_refused_credentials_are_not_sent_again_for_fifteen_minutes(
    ua: UserAgent, carrier: Carrier
) -> None:
    with capture_logs() as logs:
        async with registering(ua) as registration:
            for _ in range(2):
                request = await carrier.hears("REGISTER")
                challenge = carrier.digest.challenge(ua.now, "MD5")
                carrier.answers(request, 401, headers=[("WWW-Authenticate", challenge)])
            await carrier.hears_nothing(for_s=890)
            assert registration.why == "credentials refused for realm reg.example.com"
    (line,) = [each for each in logs if each["log_level"] == "warning"]
    assert (line["event"], line["trunk"]) == ("trunk not registered", "carrier")
    assert "pw" not in str(logs)


async def test_credentials_refused_after_a_success_are_retried_within_31_seconds(
    ua: UserAgent, carrier: Carrier
) -> None:
    """For instance, one registrar of a cluster does not recognise the nonce of another."""
    async with registering(ua) as registration:
        await carrier.registers()
        for _ in range(2):
            request = await carrier.hears("REGISTER", within_s=700)
            challenge = carrier.digest.challenge(ua.now, "MD5")
            carrier.answers(request, 401, headers=[("WWW-Authenticate", challenge)])
        refused = ua.now
        await carrier.registers()
        assert 15 <= ua.now - refused < 31
        await asyncio.sleep(1)
        assert registration.registered


async def test_failed_registrations_are_retried_with_exponential_back_off_rfc5626_4_5(
    ua: UserAgent, carrier: Carrier
) -> None:
    async with registering(ua):
        times = []
        for _ in range(9):
            carrier.answers(await carrier.hears("REGISTER", within_s=2000), 403)
            times.append(ua.now)
        waits = [later - earlier for earlier, later in pairwise(times)]
        for number, wait in enumerate(waits):
            upper = min(1800, 30 * 2**number)
            assert upper / 2 - 1 <= wait <= upper + 1


@pytest.mark.parametrize("out", ["silent", "no way"])
async def test_after_an_outage_of_hours_we_register_within_95_seconds(
    ua: UserAgent, carrier: Carrier, out: str
) -> None:
    async with registering(ua) as registration:
        await carrier.registers()
        if out == "silent":
            ua.wire.silence(STRANGER)
        else:
            ua.wire.unreachable.add(STRANGER)
        await asyncio.sleep(2 * 3600)
        assert not registration.registered
        ua.wire.silence(STRANGER, False)
        ua.wire.unreachable.clear()
        await carrier.registers(within_s=95)
        await asyncio.sleep(1)
        assert registration.registered


async def test_a_failed_registration_is_retried_after_its_retry_after_rfc3261_20_33(
    ua: UserAgent, carrier: Carrier
) -> None:
    async with registering(ua):
        request = await carrier.hears("REGISTER")
        carrier.answers(request, 503, headers=[("Retry-After", "300 (maintenance);duration=60")])
        began = ua.now
        await carrier.hears("REGISTER", within_s=400)
        assert ua.now - began == pytest.approx(300, abs=1)


async def test_a_register_without_final_response_fails_after_64_t1_rfc3261_17_1_2_2(
    ua: UserAgent, carrier: Carrier
) -> None:
    async with registering(ua) as registration:
        await asyncio.sleep(33)
        assert registration.why == "no final response in time"
        carrier.takes(await carrier.hears("REGISTER"))  # a retransmission, answered too late
        await asyncio.sleep(1)
        assert not registration.registered
        await asyncio.sleep(60)
        await carrier.hears("REGISTER")


@pytest.mark.parametrize("trouble", ["503", "nobody there"])
async def test_a_failed_target_of_the_registrar_is_followed_by_the_next_at_once_rfc3263_4_3(
    ua: UserAgent, trouble: str
) -> None:
    transport = "udp" if trouble == "503" else "tcp"
    first, second = Carrier(ua, "192.0.2.71", transport), Carrier(ua, "192.0.2.72", transport)
    if trouble == "503":
        await first.start()
    await second.start()
    account = Account("carrier", f"sip:reg.example.com;transport={transport}", "screendoor", "pw", 600)
    async with registering(ua, account) as registration:
        if trouble == "503":
            first.answers(await first.hears("REGISTER"), 503)
        await second.registers(within_s=5)
        await asyncio.sleep(1)
        assert registration.registered


async def test_a_silent_target_of_the_registrar_does_not_delay_refreshes(ua: UserAgent) -> None:
    """For instance an IPv6 address without connectivity; the registrar grants 60 s."""
    Carrier(ua, "192.0.2.8")
    ua.wire.silence("192.0.2.8")
    carrier = Carrier(ua, "192.0.2.9")
    await carrier.start()
    async with registering(ua):
        await carrier.registers(expires=60, within_s=40)
        until, lapsed_s = ua.now + 60, 0.0
        for _ in range(20):
            await carrier.registers(expires=60, within_s=100)
            lapsed_s += max(0.0, ua.now - until)
            until = ua.now + 60
        assert lapsed_s == 0


async def test_after_a_lost_connection_we_register_again_within_six_seconds_rfc5626_4_5(
    ua: UserAgent,
) -> None:
    carrier = Carrier(ua, transport="tcp")
    await carrier.start()
    account = Account("carrier", "sip:reg.example.com;transport=tcp", "screendoor", "pw", 600)
    with capture_logs() as logs:
        async with registering(ua, account) as registration:
            await carrier.registers()
            await asyncio.sleep(10)
            ua.wire.cut(ua.wire.flows()[0])
            await asyncio.sleep(0)
            lost = ua.now
            await carrier.registers()
            assert ua.now - lost < 6
            await asyncio.sleep(1)
            assert registration.registered
            assert registration.changes == [("carrier", True), ("carrier", False), ("carrier", True)]  # type: ignore[attr-defined]
    assert [(each["event"], each.get("why")) for each in logs] == [
        ("trunk registered", None),
        ("trunk not registered", "the connection is gone"),
        ("trunk registered", None),
    ]


async def test_keep_alives_are_sent_to_the_registrar_while_registered(
    ua: UserAgent, carrier: Carrier
) -> None:
    async with registering(ua):
        await carrier.registers()
        await asyncio.sleep(101)
        pings = [each for each in ua.wire.trace if each.data == b"\r\n\r\n"]
        assert len(pings) == 4


@pytest.mark.parametrize("leap_s", [-3600, 0, 5, 60, 7200, 50 * 365 * 86400])
async def test_after_a_suspend_the_registration_is_refreshed_at_once_rfc3261_10_2_4(
    ua: UserAgent, carrier: Carrier, leap_s: int
) -> None:
    slept_s = 0.0
    async with registering(ua, wall_clock=lambda: ua.now + slept_s):
        await carrier.registers(expires=3600)
        await asyncio.sleep(100)
        woke, slept_s = ua.now, leap_s
        await carrier.registers(expires=3600, within_s=3600)
        assert (ua.now - woke < 30) == (leap_s > 30)
        again = ua.now
        await carrier.hears("REGISTER", within_s=3600)
        assert ua.now - again > 1795, "once for one sleep"


async def test_after_a_suspend_the_back_off_of_earlier_failures_is_skipped(
    ua: UserAgent, carrier: Carrier
) -> None:
    slept_s = 0.0
    async with registering(ua, wall_clock=lambda: ua.now + slept_s):
        for _ in range(6):
            carrier.answers(await carrier.hears("REGISTER", within_s=2000), 503)
        await asyncio.sleep(60)
        woke, slept_s = ua.now, 3600
        await carrier.registers()
        assert ua.now - woke < 30


async def test_an_invite_from_the_registrars_flow_is_admitted_once_we_are_registered(
    ua: UserAgent, carrier: Carrier
) -> None:
    await carrier.says(messages.invite())
    await carrier.hears_nothing(for_s=1)
    async with registering(ua):
        request = await carrier.registers()
        await asyncio.sleep(1)
        assert request.contact is not None
        await carrier.says(messages.invite(request.contact.raw_uri, call_id="call2", branch="z9hG4bK2"))
        invitation = await ua.invited()
        assert invitation.request.uri == request.contact.raw_uri
        invitation.reply(480)
        await carrier.hears(480)


async def test_closing_a_registration_unregisters_once_rfc3261_10_2_2(
    ua: UserAgent, carrier: Carrier
) -> None:
    with capture_logs() as logs:
        async with registering(ua) as registration:
            await carrier.registers()
            await asyncio.sleep(1)
        leaving = asyncio.ensure_future(registration.close())
        request = await carrier.registers()
        assert request.headers.get("Expires") == "0"
        await leaving
        await registration.close()
        await carrier.hears_nothing(for_s=40)
    assert [each["event"] for each in logs] == ["trunk registered", "trunk unregistered"]


async def test_closing_a_registration_waits_two_seconds_at_most(ua: UserAgent, carrier: Carrier) -> None:
    async with registering(ua) as registration:
        await carrier.registers()
        await asyncio.sleep(1)
    ua.wire.silence(STRANGER)
    began = ua.now
    await registration.close()
    assert ua.now - began == pytest.approx(2, abs=0.1)


async def test_endless_challenges_are_given_up_after_three_registers(ua: UserAgent, carrier: Carrier) -> None:
    async with registering(ua) as registration:
        for _ in range(3):
            request = await carrier.hears("REGISTER")
            challenge = carrier.digest.challenge(ua.now, "MD5", stale=True)
            carrier.answers(request, 401, headers=[("WWW-Authenticate", challenge)])
        await carrier.hears_nothing(for_s=10)
        assert "refused" in registration.why
        assert not registration.registered


def test_the_repr_of_an_account_hides_its_password() -> None:
    assert "pw" not in repr(ACCOUNT)


TRUST_SETTINGS = """
public = { host = "sbc.example.com", address = "203.0.113.10" }
listen = [ { transport = "udp", bind = "0.0.0.0:5060" } ]
trunk = [ { name = "carrier", outbound = "sip:192.0.2.1", trust_identity = TRUST } ]
number = [ { dialed = "*", screen = "off", destinations = ["sip:desk@192.0.2.4"] } ]
"""


@pytest.mark.parametrize("trust", ["true", "false"])
async def test_trust_identity_applies_to_calls_from_the_registrars_flow_rfc3325_2_3(
    ua: UserAgent, carrier: Carrier, trust: str
) -> None:
    """Calls come from the registrar's address, which is not among the trunk's configured addresses."""
    settings = parse(TRUST_SETTINGS.replace("TRUST", trust), {}, file="t.toml", folder=Path())
    admission = Admission({"carrier": ["192.0.2.1"]}, nobody)
    async with registering(ua) as registration:
        await carrier.registers()
        await asyncio.sleep(1)
        trust_of = assembly.trust_of(settings, admission, [registration], lambda flow: None)
        assert trust_of(stub_flow(STRANGER)).trusted is (trust == "true")
        assert not trust_of(stub_flow("192.0.2.99")).trusted
