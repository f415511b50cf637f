"""Liberal in what we accept, strict in what we send: even for an INVITE that combines many faults."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.transport.flow import Target
from screening.contract import Ring
from tests.kit.deviations import DEVIATIONS, combined
from tests.kit.edge import CARRIER, EDGE, HOST, an_edge
from tests.kit.message_grammar import faults
from tests.kit.messages import SDP
from tests.kit.virtual_loop import run_virtual

INVITE = f"""\
INVITE sip:+14155551234@{HOST} SIP/2.0
Via: SIP/2.0/UDP {CARRIER}:5060;branch=z9hG4bK1
Max-Forwards: 70
From: "Smith, Ann" <sip:+14155550199@example.com>;tag=1
To: <sip:+14155551234@{HOST}>
Call-ID: sloppy
CSeq: 7 INVITE
Contact: <sip:ann@{CARRIER}:5060>
Record-Route: <sip:{CARRIER};lr>
Supported: timer
Session-Expires: 600;refresher=uac
Content-Type: application/sdp
Content-Length: {len(SDP)}

""" + SDP.decode().replace("\r\n", "\n")


async def whole_call(folder: Path, invite: bytes) -> list[bytes]:
    """What the edge sends for this INVITE: the phone answers, no ACK arrives, both legs get a BYE."""
    async with an_edge(folder, audio=False) as edge:
        edge.screener.planned = Ring("test")
        flow = await edge.wire.hosts[CARRIER].connect(Target("udp", (EDGE, 5060), HOST))
        flow.send(invite)
        await edge.phone.answers()
        await asyncio.sleep(80)
        return [carried.data for carried in edge.wire.trace if carried.source[0] == EDGE]


def test_the_checked_call_sends_every_expected_method_and_status(tmp_path: Path) -> None:
    sent = run_virtual(whole_call(tmp_path, INVITE.replace("\n", "\r\n").encode()))
    starts = {data.partition(b" ")[0] for data in sent}
    assert starts == {b"SIP/2.0", b"INVITE", b"ACK", b"BYE"}
    assert {data[8:11] for data in sent if data.startswith(b"SIP")} == {b"100", b"180", b"200"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(sorted(DEVIATIONS)), max_size=5, unique=True))
def test_messages_sent_are_valid_whatever_deviations_the_callers_invite_has(deviations: list[str]) -> None:
    text = INVITE
    for deviation in combined(deviations):
        text = deviation(text)
    with TemporaryDirectory() as folder:
        sent = run_virtual(
            whole_call(Path(folder), text.replace("\n", "\r\n").encode("utf-8", "surrogateescape"))
        )
    for data in sent:
        assert faults(data) == [], data.decode("utf-8", "replace")
