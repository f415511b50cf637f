"""Call quality: the E-model score (ITU-T G.107), and the likely cause of a silent leg."""

import asyncio

import pytest

from proxy.media.quality import DirectionQuality, Quality, mos


def test_mos_falls_with_loss_and_delay_and_stays_in_range_g107():
    assert mos(0.0, 0.0) == 4.41  # R 93.2, the default of G.107
    assert mos(0.0, 150.0) == pytest.approx(4.34, abs=0.03)
    assert mos(0.02, 50.0) == pytest.approx(4.2, abs=0.1)
    by_loss = [mos(percent / 100, 50.0) for percent in (0, 1, 2, 5, 10, 20, 50, 100)]
    by_delay = [mos(0.0, delay) for delay in (0, 100, 177, 250, 400, 1000, 5000)]
    for marks in (by_loss, by_delay):
        assert marks == sorted(marks, reverse=True)
        assert all(1.0 <= mark <= 4.5 for mark in marks)


@pytest.mark.parametrize(
    ("quality", "likely"),
    [
        (Quality(DirectionQuality(), DirectionQuality(99)), None),
        (Quality(DirectionQuality(1), DirectionQuality(500)), None),
        (Quality(DirectionQuality(), DirectionQuality(500)), "firewall"),
        (Quality(DirectionQuality(), DirectionQuality(500), dropped=400, unauthentic=400), "SRTP"),
        (Quality(DirectionQuality(), DirectionQuality(500), dropped=400), "not usable"),
    ],
)
def test_silent_leg_has_a_likely_cause(quality, likely):
    assert (quality.silent is None) if likely is None else (likely in str(quality.silent))


async def test_quality_reports_loss_reordering_duplicates_and_gaps(rig):
    caller = rig.incoming("caller")
    rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await caller.send_speech(100)
    caller.sequence, caller.timestamp = caller.sequence + 5, caller.timestamp + 800
    await asyncio.sleep(0.1)
    await caller.send_speech(50)
    caller.send(caller.sequence - 52, caller.timestamp - 52 * 160)
    caller.send(caller.sequence - 1, caller.timestamp - 160)
    await asyncio.sleep(0.001)
    heard = rig.session.quality("caller").heard
    assert (heard.packets, heard.lost, heard.reordered, heard.duplicates) == (152, 4, 1, 1)
    assert heard.longest_gap_ms == pytest.approx(120, abs=1)
    assert heard.jitter_ms == pytest.approx(0, abs=0.1)
    assert heard.mos is not None
    assert 3.5 < heard.mos < 4.39
    assert rig.session.quality("agent").sent.packets == 152
    rig.session.release("caller")
    assert rig.session.quality("caller").heard == heard
    assert rig.session.quality("nobody") == Quality()


async def test_codec_unknown_to_the_e_model_has_no_mos(rig):
    caller = rig.incoming("caller", "9 101")
    await caller.send_speech(100, pt=9)
    heard = rig.session.quality("caller").heard
    assert (heard.packets, heard.mos) == (100, None)


async def test_quiet_time_counts_from_the_last_packet_or_report_and_not_during_hold(rig):
    assert rig.session.quiet_s("caller") is None
    caller = rig.incoming("caller")
    await asyncio.sleep(5)
    assert rig.session.quiet_s("caller") == pytest.approx(5)
    await caller.send_speech(1)
    assert rig.session.quiet_s("caller") == pytest.approx(0.02)
    await asyncio.sleep(10)
    caller.send(caller.sequence, caller.timestamp, pt=13)  # comfort noise, though not negotiated
    await asyncio.sleep(1)
    assert rig.session.quiet_s("caller") == pytest.approx(1)
    caller.send_raw(bytes.fromhex("80c90001") + caller.ssrc.to_bytes(4), rtcp=True)
    await asyncio.sleep(0.5)
    assert rig.session.quiet_s("caller") == pytest.approx(0.5)
    for held in ("a=inactive", "a=recvonly", "a=sendonly"):  # many phones send nothing during hold
        rig.session.accept("caller", caller.sdp("0 8 101", held))
        assert rig.session.quiet_s("caller") is None
    rig.session.accept("caller", caller.sdp())
    await asyncio.sleep(2)
    assert rig.session.quiet_s("caller") == pytest.approx(2)


async def test_repeated_packet_in_an_unusable_format_does_not_break_the_statistics(rig):
    caller = rig.incoming("caller")
    rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await caller.send_speech(1)
    caller.send(1000, 50000, pt=75)
    await asyncio.sleep(0.01)
    quality = rig.session.quality("caller")
    assert (quality.heard.packets, quality.heard.lost, quality.dropped) == (1, 0, 1)
    rig.session.release("caller")
    assert rig.session.quality("caller") == quality
