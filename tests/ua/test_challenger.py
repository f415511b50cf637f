"""Digest challenges to strangers: algorithms, size and rate limits, and delays against guessing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from proxy.sip.digest import DigestClient
from proxy.sip.message import Response
from proxy.transport.log_limit import LINES_PER_MINUTE
from proxy.ua.registrar import Registrar
from tests.ua.phones import ALICE, a_registrar, start_phone
from tests.ua.user_agent import HOST, STRANGER, UserAgent


@pytest.fixture
def registrar(ua: UserAgent) -> Registrar:
    return a_registrar(ua)


async def test_sha_256_and_md5_challenges_are_in_separate_headers_in_this_order_rfc8760_2_4(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    await phone.says(phone.register(ALICE))
    asked = (await phone.hears(401)).headers.get_all("WWW-Authenticate")
    assert [line.rpartition("=")[2] for line in asked] == ["SHA-256", "MD5"]


def offered(challenge: Response) -> list[str]:
    return [line.rpartition("=")[2] for line in challenge.headers.get_all("WWW-Authenticate")]


async def test_md5_is_offered_first_after_a_sha_256_challenge_was_not_answered(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)

    async def tries() -> bool:
        """Register as many phones do: they answer the first challenge or none."""
        request = phone.register(ALICE)
        await phone.says(request)
        challenge = await phone.hears(401)
        first, *_ = challenge.headers.get_all("WWW-Authenticate")
        challenge.headers.set("WWW-Authenticate", first)
        if not first.endswith("MD5"):
            await phone.says(request)  # a retransmission, as if the 401 was lost: same challenge
            assert offered(await phone.hears(401)) == ["SHA-256", "MD5"]
            return False
        await phone.says(phone.authorized(request, challenge))
        return (await phone.hears(200)).status == 200

    with capture_logs() as logs:
        assert [await tries() for _ in range(4)] == [False, True, True, True]
    logged = [line["event"] for line in logs if "MD5" in line["event"]]
    assert logged == ["challenge not answered, MD5 is first from now on"]
    registrar.close()


async def test_sha_256_is_offered_first_again_after_it_was_answered(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    for _ in range(3):
        request = phone.register(ALICE)
        await phone.says(request)
        challenge = await phone.hears(401)
        assert offered(challenge) == ["SHA-256", "MD5"]
        await phone.says(phone.authorized(request, challenge))
        await phone.hears(200)
    registrar.close()


async def test_a_challenge_over_udp_is_never_larger_than_the_request(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    shapes = set()
    for padding in range(400):
        request = phone.register(ALICE)
        for name in ("User-Agent", "Allow", "Max-Forwards", "Expires"):
            request.headers.remove(name)
        request.headers.add("Subject", "x" * padding)
        await phone.says(request)
        await asyncio.sleep(1)
        for heard in phone.heard:
            assert len(heard.message.encode()) <= len(request.encode())
            challenges = len(heard.message.headers.get_all("WWW-Authenticate"))
            shapes.add((challenges, next(iter(heard.message.headers))[0]))
        phone.heard.clear()
    assert shapes == {(1, "v"), (2, "v"), (2, "Via")}


async def test_a_udp_request_smaller_than_any_challenge_gets_no_response(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    short = (
        "REGISTER sip:x SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: <sip:a@x>;tag=1\r\n"
        "t: <sip:alice@x>\r\ni: 1\r\nCSeq: 1 REGISTER\r\nm: <sip:a@a>\r\n{}\r\n"
    )
    await phone.says(short.format("").encode())
    await phone.hears_nothing(for_s=10)
    assert ua.turned_away == [STRANGER]
    await phone.says(short.format("s: " + 150 * "x" + "\r\n").encode())
    challenge = await phone.hears(401)
    (asked,) = challenge.headers.get_all("WWW-Authenticate")
    assert asked.endswith("algorithm=MD5")


async def test_over_tcp_a_request_smaller_than_the_challenge_is_still_challenged(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua, transport="tcp")
    await phone.says(
        b"REGISTER sip:x SIP/2.0\r\nv: SIP/2.0/TCP a;branch=z9hG4bK1\r\nf: <sip:a@x>;tag=1\r\n"
        b"t: <sip:alice@x>\r\ni: 1\r\nCSeq: 1 REGISTER\r\nl: 0\r\n\r\n"
    )
    assert len((await phone.hears(401)).headers.get_all("WWW-Authenticate")) == 2


async def test_challenging_a_request_without_credentials_keeps_no_state_rfc3261_26_3_2_4(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    request = phone.register(ALICE)
    await phone.says(request)
    first = await phone.hears(401)
    assert not any(ua.core.left_over().values())
    await phone.says(request)
    assert (await phone.hears(401)).to_tag == first.to_tag


async def test_challenges_to_one_source_are_rate_limited(ua: UserAgent, registrar: Registrar) -> None:
    phone = await start_phone(ua)
    for _ in range(200):
        await phone.says(phone.register(ALICE))
    await asyncio.sleep(1)
    assert phone.count(401) == 40
    await asyncio.sleep(60)
    await phone.hears_nothing(for_s=1)
    assert (await phone.registers()).status == 200
    registrar.close()


async def test_each_further_wrong_password_is_counted_and_answered_later(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua, password="guess")
    waits = []
    with capture_logs() as logs:
        for number in range(6):
            request = phone.register(ALICE, call_id=f"guess{number}")
            await phone.says(request)
            challenge = await phone.hears(401)
            asked_at = ua.now
            await phone.says(phone.authorized(request, challenge))
            denied = await phone.hears(401)
            assert "stale" not in (denied.headers.get("WWW-Authenticate") or "")
            waits.append(round(ua.now - asked_at))
    assert waits == [1, 2, 4, 8, 16, 16]
    assert ua.failures == [STRANGER] * 6
    assert [each["event"] for each in logs] == ["wrong password"]
    assert registrar.reachable("alice") == []


async def test_a_correct_password_resets_the_delay_for_wrong_ones(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua, password="guess")
    for number in range(3):
        await phone.registers(call_id=f"guess{number}")
    phone.credentials = DigestClient("alice", "pw")
    assert (await phone.registers()).status == 200
    asked_at = ua.now
    phone.credentials = DigestClient("alice", "guess")
    assert (await phone.registers(call_id="guess9")).status == 401
    assert round(ua.now - asked_at) == 1
    registrar.close()


async def test_delayed_401s_are_bounded_in_number_and_do_not_delay_a_correct_password(
    ua: UserAgent, registrar: Registrar
) -> None:
    guessers = [
        await start_phone(ua, address=f"192.0.2.{100 + number}", password="guess") for number in range(5)
    ]
    alice = await start_phone(ua)
    ua.strangers |= {phone.address for phone in guessers}
    wrong = []
    for phone in guessers:
        for number in range(30):
            request = phone.register(ALICE, call_id=f"guess{number}")
            await phone.says(request)
            wrong.append((phone, phone.authorized(request, await phone.hears(401))))
            await asyncio.sleep(1)
    for phone, request in wrong:
        await phone.says(request)
    await asyncio.sleep(0.5)
    assert ua.core.left_over()["tasks"] == 100
    assert ua.core.left_over()["server transactions"] == 100
    assert len(ua.failures) == 150
    began = ua.now
    assert (await alice.registers()).status == 200
    assert ua.now - began < 0.1
    await alice.registers(expires=0)
    await ua.assert_clean()


async def test_above_the_limit_of_delayed_401s_a_known_peer_gets_its_401_at_once(
    ua: UserAgent, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.ua.challenger.MAX_WAITING", 0)
    phone = await start_phone(ua)
    await phone.registers()
    phone.credentials = DigestClient("alice", "guess")
    began = ua.now
    assert (await phone.registers(call_id="guess")).status == 401
    assert ua.now - began < 0.1
    registrar.close()


async def test_only_the_latest_sources_up_to_a_limit_are_remembered(
    ua: UserAgent, registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.ua.challenger.MAX_SOURCES", 3)
    for number in range(5):
        phone = await start_phone(ua, address=f"192.0.2.{100 + number}")
        ua.strangers.add(phone.address)
        await phone.says(phone.register(ALICE))
        await phone.hears(401)
    assert list(registrar._challenger._sources) == [
        (f"192.0.2.{number}", False) for number in (102, 103, 104)
    ]


async def test_the_response_to_a_wrong_password_over_udp_is_never_larger_than_the_request(
    ua: UserAgent, registrar: Registrar
) -> None:
    """Over UDP the source may be forged, and the request repeated at will: no amplification."""
    phone = await start_phone(ua)
    statuses = set()
    for padding in range(0, 400, 7):
        number = padding + 1
        data = (
            f"REGISTER sip:x SIP/2.0\r\nv:SIP/2.0/UDP a;branch=z9hG4bK{number}\r\nf:<sip:alice@x>;tag=1\r\n"
            f"t:<sip:alice@x>\r\ni:{number}\r\nCSeq:1 REGISTER\r\ns:{'x' * padding}\r\n"
            f'Authorization:Digest username="",realm="{HOST}",nonce="",uri="",response=""\r\n\r\n'
        ).encode()
        await phone.says(data)
        await asyncio.sleep(20)
        answer = phone.heard[-1].message
        assert isinstance(answer, Response)
        assert len(answer.encode()) <= len(data), answer
        statuses.add((answer.status, len(answer.headers.get_all("WWW-Authenticate"))))
    assert statuses == {(403, 0), (401, 1), (401, 2)}
    registrar.close()
    await ua.assert_clean()


async def test_failures_over_udp_do_not_count_against_tcp_from_the_same_address(
    ua: UserAgent, registrar: Registrar
) -> None:
    forger = SimpleNamespace(remote=(STRANGER, 5060), reliable=False, transport="udp")
    for _ in range(200):
        registrar._challenger.allows(forger)  # type: ignore[arg-type]
        registrar._challenger.failed(forger, "alice")  # type: ignore[arg-type]
    phone = await start_phone(ua, transport="tcp", password="mistyped")
    began = ua.now
    assert (await phone.registers()).status == 401
    assert ua.now - began == pytest.approx(1.0, abs=0.1)
    registrar.close()


async def test_wrong_passwords_from_many_sources_are_logged_at_a_limited_rate(
    ua: UserAgent, registrar: Registrar
) -> None:
    phone = await start_phone(ua)
    flow = await phone.flow()
    with capture_logs() as logs:
        for number in range(500):
            sender = SimpleNamespace(remote=(f"10.0.{number // 250}.{number % 250}", 5060), reliable=False)
            sender.transport = "udp"
            registrar._challenger.failed(sender, "alice")  # type: ignore[arg-type]
        assert len(logs) == LINES_PER_MINUTE
        await asyncio.sleep(61)
        registrar._challenger.failed(flow, "alice")
    assert len(logs) == LINES_PER_MINUTE + 1


async def test_all_addresses_of_an_ipv6_64_prefix_count_as_one_source(
    ua: UserAgent, registrar: Registrar
) -> None:
    for number in range(45):
        sender = SimpleNamespace(remote=(f"2001:db8::{number:x}", 5060), reliable=False)
        assert registrar._challenger.allows(sender) == (number < 40)  # type: ignore[arg-type]
