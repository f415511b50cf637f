"""Call-progress tones: frequencies and cadences by country (ITU-T E.180), and the beep."""

from itertools import pairwise

import pytest

from proxy.lab.audio import frequencies_in
from proxy.media.g711 import PCMU_SAMPLES
from proxy.media.tones import COUNTRIES, FRAME_SAMPLES, SAME_AS, beep, quiet, tone, tones_of

KEY = "pcmu/8000"
SILENCE = b"\xff" * FRAME_SAMPLES
KNOWN = (350, 400, 440, 600, 1000)


def _frequencies(frame: bytes) -> tuple[int, ...]:
    return frequencies_in([PCMU_SAMPLES[octet] for octet in frame], KNOWN)


def _cadence(clip) -> list[float]:
    """Durations on, off, on, off … in seconds, to 20 ms."""
    loud = [frame != SILENCE for frame in clip.frames(KEY)]
    changes = [0, *(n for n, (a, b) in enumerate(pairwise(loud), 1) if a != b), len(loud)]
    return [round(0.02 * (b - a), 2) for a, b in pairwise(changes)]


def test_ringback_is_two_seconds_of_440_and_480_hz_and_four_of_silence_e180():
    frames = tones_of("us").ringback.frames(KEY)
    assert len(frames) == 300
    assert all(len(frame) == FRAME_SAMPLES for frame in frames)
    assert all(_frequencies(frame) == (440,) for frame in frames[10:20])
    assert set(frames[100:]) == {SILENCE}


@pytest.mark.parametrize(
    ("country", "ringback", "busy"),
    [
        ("us", [2.0, 4.0], [0.5, 0.5]),
        ("gb", [0.4, 0.2, 0.4, 2.0], [0.38, 0.36, 0.38, 0.38]),
        ("de", [1.0, 4.0], [0.48, 0.48]),
        ("fr", [1.5, 3.5], [0.5, 0.5]),
        ("es", [1.5, 3.0], [0.2, 0.2]),
        ("it", [1.0, 4.0], [0.5, 0.5]),
        ("jp", [1.0, 2.0], [0.5, 0.5]),
        ("in", [0.4, 0.2, 0.4, 2.0], [0.76, 0.74] * 2),
        ("br", [1.0, 4.0], [0.26, 0.24] * 2),
        ("eu", [1.0, 4.0], [0.5, 0.5]),
    ],
)
def test_ringback_and_busy_cadences_by_country_e180(country, ringback, busy):
    assert _cadence(tones_of(country).ringback) == ringback
    assert _cadence(tones_of(country).busy) == pytest.approx(
        busy[: len(_cadence(tones_of(country).busy))], abs=0.021
    )


@pytest.mark.parametrize("country", [*COUNTRIES, *SAME_AS])
def test_every_country_s_tones_are_audible_and_fill_whole_frames(country):
    tones = tones_of(country)
    assert tones.name == country
    for clip in (tones.ringback, tones.busy, tones.congestion, tones.hold):
        frames = clip.frames(KEY)
        assert {len(frame) for frame in frames} == {FRAME_SAMPLES}
        assert 0.2 <= clip.seconds <= 12
        assert sum(frame != SILENCE for frame in frames) > 5


def test_hold_tone_pauses_for_less_than_two_seconds():
    assert max(_cadence(tones_of("us").hold)) < 2.0


def test_unknown_country_has_the_default_tones_and_canada_those_of_the_us():
    assert tones_of("aq").ringback is tones_of("eu").ringback
    assert tones_of("ca").ringback is tones_of("us").ringback


def test_tone_longer_than_a_second_has_no_click_at_the_repetition():
    samples = [PCMU_SAMPLES[octet] for frame in tone((440, 480), (2.0,)).frames(KEY) for octet in frame]
    steps = [abs(b - a) for a, b in pairwise(samples)]
    assert steps[7999] <= max(steps[:7999])


def test_beep_is_0_4_s_of_1000_hz():
    assert len(beep()) == 20
    assert {_frequencies(frame) for frame in beep().frames(KEY)} == {(1000,)}


def test_quiet_is_one_frame_of_silence():
    assert quiet().frames(KEY) == (SILENCE,)
