"""Attestation by a trunk: which trunk is believed, who is shown the result, and what is recorded."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from proxy.call.attestation import LONGEST_IDENTITY, Attestation, PeerTrust
from proxy.call.border import Identity
from proxy.call.identity_profile import IdentityProfile
from proxy.call.routing import Destination, Trunk
from screening.contract import MAX_IDENTITIES, Ring, Verification
from screening.screener import Screener
from screening.stir.verifier import Verifier
from tests.call.test_border import received
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, a_number
from tests.kit.messages import invite
from tests.screening.pki import identity, shaken, token
from tests.screening.stir.test_certificates import HERE, Server

TOKEN = "e30.e30.c2ln;info=<https://cert.example.org/a.pem>;alg=ES256;ppt=shaken"
PASSED = Verification("passed", "A", source="header")
SAID = (
    ("X-Twilio-VerStat", "TN-Validation-Passed-A"),
    ("P-Attestation-Indicator", "A"),
    ("P-Origination-ID", "8a9d1f3e-5f2b-4b83-9a67-0a1b2c3d4e5f"),
    ("X-Plivo-Stir-Verification", "Verified"),
    ("Identity", TOKEN),
    ("Priority", "psap-callback"),
    ("Resource-Priority", "esnet.0"),
)
TRUNK = Trunk("trunk", "sip:trunk.example.com", "screendoor", "secret", "+14155550100")
BELIEVED = PeerTrust("twilio", trusted=True, headers=True, identity=True)


def attested(trust: PeerTrust, *headers: tuple[str, str]) -> Attestation:
    return Identity.of(invite(headers=headers), trusted=trust.trusted, trust=trust).attested


async def connects(edge: Edge, *headers: tuple[str, str]) -> None:
    await edge.carrier.invites(headers=headers)
    await edge.agent.answers()
    await edge.carrier.receives(200)
    await edge.time_passes(1.0)


async def test_the_verification_header_of_a_trusted_trunk_reaches_screening_record_and_log(
    edge: Edge,
) -> None:
    with capture_logs() as logs:
        await connects(edge, ("X-Twilio-VerStat", "TN-Validation-Passed-A"))
        await edge.carrier.hangs_up()
        record = await edge.over()
    [caller] = edge.screener.callers
    assert (caller.verification, caller.trunk, caller.callback) == (PASSED, "signalwire", False)
    assert record.as_dict()["verification"] == {
        "result": "passed",
        "attest": "A",
        "diverted": False,
        "origid": None,
        "source": "header",
        "why": "",
    }
    [line] = [each for each in logs if each["event"] == "verified"]
    assert (line["result"], line["attest"], line["by"]) == ("passed", "A", "header")
    await edge.assert_clean()


async def test_our_own_verification_result_overrides_the_trunks_header(edge: Edge) -> None:
    found = Verification("failed", source="identity", why="stale")
    edge.screener.planned = Ring("level: off", found)
    await edge.carrier.invites(headers=[("X-Twilio-VerStat", "TN-Validation-Passed-A")])
    await edge.phone.answers()
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert record.verification == found
    await edge.assert_clean()


async def test_a_caller_may_cancel_while_the_identity_certificate_is_fetched(edge: Edge) -> None:
    server = Server(takes_s=3600)
    server.now = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    claims = {"iat": int(server.now.timestamp()), "orig": {"tn": "13475550148"}}
    signed = identity(token(HERE.carrier, shaken(**claims)))
    async with Screener(
        [],
        wall_clock=lambda: server.now,
        token_bytes=lambda size: b"k" * size,
        verifier=Verifier(server.certificates(), lambda: server.now, 5.0),
    ) as screener:
        edge.screener.plan = screener.plan  # type: ignore[method-assign]
        await edge.carrier.invites(headers=[("Identity", signed)])
        await edge.carrier.receives(100)
        await edge.time_passes(1.0)
        assert len(server.requests) == 1
        await edge.carrier.cancels()
        await edge.carrier.receives(487)
        record = await edge.over()
        assert (record.plan, edge.phone.calls, edge.agent.calls) == (None, {}, {})
    await edge.assert_clean()


async def test_verification_headers_of_an_untrusted_trunk_are_ignored(edge: Edge) -> None:
    edge.trusted.clear()
    await connects(edge, *SAID[:4], *SAID[5:])
    await edge.carrier.hangs_up()
    record = await edge.over()
    [caller] = edge.screener.callers
    assert (caller.verification, caller.callback, record.verification) == (None, False, None)


@pytest.mark.parametrize("profile", IdentityProfile)
async def test_no_attestation_header_is_forwarded_to_agent_or_phone(
    new_edge: NewEdge, profile: IdentityProfile
) -> None:
    uri = f"sip:{PHONE_NUMBER}@trunk.example.com"
    place = Destination(uri, PHONE_NUMBER, TRUNK, identity=profile)
    async with new_edge(audio=False, number=a_number(destinations=(place,))) as edge:
        asserted = ("P-Asserted-Identity", "<sip:+13475550148@a;verstat=TN-Validation-Passed>;verstat=x")
        await connects(edge, *SAID, asserted)
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.answers()
        await edge.carrier.hangs_up()
        await edge.over()
        sent = [*received(edge.agent, "INVITE"), *received(edge.phone, "INVITE")]
        assert len(sent) >= 2
        for request in sent:
            text = request.encode().decode().lower()
            marks = ["verstat", "validation", "attestation", "origination", "stir", "psap", "esnet"]
            assert [mark for mark in [*marks, "identity: e30", "resource-priority"] if mark in text] == []


def test_the_trust_settings_decide_between_trunk_headers_and_signed_identity() -> None:
    everything = attested(BELIEVED, *SAID)
    assert everything.verification == Verification("passed", "A", False, SAID[2][1], "header")
    assert everything.callback
    assert everything.signed is not None
    nothing = attested(PeerTrust("twilio"), *SAID)
    assert nothing == Attestation("twilio")
    own = attested(PeerTrust("twilio", trusted=True, identity=True), *SAID)
    assert (own.verification, own.signed is None) == (None, False)
    carriers = attested(PeerTrust("twilio", trusted=True, headers=True), *SAID)
    assert (carriers.verification is None, carriers.signed) == (False, None)


def test_the_signed_identity_carries_the_orig_dest_and_date_of_the_request() -> None:
    asserted = ("P-Asserted-Identity", "<sip:+14155550100@a>")
    came = invite(
        "sip:+14155551234@sbc.example.com",
        headers=[("Identity", TOKEN), asserted, ("Date", "Sun, 22 Nov 2026 12:00:00 GMT")],
    )
    came.headers.set("From", "<sip:alice@Example.COM>;tag=1")
    came.headers.set("To", "<sip:1-415-555-1234@a>")
    signed = Identity.of(came, trusted=True, trust=BELIEVED).attested.signed
    assert signed is not None
    assert signed.identities == (TOKEN,)
    assert signed.origs == ("+14155550100", "sip:alice@example.com")
    assert signed.dests == ("14155551234", "+14155551234")
    assert signed.date == datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize("date", ["yesterday", "Sun, 99 Nov 2026 12:00:00 GMT", "x" * 999, ""])
def test_an_invalid_date_header_counts_as_none(date: str) -> None:
    signed = attested(BELIEVED, ("Identity", TOKEN), ("Date", date)).signed
    assert signed is not None
    assert signed.date is None


def test_the_number_and_length_of_identity_headers_read_are_limited() -> None:
    for headers in ([("Identity", TOKEN)] * 100, [("Identity", ", ".join([TOKEN] * 50))]):
        signed = attested(BELIEVED, *headers).signed
        assert signed is not None
        assert len(signed.identities) == MAX_IDENTITIES
        assert all(len(each) <= LONGEST_IDENTITY for each in signed.identities)


def test_the_identity_token_of_a_caller_with_privacy_id_is_not_verified() -> None:
    said = attested(BELIEVED, *SAID, ("Privacy", "id"))
    assert said.signed is None
    assert said.verification is not None
    assert said.callback
