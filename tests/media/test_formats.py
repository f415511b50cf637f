"""Audio formats: identity, pass-through and clock rate."""

from proxy.media.formats import G722, OPUS, PCMA, PCMU, AudioFormat, carries, clock_rate


def test_format_is_identified_by_name_rate_and_channels_not_by_payload_type():
    assert AudioFormat("pcmu", 8000, 96).key == PCMU.key == "pcmu/8000"
    assert OPUS.key == "opus/48000/2"
    assert OPUS.encoding == "opus/48000/2"
    assert PCMA.encoding == "PCMA/8000"


def test_g711_laws_are_interchangeable_and_other_codecs_are_not():
    assert carries(PCMU.key, PCMA.key)
    assert carries(G722.key, G722.key)
    assert not carries(G722.key, PCMU.key)
    assert not carries(PCMU.key, OPUS.key)


def test_renumbering_drops_parameters():
    assert AudioFormat("opus", 48000, 107, 2, "useinbandfec=1").with_pt(111) == AudioFormat(
        "opus", 48000, 111, 2
    )


def test_clock_rate_comes_from_the_key():
    assert clock_rate(OPUS.key) == 48000
    assert clock_rate(G722.key) == 8000
