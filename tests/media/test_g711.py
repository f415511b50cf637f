"""G.711 mu-law and A-law encoding and decoding."""

import struct
from array import array

import pytest

from proxy.media.g711 import (
    PCMA_SAMPLES,
    PCMA_TO_PCMU,
    PCMU_SAMPLES,
    PCMU_SILENCE,
    PCMU_TO_PCMA,
    audible,
    to_linear,
    to_pcma,
    to_pcmu,
)


def test_mu_law_reference_points_of_g711():
    assert PCMU_SAMPLES[0xFF] == 0
    assert PCMU_SAMPLES[0x80] == 32124
    assert PCMU_SAMPLES[0x00] == -32124
    assert to_pcmu([0, 32767, -32768]) == bytes([0xFF, 0x80, 0x00])


def test_a_law_reference_points_of_g711():
    assert PCMA_SAMPLES[0xD5] == 8
    assert PCMA_SAMPLES[0x55] == -8
    assert PCMA_SAMPLES[0xAA] == 32256
    assert PCMA_SAMPLES[0x2A] == -32256
    assert to_pcma([0, 32767, -32768]) == bytes([0xD5, 0xAA, 0x2A])


def test_every_octet_survives_a_linear_round_trip():
    assert to_pcma(PCMA_SAMPLES) == bytes(range(256))
    back = to_pcmu(PCMU_SAMPLES)
    assert [PCMU_SAMPLES[octet] for octet in back] == list(PCMU_SAMPLES)


@pytest.mark.parametrize(
    ("table", "source", "target"),
    [(PCMU_TO_PCMA, PCMU_SAMPLES, PCMA_SAMPLES), (PCMA_TO_PCMU, PCMA_SAMPLES, PCMU_SAMPLES)],
)
def test_translation_stays_within_a_quantisation_step(table, source, target):
    for octet in range(256):
        wanted, got = source[octet], target[table[octet]]
        assert abs(wanted - got) <= max(16, abs(wanted) / 16)


def test_linear_is_little_endian_16_bit():
    assert to_linear("pcmu/8000", b"\x80\xff") == struct.pack("<hh", 32124, 0)
    assert to_linear("pcma/8000", b"\xd5") == struct.pack("<h", 8)


@pytest.mark.parametrize("key", ["pcmu/8000", "pcma/8000"])
def test_silence_is_inaudible_and_speech_audible(key):
    silence = {"pcmu/8000": PCMU_SILENCE, "pcma/8000": 0xD5}[key]
    assert not audible(key, bytes([silence]) * 160)
    assert audible(key, bytes(range(160)))
    assert audible("opus/48000/2", b"anything")


@pytest.mark.parametrize("encode", [to_pcmu, to_pcma])
def test_array_and_list_are_encoded_alike_and_clipped(encode):
    samples = range(-32768, 32768)
    assert encode(array("h", samples)) == encode(list(samples))
    assert encode([70000, -70000]) == encode([32767, -32768])
