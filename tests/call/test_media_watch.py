"""Media inactivity: a leg that sends no audio is reported with the likely cause, then ended."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from proxy.call.outcome import Result
from proxy.call.record import LegRecord
from proxy.call.routing import Agent
from proxy.media.udp import Address
from screening.contract import Ask
from screening.settings import ScreeningSettings
from screening.sip_agent import SipScreening
from tests.kit import edge as kit
from tests.kit.edge import EDGE, TRUNK, Edge, NewEdge, a_number, leg_ends, summary
from tests.kit.virtual_loop import stoppable


def falls_silent(edge: Edge) -> None:
    """Let the final check accept silence: in this test a peer stops sending audio."""
    edge.excused_silence = lambda silence: True


def leg(edge: Edge, name: str) -> LegRecord:
    return next(each for each in edge.record.legs if each.name == name)


async def test_a_phone_without_audio_for_60_s_is_hung_up_with_the_reason(
    edge: Edge, capsys: pytest.CaptureFixture[str]
) -> None:
    await edge.bridges()
    assert edge.phone_audio is not None
    edge.phone_audio.stop()
    falls_silent(edge)
    since = edge.now
    bye = await edge.phone.receives("BYE", within_s=80)
    assert 60 <= edge.now - since <= 66
    assert bye.headers.get("Reason") == 'Q.850;cause=102;text="no audio came any more"'
    await edge.carrier.receives("BYE")
    await edge.over()
    assert summary(edge.record) == (Result.BRIDGED, "ALLOW", "refer", None)
    assert ("phone", "no audio came any more") in leg_ends(edge.record)
    assert "stopped" in str(leg(edge, "phone").silent)
    told = "".join(capsys.readouterr())
    assert told.count("likely=") == 1
    await edge.assert_clean()


@pytest.mark.parametrize("hours", [-5, 5])
async def test_setting_the_system_clock_does_not_change_the_inactivity_timeout(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    await edge.bridges()
    assert edge.phone_audio is not None
    monkeypatch.setattr(kit, "BEGAN", kit.BEGAN + timedelta(hours=hours))
    await edge.time_passes(30)
    edge.phone_audio.stop()
    falls_silent(edge)
    since = edge.now
    await edge.phone.receives("BYE", within_s=80)
    assert 60 <= edge.now - since <= 66
    await edge.carrier.receives("BYE")
    await edge.over()


async def test_a_pause_of_our_own_process_does_not_count_as_media_inactivity(edge: Edge) -> None:
    await edge.bridges()
    await edge.time_passes(10)
    stoppable().stop_for(70)
    falls_silent(edge)
    await edge.time_passes(10)
    await edge.carrier.hangs_up()
    await edge.phone.receives("BYE")
    await edge.over()
    assert ("caller", "the peer hung up") in leg_ends(edge.record)
    assert [leg(edge, name).silent for name in ("caller", "phone")] == [None, None]
    await edge.assert_clean()


async def test_a_caller_without_audio_is_hung_up(edge: Edge) -> None:
    await edge.bridges()
    assert edge.caller_audio is not None
    edge.caller_audio.stop()
    falls_silent(edge)
    bye = await edge.carrier.receives("BYE", within_s=80)
    assert "no audio" in (bye.headers.get("Reason") or "")
    await edge.phone.receives("BYE")
    await edge.assert_clean()


async def test_an_agent_without_audio_is_hung_up_and_the_phone_is_rung(edge: Edge) -> None:
    await edge.connects()
    assert edge.agent_audio is not None
    edge.agent_audio.stop()
    falls_silent(edge)
    await edge.agent.receives("BYE", within_s=80)
    await edge.phone.answers()
    await edge.time_passes(1)
    await edge.carrier.hangs_up()
    await edge.over()
    assert summary(edge.record)[:3] == (Result.BRIDGED, None, "failure")
    await edge.assert_clean()


async def test_a_plain_sip_agent_without_audio_counts_as_failure_not_as_rejection(new_edge: NewEdge) -> None:
    bot = Agent("local", "sip:bot@sip.api.openai.com:5061;transport=udp")
    async with new_edge(number=a_number(agent=bot)) as edge:
        edge.screener.planned = Ask(SipScreening(ScreeningSettings(talk_limit_s=120.0)))
        await edge.connects()
        assert edge.agent_audio is not None
        edge.agent_audio.stop()
        falls_silent(edge)
        await edge.agent.receives("BYE", within_s=80)
        await edge.phone.answers()
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record)[:3] == (Result.BRIDGED, None, "failure")
        assert "the agent is gone: no audio came any more" in "\n".join(record.steps)
        await edge.assert_clean()


async def test_a_leg_on_hold_has_no_inactivity_timeout_rfc3264_8_4(edge: Edge) -> None:
    await edge.bridges()
    assert edge.caller_audio is not None
    await edge.carrier.reinvites(hold=True)
    edge.caller_audio.stop()
    falls_silent(edge)
    await edge.time_passes(300)
    assert not edge.records
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_with_inactivity_off_silence_ends_no_call_but_is_recorded(
    tmp_path: Path,
) -> None:
    edge = Edge(tmp_path)
    edge.inactivity_s = 0.0
    await edge.start()
    await edge.bridges()
    assert edge.phone_audio is not None
    edge.phone_audio.stop()
    falls_silent(edge)
    await edge.time_passes(300)
    assert not edge.records
    assert (await hung_up(edge)).silent is not None
    await edge.assert_clean()
    await edge.close()


async def test_a_phone_that_never_sent_audio_is_recorded_with_the_likely_cause(edge: Edge) -> None:
    assert edge.phone_audio is not None
    edge.media.lose = lambda source, to, packet: source[0] == TRUNK
    falls_silent(edge)
    await edge.bridges()
    await edge.time_passes(5)
    assert "firewall" in str((await hung_up(edge)).silent)
    await edge.assert_clean()


async def hung_up(edge: Edge) -> LegRecord:
    await edge.carrier.hangs_up()
    await edge.over()
    return leg(edge, "phone")


async def test_the_record_has_the_quality_of_each_leg(edge: Edge) -> None:
    await edge.bridges()
    await edge.time_passes(10)
    await hung_up(edge)
    record = edge.record.as_dict()
    legs = record["legs"]
    assert isinstance(legs, list)
    for each in legs:
        heard, sent = each["quality"]["heard"], each["quality"]["sent"]
        assert heard["packets"] > 30
        assert sent["packets"] > 30
        assert (heard["lost"], heard["duplicates"], each["silent"]) == (0, 0, None)
    assert legs[0]["quality"]["heard"]["mos"] > 4.3
    await edge.assert_clean()


async def test_if_all_peers_are_silent_none_is_recorded_as_silent(edge: Edge) -> None:
    await edge.bridges()
    for audio in (edge.caller_audio, edge.phone_audio):
        assert audio is not None
        audio.stop()
    falls_silent(edge)
    await edge.carrier.receives("BYE", within_s=80)
    await edge.over()
    assert [each.silent for each in edge.record.legs] == [None] * 3
    await edge.assert_clean()


async def test_an_unanswered_call_has_no_audio_quality_in_its_record(edge: Edge) -> None:
    await edge.carrier.invites()
    await edge.carrier.cancels()
    await edge.over()
    assert [each.quality for each in edge.record.legs] == [None] * len(edge.record.legs)
    await edge.assert_clean()


async def test_dtmf_by_info_is_relayed_as_rtp_events(edge: Edge) -> None:
    await edge.bridges()
    assert edge.phone_audio is not None
    keys: list[bytes] = []

    def taps(source: Address, to: Address, packet: bytes) -> bool:
        if source[0] == EDGE and to[0] == TRUNK and packet[1] & 0x7F == 101:
            keys.append(packet[12:])
        return False

    edge.media.lose = taps
    body, kind = b"Signal=5\r\nDuration=160\r\n", [("Content-Type", "application/dtmf-relay")]
    answer = await edge.carrier.current.requests("INFO", body=body, headers=kind)
    assert answer.status == 200
    await edge.time_passes(0.5)
    assert [key[0] for key in keys] == [5] * 10
    assert keys[-3:] == [bytes((5, 0x8A, 5, 0))] * 3
    assert not edge.phone_audio.line_breaks
    await edge.carrier.hangs_up()
    await edge.assert_clean()


@pytest.mark.parametrize("on_hold", [False, True])
async def test_a_call_that_reaches_its_maximum_length_is_ended(tmp_path: Path, on_hold: bool) -> None:
    edge = Edge(tmp_path)
    edge.call_limit_s = 60.0
    await edge.start()
    await edge.bridges()
    if on_hold:
        await edge.carrier.reinvites(hold=True)
        falls_silent(edge)
    bye = await edge.carrier.receives("BYE", within_s=80)
    assert bye.headers.get("Reason") == 'Q.850;cause=31;text="the call reached its maximum length"'
    await edge.phone.receives("BYE")
    await edge.over()
    assert edge.record.answered is not None
    assert edge.record.ended is not None
    assert 60 <= (edge.record.ended - edge.record.answered).total_seconds() <= 66
    assert summary(edge.record) == (Result.BRIDGED, "ALLOW", "refer", None)
    assert ("caller", "the call reached its maximum length") in leg_ends(edge.record)
    await edge.assert_clean()
    await edge.close()


async def test_a_call_without_a_maximum_length_goes_on(edge: Edge) -> None:
    await edge.bridges()
    await edge.time_passes(120)
    await edge.carrier.hangs_up()
    await edge.phone.receives("BYE")
    await edge.over()
    assert ("caller", "the peer hung up") in leg_ends(edge.record)
    await edge.assert_clean()
