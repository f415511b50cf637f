from proxy.lab.audio import frequencies_in
from proxy.media.g711 import PCMU_SAMPLES
from proxy.media.tone import FRAME_SAMPLES, SILENCE, beep, ringback


def _frequencies(frame: bytes) -> tuple[int, ...]:
    return frequencies_in([PCMU_SAMPLES[octet] for octet in frame], (440, 600, 1000))


def test_ringback_is_two_seconds_of_440_and_480_hz_and_four_of_silence():
    frames = ringback()
    assert len(frames) == 300
    assert all(len(frame) == FRAME_SAMPLES for frame in frames)
    assert all(_frequencies(frame) == (440,) for frame in frames[10:20])
    assert set(frames[100:]) == {SILENCE}


def test_the_beep_is_0_4_s_of_1000_hz():
    assert len(beep()) == 20
    assert {_frequencies(frame) for frame in beep()} == {(1000,)}
