"""Calls through Kamailio: UDP to the carrier, TLS to us, two Record-Routes per call (r2=on).

SignalWire's calls arrive the same way. Kamailio's auth and dispatcher modules are used as well.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sipp.edge_process import HOST, PHONE, EdgeProcess, Gate
from tests.sipp.house import House
from tests.sipp.kamailio import OUT_OF_SERVICE, USERNAME, Kamailio, KamailioPorts, both_routes
from tests.sipp.process import until

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
def edge(gate: Gate, ports: KamailioPorts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeProcess]:
    more = SETTINGS.format(
        tls=ports.tls, username=USERNAME, beyond=BEYOND, phone=PHONE, fails_over=FAILS_OVER,
        out_of_service=OUT_OF_SERVICE,
    )  # fmt: skip
    with EdgeProcess(tmp_path_factory.mktemp("edge"), gate, more=more) as edge:
        yield edge


@pytest.fixture(scope="module")
def kamailio(
    edge: EdgeProcess, gate: Gate, ports: KamailioPorts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kamailio]:
    with Kamailio(tmp_path_factory.mktemp("kamailio"), gate.folder, ports, edge) as kamailio:
        yield kamailio


def test_its_options_keepalive_is_answered_200_rfc3261_11_2(kamailio: Kamailio, house: House) -> None:
    assert f"UP sip:{HOST}:{house.edge.tls_port};transport=tls" in kamailio.said
    assert "DOWN" not in kamailio.said


def test_a_caller_behind_it_hangs_up_rfc3261_16_12(kamailio: Kamailio, house: House) -> None:
    agent = house.agent("agent_talks")
    carrier = house.carrier("plain_hangs_up", through=kamailio.ports.udp)
    house.all_succeed(carrier, agent)
    (record,) = house.records()
    assert record["ended_by"] == "caller"


def test_our_bye_names_both_of_its_routes_rfc3261_12_2_1_1(kamailio: Kamailio, house: House) -> None:
    before = len(kamailio.within("BYE"))
    phone = house.phone("phone_hangs_up")
    agent = house.agent("agent_refers")
    carrier = house.carrier("plain_waits", through=kamailio.ports.udp)
    house.all_succeed(carrier, agent, phone)
    (seen,) = kamailio.within("BYE")[before:]
    assert both_routes(kamailio.ports, seen), seen
    (record,) = house.records()
    assert record["outcome"]["result"] == "bridged"


def test_a_session_is_refreshed_through_it_by_update_and_by_re_invite_rfc4028_9(
    kamailio: Kamailio, house: House
) -> None:
    agent = house.agent("agent_talks")
    carrier = house.carrier("plain_refreshes", through=kamailio.ports.udp)
    house.all_succeed(carrier, agent)
    (record,) = house.records()
    assert record["ended_by"] == "caller"


def test_reliable_ringing_is_acknowledged_through_it_rfc3262_3(kamailio: Kamailio, house: House) -> None:
    agent = house.agent("agent_talks")
    carrier = house.carrier("plain_pracks", through=kamailio.ports.udp)
    house.all_succeed(carrier, agent)
    (record,) = house.records()
    assert record["ended_by"] == "caller"


def test_a_cancel_through_it_ends_the_agents_call_rfc3261_9_2(kamailio: Kamailio, house: House) -> None:
    agent = house.agent("agent_rings")
    carrier = house.carrier("plain_cancels", through=kamailio.ports.udp)
    house.all_succeed(carrier, agent)
    (record,) = house.records()
    assert (record["outcome"]["result"], record["answered"]) == ("caller left", None)


def test_the_phone_beyond_it_is_reached_with_a_password_and_hung_up_on_rfc3261_22_3(
    kamailio: Kamailio, house: House
) -> None:
    known, byes, acks = kamailio.said.count("KNOWN"), len(kamailio.within("BYE")), len(kamailio.within("ACK"))
    phone = house.phone("routed_phone_answers", port=kamailio.ports.phone)
    agent = house.agent("agent_refers")
    carrier = house.carrier("plain_hangs_up", dialed=BEYOND, talk_s=1.5)
    house.all_succeed(carrier, agent, phone)
    assert kamailio.said.count("KNOWN") == known + 1
    seen = kamailio.within("ACK")[acks:] + kamailio.within("BYE")[byes:]
    assert len(seen) == 2
    for routes in seen:
        assert both_routes(kamailio.ports, routes), routes
    (record,) = house.records()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "caller")


def test_the_phone_beyond_it_hangs_up_over_a_connection_of_kamailios_own(
    kamailio: Kamailio, house: House
) -> None:
    phone = house.phone("routed_phone_hangs_up", port=kamailio.ports.phone)
    agent = house.agent("agent_refers")
    carrier = house.carrier("plain_waits", dialed=BEYOND)
    house.all_succeed(carrier, agent, phone)
    (record,) = house.records()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "phone")


def test_both_sides_may_be_behind_it_at_once(kamailio: Kamailio, house: House) -> None:
    phone = house.phone("routed_phone_answers", port=kamailio.ports.phone)
    agent = house.agent("agent_refers")
    carrier = house.carrier("plain_hangs_up", dialed=BEYOND, talk_s=1.5, through=kamailio.ports.udp)
    until(lambda: "result=bridged" in house.log, "the caller is bridged")
    house.all_succeed(carrier, agent, phone)
    (record,) = house.records()
    assert record["outcome"]["result"] == "bridged"


def test_its_503_leads_to_the_next_destination_rfc3261_21_5_4(kamailio: Kamailio, house: House) -> None:
    phone = house.phone("phone_answers")
    carrier = house.carrier("plain_hangs_up", dialed=FAILS_OVER, talk_s=1.0, through=kamailio.ports.udp)
    house.all_succeed(carrier, phone)
    house.assert_authenticated(phone)
    (record,) = house.records()
    assert record["outcome"]["result"] == "bridged"


def test_it_answers_the_edges_own_options_rfc3261_11_1(kamailio: Kamailio, house: House) -> None:
    kamailio.says("PROBED by tls")
    until(lambda: house.edge.health["peers"]["trunk:kamailio"] == "up", "the trunk is known to be up")
