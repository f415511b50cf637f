"""Plain calls over UDP, TCP and TLS; session refreshes, late offers, redirects, 100rel and REGISTER."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sipp.edge_process import HOST, EdgeProcess, StunnelServer
from tests.sipp.ports import free_port
from tests.sipp.process import until
from tests.sipp.registering import register
from tests.sipp.rtp_endpoint import PACKETS, RtpEndpoint, exchange_audio
from tests.sipp.sipp_peers import SippPeers
from tests.sipp.stunnel_client import StunnelClient

pytestmark = pytest.mark.network

FORWARDED, ALICES = "+14155554444", "+14155554445"
UNWANTED, REJECTED = "+14155554446", "+14155554447"
ALICE = "alice"
FIRST, SECOND = "first", "second"
SETTINGS = """
[[number]]
dialed = "{forwarded}"
screen = "off"
destinations = ["sip:first@127.0.0.1:{first}", "sip:second@127.0.0.1:{second}"]
ring_limit_s = 10

[[phone]]
name = "{alice}"
password = "env:SIPP_TRUNK_PASSWORD"

[[number]]
dialed = "{alices}"
screen = "off"
destinations = ["sip:{alice}@registered"]
ring_limit_s = 10

[[number]]
dialed = "{unwanted}"
block = ["+13475550148"]
block_with = 607
destinations = ["sip:{alice}@registered"]

[[number]]
dialed = "{rejected}"
block = ["+13475550100..+13475550199"]
block_with = 608
reject_card = "https://example.com/complaints.jws"
destinations = ["sip:{alice}@registered"]
"""


@pytest.fixture(scope="module")
def desks() -> dict[str, int]:
    """The ports of two phones that are called directly, not through a trunk."""
    return {FIRST: free_port(), SECOND: free_port()}


@pytest.fixture(scope="module")
def edge(
    stunnel: StunnelServer, desks: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EdgeProcess]:
    told = {"forwarded": FORWARDED, "alices": ALICES, "unwanted": UNWANTED, "rejected": REJECTED}
    more = SETTINGS.format(alice=ALICE, **told, **desks)
    with EdgeProcess(tmp_path_factory.mktemp("edge"), stunnel, more=more) as edge:
        yield edge


@pytest.fixture(params=["udp", "tcp", "tls"])
def way(
    request: pytest.FixtureRequest, edge: EdgeProcess, stunnel: StunnelServer, tmp_path: Path
) -> Iterator[dict[str, object]]:
    """How a caller reaches the edge: UDP, TCP, or TLS through stunnel; arguments of `SippPeers.carrier`."""
    if request.param != "tls":
        yield {"transport": request.param}
        return
    with StunnelClient(tmp_path, stunnel.folder, edge) as stunnel_client:
        yield {"transport": "tcp", "via": "tls", "through": stunnel_client.port}


def test_caller_and_agent_hear_each_other_until_the_callers_bye_rfc3261_15(
    peers: SippPeers, way: dict[str, object]
) -> None:
    with RtpEndpoint(b"A") as agent_audio, RtpEndpoint(b"C") as caller_audio:
        agent = peers.agent("agent_talks", audio=agent_audio.port)
        carrier = peers.carrier("plain_hangs_up", audio=caller_audio.port, talk_s=1.5, **way)
        until(lambda: peers.ports_of(carrier), "the caller is answered")
        heard = exchange_audio(caller_audio, peers.port_of(carrier), agent_audio, peers.port_of(agent))
    peers.all_succeed(carrier, agent)
    assert min(heard) > PACKETS / 2, f"caller and agent heard {heard} of {PACKETS} packets of each other"
    (record,) = peers.records()
    assert record["ended_by"] == "caller"


def test_when_the_phone_hangs_up_the_bye_reaches_the_caller_on_its_transport_rfc3261_12_2_1_1(
    peers: SippPeers, way: dict[str, object]
) -> None:
    phone = peers.phone("phone_hangs_up")
    agent = peers.agent("agent_refers")
    carrier = peers.carrier("plain_waits", **way)
    peers.all_succeed(carrier, agent, phone)
    (record,) = peers.records()
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "phone")


def test_a_cancelled_invite_gets_487_and_the_agents_invite_is_cancelled_rfc3261_9(
    peers: SippPeers, way: dict[str, object]
) -> None:
    agent = peers.agent("agent_rings")
    carrier = peers.carrier("plain_cancels", **way)
    peers.all_succeed(carrier, agent)
    (record,) = peers.records()
    assert (record["outcome"]["result"], record["answered"]) == ("caller left", None)


def test_a_caller_refreshes_the_session_by_update_and_by_reinvite_rfc4028_9(
    peers: SippPeers, way: dict[str, object]
) -> None:
    agent = peers.agent("agent_talks")
    carrier = peers.carrier("plain_refreshes", **way)
    peers.all_succeed(carrier, agent)
    (record,) = peers.records()
    assert record["ended_by"] == "caller"


def test_an_invite_without_offer_is_answered_with_our_offer_rfc3261_13_2_1(peers: SippPeers) -> None:
    with RtpEndpoint(b"A") as agent_audio, RtpEndpoint(b"C") as caller_audio:
        agent = peers.agent("agent_talks", audio=agent_audio.port)
        carrier = peers.carrier("plain_offers_late", audio=caller_audio.port, talk_s=1.5)
        until(lambda: peers.ports_of(carrier), "the caller is answered")
        heard = exchange_audio(caller_audio, peers.port_of(carrier), agent_audio, peers.port_of(agent))
    peers.all_succeed(carrier, agent)
    assert min(heard) > PACKETS / 2, f"caller and agent heard {heard} of {PACKETS} packets of each other"
    (record,) = peers.records()
    assert record["ended_by"] == "caller"


def test_a_302_rings_another_destination_of_the_number_rfc3261_8_1_3_4(
    peers: SippPeers, desks: dict[str, int]
) -> None:
    moved_to = f"sip:{SECOND}@{HOST}:{desks[SECOND]}"
    first = peers.phone("phone_redirects", port=desks[FIRST], moved_to=moved_to)
    second = peers.phone("plain_phone_answers", port=desks[SECOND])
    carrier = peers.carrier("plain_hangs_up", dialed=FORWARDED, talk_s=1.0)
    peers.all_succeed(carrier, first, second)
    assert "redirected" in peers.log
    (record,) = peers.records()
    assert record["outcome"]["result"] == "bridged"


def test_a_302_to_an_unconfigured_target_is_not_followed_rfc3261_8_1_3_4(
    peers: SippPeers, desks: dict[str, int]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind((HOST, 0))
        moved_to = f"sip:{SECOND}@{HOST}:{elsewhere.getsockname()[1]}"
        first = peers.phone("phone_redirects", port=desks[FIRST], moved_to=moved_to)
        second = peers.phone("plain_phone_answers", port=desks[SECOND])
        carrier = peers.carrier("plain_hangs_up", dialed=FORWARDED, talk_s=1.0)
        peers.all_succeed(carrier, first, second)
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.recv(65536)
    assert "redirection not followed" in peers.log


def test_a_caller_that_requires_100rel_gets_a_reliable_180_rfc3262_3(
    peers: SippPeers, way: dict[str, object]
) -> None:
    agent = peers.agent("agent_talks")
    carrier = peers.carrier("plain_pracks", **way)
    peers.all_succeed(carrier, agent)
    (record,) = peers.records()
    assert record["ended_by"] == "caller"


def test_a_phones_reliable_180_gets_a_prack_rfc3262_4(peers: SippPeers, desks: dict[str, int]) -> None:
    phone = peers.phone("phone_rings_reliably", port=desks[FIRST])
    carrier = peers.carrier("plain_hangs_up", dialed=FORWARDED, talk_s=1.0)
    peers.all_succeed(carrier, phone)
    (record,) = peers.records()
    assert record["outcome"]["result"] == "bridged"


def test_a_phone_registered_with_sha_256_is_called_at_its_contact_rfc8760_2(peers: SippPeers) -> None:
    port = free_port()
    challenged, registered = register(ALICE, port, peers.edge.port)
    assert challenged.startswith("SIP/2.0 401 ")
    assert registered.startswith("SIP/2.0 200 "), registered
    phone = peers.phone("plain_phone_answers", port=port)
    carrier = peers.carrier("plain_hangs_up", dialed=ALICES, talk_s=1.0)
    peers.all_succeed(carrier, phone)
    (record,) = peers.records()
    assert record["outcome"]["result"] == "bridged"


@pytest.mark.parametrize(
    ("dialed", "said"),
    [
        (UNWANTED, "refused 607 Q.850;cause=21;"),
        (REJECTED, "<https://example.com/complaints.jws>;purpose=jwscard"),
    ],
    ids=["rfc8197", "rfc8688"],
)
def test_a_caller_on_the_block_list_gets_607_or_608_as_configured(
    peers: SippPeers, dialed: str, said: str
) -> None:
    carrier = peers.carrier("carrier_refused", dialed=dialed)
    peers.all_succeed(carrier)
    assert said in carrier.notes
    (record,) = peers.records()
    assert (record["outcome"]["result"], record["answered"]) == ("refused", None)
    assert [leg["name"] for leg in record["legs"]] == ["caller"]
