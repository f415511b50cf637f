"""Long silences are found, and only at peers that listen."""

from __future__ import annotations

import pytest

from proxy.lab.audio import AGENT_HZ
from screening.contract import TakeMessage
from tests.kit.edge import OPENAI, Edge, an_edge
from tests.kit.silences import Silence, silences

pytestmark = pytest.mark.virtual


@pytest.fixture
async def edge(tmp_path):
    async with an_edge(tmp_path) as edge:
        yield edge


def heard_by_the_caller(edge: Edge) -> list[Silence]:
    return silences(edge.carrier, edge.caller_audio, edge.now, longer_than_s=2.0)


def mute(edge: Edge) -> None:
    edge.media.lose = lambda source, to, packet: to == edge.caller_audio.address


async def test_a_call_with_continuous_audio_has_no_silence(edge: Edge) -> None:
    await edge.connects()
    await edge.time_passes(5)
    assert edge.caller_audio.hears(AGENT_HZ)
    assert heard_by_the_caller(edge) == []
    await edge.carrier.hangs_up()
    await edge.time_passes(5)
    assert heard_by_the_caller(edge) == []


async def test_silence_is_found_while_it_lasts_and_afterwards(edge: Edge) -> None:
    await edge.connects()
    mute(edge)
    began = edge.now
    await edge.time_passes(3)
    assert [(each.peer, round(each.seconds)) for each in heard_by_the_caller(edge)] == [("carrier", 3)]
    edge.media.lose = lambda source, to, packet: False
    await edge.time_passes(3)
    (found,) = heard_by_the_caller(edge)
    assert (found.began, found.seconds) == (pytest.approx(began, abs=0.05), pytest.approx(3.0, abs=0.05))
    with pytest.raises(AssertionError):
        edge.assert_no_long_silence()
    edge.excused_silence = lambda silence: silence.peer == "carrier"
    edge.assert_no_long_silence()
    await edge.carrier.hangs_up()


async def test_inaudible_packets_count_as_silence_if_audibly_is_set(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(TakeMessage("asks to be called back"))
    await edge.time_passes(6)  # of a message, to which nobody says anything
    assert heard_by_the_caller(edge) == []
    (lull,) = silences(edge.carrier, edge.caller_audio, edge.now, longer_than_s=2.0, audibly=True)
    assert lull.seconds == pytest.approx(5.6, abs=0.1)
    await edge.carrier.hangs_up()


async def test_a_peer_that_holds_the_call_is_not_listening_until_it_resumes(edge: Edge) -> None:
    await edge.connects()
    await edge.carrier.reinvites(hold=True)
    await edge.time_passes(5)
    assert heard_by_the_caller(edge) == []
    await edge.carrier.reinvites(hold=False)
    mute(edge)
    await edge.time_passes(5)
    assert len(heard_by_the_caller(edge)) == 1
    await edge.carrier.hangs_up()


async def test_an_unanswered_or_rejected_peer_is_not_listening(edge: Edge) -> None:
    await edge.carrier.invites()
    await edge.time_passes(5)
    assert heard_by_the_caller(edge) == []
    await edge.agent.rejects(503)
    await edge.phone.rejects(486)
    await edge.time_passes(5)
    for peer, audio in ((edge.agent, edge.agent_audio), (edge.phone, edge.phone_audio)):
        assert silences(peer, audio, edge.now, longer_than_s=2.0) == []
    assert edge.agent_audio.address[0] == OPENAI
    await edge.carrier.hangs_up()
