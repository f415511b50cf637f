"""Whole verifications: a call's headers in, one result out, within the time limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from screening.callers.contacts import Contacts
from screening.contract import Caller, IdentityHeaders, Ring, Verification
from screening.decision import Level
from screening.policy import Policy
from screening.screener import Screener
from screening.stir.passport import Passport
from screening.stir.verifier import MAX_FETCHED, Verifier
from tests.screening.pki import (
    ANN,
    BOB,
    CALL,
    CAROL,
    NOW,
    ORIGID,
    StiPki,
    identity,
    issue,
    numbers,
    shaken,
    token,
)
from tests.screening.stir.test_certificates import HERE, Server

PASSED = Verification("passed", "A", origid=ORIGID, source="identity")
CARRIER = HERE.carrier


@asynccontextmanager
async def verifying(server: Server, patience_s: float = 1.0) -> AsyncIterator[Verifier]:
    async with Verifier(server.certificates(), lambda: server.now, patience_s) as verifier:
        yield verifier


async def verdict(*tokens: str, call: IdentityHeaders = CALL, server: Server | None = None) -> Verification:
    async with verifying(server or Server()) as verifier:
        return await verifier.verify(replace(call, identities=tokens), "US")


def diverted(**claims: Any) -> str:
    given = {"dest": {"tn": [CAROL]}, "div": {"tn": BOB}, "iat": int(NOW.timestamp()), "orig": {"tn": ANN}}
    ppt = "div-o" if "opt" in claims else "div"
    return identity(token(CARRIER, given | claims, ppt=ppt), ppt=ppt)


async def test_a_correctly_signed_call_passes() -> None:
    assert await verdict(identity(token(CARRIER))) == PASSED
    assert await verdict(token(CARRIER, shaken("C"))) == replace(PASSED, attest="C")
    plain = token(CARRIER, {k: v for k, v in shaken().items() if k not in ("attest", "origid")}, ppt=None)
    assert await verdict(plain) == Verification("passed", source="identity")


async def test_a_second_call_uses_the_cached_certificate() -> None:
    server = Server()
    async with verifying(server) as verifier:
        for _ in range(3):
            found = await verifier.verify(replace(CALL, identities=(identity(token(CARRIER)),)), "US")
            assert found == PASSED
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("tokens", "why"),
    [
        ([token(issue("mallory"))], "the signature is not the certificate's"),
        ([token(CARRIER, shaken(orig={"tn": CAROL}))], "it was signed for another caller"),
        ([token(CARRIER, shaken(dest={"tn": [CAROL]}))], "it was signed for another called party"),
        (
            [token(CARRIER, shaken(iat=int(NOW.timestamp()) - 61))],
            "the token is too old, or dated in the future",
        ),
        (
            [token(CARRIER, shaken(iat=int(NOW.timestamp()) + 61))],
            "the token is too old, or dated in the future",
        ),
        ([token(CARRIER, algorithm="HS256")], "the algorithm is not ES256"),
        (["x" * 1_000_000], "the token is too long"),
        (
            [identity(token(CARRIER, x5u="http://cert.example.org/a"), "http://cert.example.org/a")],
            "the certificate's address is not one that is fetched",
        ),
        ([diverted()], "it was signed for another called party"),
        (["junk"] * 1000, "not a token of three parts"),
    ],
)
async def test_a_wrongly_signed_call_fails_with_the_reason(tokens: list[str], why: str) -> None:
    assert await verdict(*tokens) == Verification("failed", source="identity", why=why)


@pytest.mark.parametrize(
    "tokens",
    [
        [token(CARRIER, shaken(orig={"tn": CAROL}))],
        [token(CARRIER, shaken(iat=1))],
        [token(CARRIER, algorithm="HS256")],
        ["x" * 9000] * 8,
    ],
)
async def test_a_token_that_cannot_pass_causes_no_fetch(tokens: list[str]) -> None:
    server = Server()
    await verdict(*tokens, server=server)
    assert server.requests == []


async def test_the_number_of_certificates_fetched_for_one_call_is_limited() -> None:
    server, urls = Server(), [f"https://cert.example.org/{n}" for n in range(8)]
    found = await verdict(*(token(issue("m"), x5u=url) for url in urls), server=server)
    assert len(server.requests) == MAX_FETCHED
    assert (found.result, found.why) == ("failed", "the signature is not the certificate's")


async def test_a_call_with_an_untrusted_certificate_fails() -> None:
    server = Server(httpx2.Response(200, content=StiPki().carrier.pem))
    found = await verdict(identity(token(CARRIER)), server=server)
    assert (found.result, "chain is not trusted" in found.why) == ("failed", True)


async def test_a_call_with_a_certificate_for_other_numbers_fails() -> None:
    other = issue("others", HERE.authority, tn_auth_list=numbers(CAROL, 1))
    found = await verdict(token(other), server=Server(httpx2.Response(200, content=other.pem)))
    assert found.why == "the certificate is for other numbers"
    its = issue("its own", HERE.authority, tn_auth_list=numbers(ANN, 1))
    assert await verdict(token(its), server=Server(httpx2.Response(200, content=its.pem))) == PASSED


async def test_a_cached_certificate_that_has_expired_is_not_accepted() -> None:
    short = issue("short", HERE.authority, ends=NOW + timedelta(minutes=10))
    server = Server(httpx2.Response(200, content=short.pem))
    async with verifying(server) as verifier:
        assert (await verifier.verify(replace(CALL, identities=(token(short),)), "US")).result == "passed"
        server.now += timedelta(minutes=11)
        late = token(short, shaken(iat=int(server.now.timestamp())))
        found = await verifier.verify(replace(CALL, identities=(late,)), "US")
    assert found.why == "the certificate is expired or not yet valid"


async def test_verification_waits_at_most_patience_s_and_the_next_call_uses_the_cache() -> None:
    server, clock = Server(takes_s=3.0), asyncio.get_running_loop().time
    signed = replace(CALL, identities=(identity(token(CARRIER)),))
    async with verifying(server) as verifier:
        began = clock()
        found = await verifier.verify(signed, "US")
        assert clock() - began == pytest.approx(1.0)
        assert found == Verification(
            "unknown", source="identity", why="the certificate did not arrive in time"
        )
        await asyncio.sleep(3.0)
        assert await verifier.verify(signed, "US") == PASSED
        assert clock() - began == pytest.approx(4.0)
    assert len(server.requests) == 1


async def test_one_valid_token_among_invalid_ones_is_enough() -> None:
    bad = ["junk", token(issue("mallory")), token(CARRIER, ppt="rcd")]
    assert await verdict(*bad, identity(token(CARRIER))) == PASSED
    assert (await verdict(token(CARRIER, ppt="rcd"))).result == "unknown"
    assert (await verdict(token(CARRIER, ppt="rcd"), "junk")).result == "failed"


async def test_a_diverted_call_passes_by_a_valid_chain_of_div_tokens() -> None:
    to_carol, first = replace(CALL, dests=("+" + CAROL,)), identity(token(CARRIER))
    sent_on = replace(PASSED, diverted=True)
    assert await verdict(diverted(), first, call=to_carol) == sent_on
    assert await verdict(diverted(opt=token(CARRIER)), call=to_carol) == sent_on
    assert (await verdict(first, call=to_carol)).result == "failed"
    assert (await verdict(diverted(opt="junk"), call=to_carol)).result == "failed"
    forged = identity(token(issue("mallory"), {"dest": {"tn": [CAROL]}, "div": {"tn": BOB},
                      "iat": int(NOW.timestamp()), "orig": {"tn": ANN}}, ppt="div"), ppt="div")  # fmt: skip
    assert (await verdict(forged, first, call=to_carol)).result == "failed"


@pytest.mark.parametrize(("before", "result"), [(1, "passed"), (2, "failed")])
async def test_nested_tokens_are_opened_up_to_eight_tokens_of_a_call(before: int, result: str) -> None:
    other = token(CARRIER, shaken(orig={"tn": CAROL}))
    for _ in range(3):
        other = diverted(opt=other).partition(";")[0]  # four tokens, none of which is for this call
    assert (await verdict(*[other] * before, token(CARRIER))).result == result


# In the screener

KNOWN = Policy(level=Level.TRUSTED, country="US", contacts=[Contacts({f"+{ANN}": "Ann"})])
TRUSTED_TRUNK = Verification("passed", "B", source="header")


def caller(*tokens: str, verification: Verification | None = None) -> Caller:
    signed = replace(CALL, identities=tokens) if tokens else None
    return Caller("c1", f"+{ANN}", None, f"+{BOB}", "", NOW, verification=verification, signed=signed)


@asynccontextmanager
async def screening(server: Server | None) -> AsyncIterator[Screener]:
    screener = Screener(
        [],
        wall_clock=lambda: NOW,
        token_bytes=lambda size: b"k" * size,
        policies={"*": KNOWN},
        verifier=server and Verifier(server.certificates(), lambda: server.now),
    )
    async with screener:
        yield screener


async def test_the_plan_uses_and_carries_the_verification_result() -> None:
    async with screening(Server()) as screener:
        good = await screener.plan(caller(token(CARRIER)))
        bad = await screener.plan(caller(token(issue("mallory")), verification=TRUSTED_TRUNK))
        unsigned = await screener.plan(caller(verification=TRUSTED_TRUNK))
    assert (type(good), good.reason, good.verification) == (
        Ring,
        "contacts: the number is in the contacts",
        PASSED,
    )
    assert bad.reason == "level: the caller is not known (trusted)"
    assert bad.verification is not None
    assert bad.verification.why == "the signature is not the certificate's"
    assert (type(unsigned), unsigned.verification) == (Ring, None)


async def test_an_unknown_result_falls_back_to_the_verification_of_the_trunk() -> None:
    server = Server(httpx2.Response(500))
    async with screening(server) as screener:
        told = await screener.plan(
            caller(token(CARRIER), verification=Verification("failed", source="header"))
        )
        untold = await screener.plan(caller(token(CARRIER)))
    assert told.reason == "level: the caller is not known (trusted)"
    assert told.verification is None
    assert untold.verification is not None
    assert untold.verification.result == "unknown"


async def test_without_roots_nothing_is_verified_and_logged_once() -> None:
    with capture_logs() as logs:
        async with screening(None) as screener:
            for _ in range(3):
                assert (await screener.plan(caller(token(CARRIER)))).verification is None
    assert [line["event"] for line in logs] == ["identity headers are not verified"]


async def test_an_unexpected_exception_in_verification_does_not_lose_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> Passport:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Passport, "parse", broken)
    with capture_logs() as logs:
        async with screening(Server()) as screener:
            assert isinstance(await screener.plan(caller(token(CARRIER))), Ring)
    assert [line["event"] for line in logs] == ["verification crashed"]
