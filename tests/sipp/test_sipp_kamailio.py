"""Calls through Kamailio: UDP to the carrier, TLS to us, two Record-Routes per call (r2=on).

SignalWire's calls arrive the same way. Kamailio's auth and dispatcher modules are used as well.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sipp.edge_process import HOST, PHONE, EdgeProcess, StunnelServer
from tests.sipp.kamailio import OUT_OF_SERVICE, USERNAME, Kamailio, KamailioPorts, has_both_record_routes
from tests.sipp.process import until
from tests.sipp.sipp_peers import SippPeers

pytestmark = pytest.mark.network

BEYOND, FAILS_OVER = "+14155552222", "+14155553333"
SETTINGS = """
[[trunk]]
name = "kamailio"
outbound = "sip:localhost:{tls};transport=tls"
username = "{username}"
password = "env:SIPP_TRUNK_PASSWORD"
caller_id = "+14155550100"
probe_s = 5

[[number]]
dialed = "{beyond}"
destinations = ["sip:{phone}@trunk:kamailio"]
confirm = "off"
ring_limit_s = 10

[[number]]
dialed = "{fails_over}"
screen = "off"
destinations = ["sip:{out_of_service}@trunk:kamailio", "sip:{phone}@trunk:sipp"]
confirm = "off"
ring_limit_s = 10
"""


@pytest.fixture(scope="module")
def ports() -> KamailioPorts:
    return KamailioPorts()


@pytest.fixture(scope="module")
def edge(
    stunnel: StunnelServer, ports: KamailioPorts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EdgeProcess]:
    more = SETTINGS.format(
        tls=ports.tls, username=USERNAME, beyond=BEYOND, phone=PHONE, fails_over=FAILS_OVER,
        out_of_service=OUT_OF_SERVICE,
    )  # fmt: skip
    with EdgeProcess(tmp_path_factory.mktemp("edge"), stunnel, more=more) as edge:
        yield edge


@pytest.fixture(scope="module")
def kamailio(
    edge: EdgeProcess, stunnel: StunnelServer, ports: KamailioPorts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kamailio]:
    with Kamailio(tmp_path_factory.mktemp("kamailio"), stunnel.folder, ports, edge) as kamailio:
        yield kamailio


def test_kamailios_options_pings_are_answered_200_rfc3261_11_2(kamailio: Kamailio, peers: SippPeers) -> None:
    assert f"UP sip:{HOST}:{peers.edge.tls_port};transport=tls" in kamailio.printed
    assert "DOWN" not in kamailio.printed


def test_a_caller_behind_kamailio_ends_the_call_with_bye_rfc3261_16_12(
    kamailio: Kamailio, peers: SippPeers
) -> None:
    agent = peers.agent("agent_talks")
    carrier = peers.carrier("plain_hangs_up", through=kamailio.ports.udp)
    peers.all_succeed(carrier, agent)
    (record,) = peers.records()
    assert record["ended_by"] == "caller"


def test_our_bye_carries_both_of_kamailios_record_routes_rfc3261_12_2_1_1(
    kamailio: Kamailio, peers: SippPeers
) -> None:
    before = len(kamailio.in_dialog_requests("BYE"))
    phone = peers.phone("phone_hangs_up")
    agent = peers.agent("agent_refers")
    carrier = peers.carrier("plain_waits", through=kamailio.ports.udp)
    peers.all_succeed(carrier, agent, phone)
    (seen,) = kamailio.in_dialog_requests("BYE")[before:]
    assert has_both_record_routes(kamailio.ports, seen), seen
    (record,) = peers.records()
    assert record["outcome"]["result"] == "bridged"


def test_session_refreshes_by_update_and_by_reinvite_pass_through_kamailio_rfc4028_9(
    kamailio: Kamailio, peers: SippPeers
) -> None:
    agent = peers.agent("agent_talks")
    carrier = peers.carrier("plain_refreshes", through=kamailio.ports.udp)
    peers.all_succeed(carrier, agent)
    (record,) = peers.records()
    assert record["ended_by"] == "caller"


def test_a_reliable_180_is_pracked_through_kamailio_rfc3262_3(kamailio: Kamailio, peers: SippPeers) -> None:
    agent = peers.agent("agent_talks")
    carrier = peers.carrier("plain_pracks", through=kamailio.ports.udp)
    peers.all_succeed(carrier, agent)
    (record,) = peers.records()
    assert record["ended_by"] == "caller"


def test_a_cancel_through_kamailio_cancels_the_agents_invite_rfc3261_9_2(
    kamailio: Kamailio, peers: SippPeers
) -> None:
    agent = peers.agent("agent_rings")
    carrier = peers.carrier("plain_cancels", through=kamailio.ports.udp)
    peers.all_succeed(carrier, agent)
    (record,) = peers.records()
    assert (record["outcome"]["result"], record["answered"]) == ("caller left", None)


def test_a_phone_behind_kamailio_is_reached_after_a_407_and_gets_our_bye_rfc3261_22_3(
    kamailio: Kamailio, peers: SippPeers
) -> None:
    known, byes, acks = (
        kamailio.printed.count("KNOWN"),
        len(kamailio.in_dialog_requests("BYE")),
        len(kamailio.in_dialog_requests("ACK")),
    )
    phone = peers.phone("routed_phone_answers", port=kamailio.ports.phone)
    agent = peers.agent("agent_refers")
    carrier = peers.carrier("plain_hangs_up", dialed=BEYOND, talk_s=1.5)
    peers.all_succeed(carrier, agent, phone)
    assert kamailio.printed.count("KNOWN") == known + 1
    seen = kamailio.in_dialog_requests("ACK")[acks:] + kamailio.in_dialog_requests("BYE")[byes:]
    assert len(seen) == 2
    for routes in seen:
        assert has_both_record_routes(kamailio.ports, routes), routes
    (record,) = peers.records()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "caller")


def test_a_phone_behind_kamailio_hangs_up_over_a_connection_that_kamailio_opens(
    kamailio: Kamailio, peers: SippPeers
) -> None:
    phone = peers.phone("routed_phone_hangs_up", port=kamailio.ports.phone)
    agent = peers.agent("agent_refers")
    carrier = peers.carrier("plain_waits", dialed=BEYOND)
    peers.all_succeed(carrier, agent, phone)
    (record,) = peers.records()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "phone")


def test_caller_and_phone_both_behind_kamailio_are_bridged(kamailio: Kamailio, peers: SippPeers) -> None:
    phone = peers.phone("routed_phone_answers", port=kamailio.ports.phone)
    agent = peers.agent("agent_refers")
    carrier = peers.carrier("plain_hangs_up", dialed=BEYOND, talk_s=1.5, through=kamailio.ports.udp)
    until(lambda: "result=bridged" in peers.log, "the caller is bridged")
    peers.all_succeed(carrier, agent, phone)
    (record,) = peers.records()
    assert record["outcome"]["result"] == "bridged"


def test_a_503_from_kamailio_fails_over_to_the_next_destination_rfc3261_21_5_4(
    kamailio: Kamailio, peers: SippPeers
) -> None:
    phone = peers.phone("phone_answers")
    carrier = peers.carrier("plain_hangs_up", dialed=FAILS_OVER, talk_s=1.0, through=kamailio.ports.udp)
    peers.all_succeed(carrier, phone)
    peers.assert_authenticated(phone)
    (record,) = peers.records()
    assert record["outcome"]["result"] == "bridged"


def test_kamailio_answers_our_options_probe_and_the_trunk_is_up_rfc3261_11_1(
    kamailio: Kamailio, peers: SippPeers
) -> None:
    kamailio.wait_for_log("PROBED by tls")
    until(lambda: peers.edge.health["peers"]["trunk:kamailio"] == "up", "the trunk is known to be up")
