"""SDP offer/answer: codec choice, payload types, hold and telephone events (RFC 3264, RFC 4733)."""

import pytest

from proxy.media.formats import OPUS, PCMA, PCMU, TELEPHONE_EVENT
from proxy.media.interface import MediaRefused
from proxy.media.local_sdp import describe
from proxy.media.negotiation import formats_to_offer, read_answer, read_offer
from proxy.media.sdp import Direction, parse_sdp

HEAD = "v=0\r\no=FreeSWITCH 17 18 IN IP4 192.0.2.13\r\ns=FreeSWITCH\r\nc=IN IP4 192.0.2.13\r\nt=0 0\r\n"
MAPS = {
    "0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000", "107": "opus/48000/2", "18": "G729/8000",
    "96": "telephone-event/8000", "101": "telephone-event/8000", "100": "telephone-event/48000",
    "110": "telephone-event/48000", "13": "CN/8000",
}  # fmt: skip
OPENAI = (
    b"v=0\r\no=- 1759803327 1759803329 IN IP4 192.0.2.112\r\ns=OAI\r\nc=IN IP4 192.0.2.112\r\nt=0 0\r\n"
    b"m=audio 47816 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n"
    b"a=rtpmap:0 PCMU/8000\r\n"
)


def _sdp(formats: str, *lines: str, port: int = 24586, protocol: str = "RTP/AVP", head: str = HEAD) -> bytes:
    text = [f"m=audio {port} {protocol} {formats}"]
    text += [f"a=rtpmap:{pt} {MAPS[pt]}" for pt in formats.split()]
    return (head + "\r\n".join([*text, *lines]) + "\r\n").encode()


def _accept(body: bytes, voice_key: str | None = None, anchor: str | None = None):
    return read_offer(body, ip_version=4, voice_key=voice_key, anchor=anchor)


def _answered(body: bytes, offered=(PCMU, PCMA, TELEPHONE_EVENT), anchor: str | None = None):
    return read_answer(body, offered, (None,), ip_version=4, anchor=anchor)


def test_signalwire_offer_is_answered_with_one_codec_and_events_rfc3264_6_1():
    answer = _accept(_sdp("0 8 101", "a=fmtp:101 0-15", "a=ptime:20", "a=rtcp:24587 IN IP4 192.0.2.13"))
    assert [format.key for format in answer.local_sdp.formats] == ["pcmu/8000", "telephone-event/8000"]
    assert answer.local_sdp.direction is Direction.SENDRECV
    assert answer.agreement.remote == ("192.0.2.13", 24586)
    assert answer.agreement.receive == {0: "pcmu/8000", 101: "telephone-event/8000"}


def test_openai_answer_with_shuffled_rtpmaps_and_no_direction_is_read():
    agreement = _answered(OPENAI)
    assert agreement.remote == ("192.0.2.112", 47816)
    assert agreement.voice.key == "pcmu/8000"
    assert (agreement.hears, agreement.speaks) == (True, True)
    assert agreement.send == {"pcmu/8000": 0, "telephone-event/8000": 101}


def test_our_sdp_has_the_expected_lines():
    assert describe((7, 2), ("203.0.113.10", 20000), (PCMU, TELEPHONE_EVENT), Direction.RECVONLY) == (
        b"v=0\r\no=- 7 2 IN IP4 203.0.113.10\r\ns=-\r\nc=IN IP4 203.0.113.10\r\nt=0 0\r\n"
        b"m=audio 20000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
        b"a=fmtp:101 0-16\r\na=ptime:20\r\na=recvonly\r\n"
    )


def test_ipv6_address_gives_an_ip6_connection_line():
    assert b"c=IN IP6 2001:db8::1\r\n" in describe(
        (7, 1), ("2001:db8::1", 20000), (PCMU,), Direction.SENDRECV
    )


@pytest.mark.parametrize(
    ("offered", "answered", "hears", "speaks"),
    [
        ("sendrecv", Direction.SENDRECV, True, True),
        ("sendonly", Direction.RECVONLY, False, True),
        ("recvonly", Direction.SENDONLY, True, False),
        ("inactive", Direction.INACTIVE, False, False),
    ],
)
def test_hold_is_answered_with_the_mirrored_direction_rfc3264_8_4(offered, answered, hears, speaks):
    answer = _accept(_sdp("0", f"a={offered}"))
    assert answer.local_sdp.direction is answered
    assert (answer.agreement.hears, answer.agreement.speaks) == (hears, speaks)


@pytest.mark.parametrize(
    ("offered", "answered"), [("sendrecv", Direction.RECVONLY), ("recvonly", Direction.INACTIVE)]
)
def test_hold_by_zero_address_is_answered_as_hold_rfc3264_8_4(offered, answered):
    answer = _accept(_sdp("0", f"a={offered}", head=HEAD.replace("192.0.2.13\r\nt=", "0.0.0.0\r\nt=")))
    assert answer.local_sdp.direction is answered
    assert answer.agreement.remote is None
    assert not answer.agreement.hears


def test_codec_in_use_is_kept_if_offered_again():
    assert _accept(_sdp("0 8"), voice_key="pcma/8000").agreement.voice.pt == 8
    assert _accept(_sdp("0"), voice_key="pcma/8000").agreement.voice.pt == 0


def test_other_leg_s_codec_is_preferred_to_avoid_transcoding():
    assert _accept(_sdp("0 8"), anchor="pcma/8000").agreement.voice.key == "pcma/8000"
    assert _accept(_sdp("0 107"), anchor="opus/48000/2").agreement.voice.key == "opus/48000/2"


def test_g711_is_preferred_to_codecs_we_cannot_transcode():
    assert _accept(_sdp("107 9 8 0")).agreement.voice.key == "pcma/8000"
    assert _accept(_sdp("107 9")).agreement.voice.key == "opus/48000/2"


def test_answer_keeps_the_payload_types_of_the_offer_rfc3264_6_1():
    answer = _accept(_sdp("0 96"))
    assert [format.pt for format in answer.local_sdp.formats] == [0, 96]
    assert b"m=audio 20000 RTP/AVP 0 96\r\n" in describe(
        (1, 1), ("203.0.113.10", 20000), answer.local_sdp.formats, answer.local_sdp.direction
    )


def test_answered_events_use_the_codec_s_clock_if_offered_rfc4733_2_1():
    assert [format.pt for format in _accept(_sdp("0 100")).local_sdp.formats] == [0]
    for offered, types, rate in (
        ("107 100 101", [107, 100], 48000),
        ("107 101 100", [107, 100], 48000),
        ("107 101", [107, 101], 8000),  # some peers offer only this, whatever the codec
        ("107 0 100 101", [0, 101], 8000),
    ):
        answer = _accept(_sdp(offered))
        assert [format.pt for format in answer.local_sdp.formats] == types
        assert answer.agreement.event_rate == rate
        assert answer.agreement.send["telephone-event/8000"] == types[1]
        assert answer.agreement.receive[types[1]] == "telephone-event/8000"


@pytest.mark.parametrize(
    ("answered", "number", "rate"),
    [("107 110", 110, 48000), ("107 101 110", 110, 48000), ("107 101", 101, 8000), ("0 101 110", 101, 8000)],
)
def test_event_clock_rate_is_taken_from_the_answer_rfc4733_2_1(answered, number, rate):
    agreement = _answered(_sdp(answered), offered=formats_to_offer((), "opus/48000/2"))
    assert (agreement.send["telephone-event/8000"], agreement.event_rate) == (number, rate)
    assert agreement.with_port(4000).event_rate == rate


def test_comfort_noise_is_never_accepted_and_is_no_codec_rfc3389():
    assert [format.pt for format in _accept(_sdp("0 13 101")).local_sdp.formats] == [0, 101]
    assert [format.pt for format in _accept(_sdp("13 8")).local_sdp.formats] == [8]
    assert 13 not in _accept(_sdp("0 13")).agreement.receive
    assert 13 not in _answered(_sdp("0 13 101")).receive
    for body in (_sdp("13"), _sdp("13 101")):
        with pytest.raises(MediaRefused, match="no audio format in common"):
            _accept(body)


def test_payload_type_of_the_answer_is_sent_and_both_are_received_rfc3264_5_1():
    agreement = _answered(_sdp("0 96"))
    assert agreement.send["telephone-event/8000"] == 96
    assert agreement.receive[96] == agreement.receive[101] == "telephone-event/8000"


def test_first_usable_audio_line_is_accepted_and_the_others_refused_rfc3264_6():
    body = HEAD.encode() + (
        b"m=video 5000 RTP/AVP 99\r\na=rtpmap:99 VP8/90000\r\n"
        b"m=audio 6000 RTP/SAVP 0\r\na=crypto:1 secret\r\n"
        b"m=audio 7000 RTP/AVP 0\r\nm=audio 8000 RTP/AVP 0\r\n"
    )
    answer = _accept(body)
    assert answer.agreement.remote == ("192.0.2.13", 7000)
    ours = describe(
        (1, 1),
        ("203.0.113.10", 20000),
        answer.local_sdp.formats,
        answer.local_sdp.direction,
        answer.agreement.layout,
    )
    lines = [(section.kind, section.port, section.protocol) for section in parse_sdp(ours).media]
    assert lines == [
        ("video", 0, "RTP/AVP"),
        ("audio", 0, "RTP/SAVP"),
        ("audio", 20000, "RTP/AVP"),
        ("audio", 0, "RTP/AVP"),
    ]
    assert b"crypto" not in ours
    assert b"VP8" not in ours


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "SDP not understood"),
        (b"\x00\xff garbage", "SDP not understood"),
        (HEAD.encode(), "no audio line"),
        (HEAD.encode() + b"m=video 4000 RTP/AVP 99\r\n", "no audio line"),
        (_sdp("0", port=0), r"port 0"),
        (_sdp("18"), "no audio format in common"),
        (_sdp("101"), "no audio format in common"),
        (_sdp("0", head=HEAD.replace("c=IN IP4 192.0.2.13\r\n", "")), "no c= line"),
        (_sdp("0", head=HEAD.replace("c=IN IP4 192.0.2.13", "c=IN IP4 host.example")), "numeric"),
        (_sdp("0", head=HEAD.replace("c=IN IP4 192.0.2.13", "c=IN IP6 2001:db8::1")), "IPv6"),
    ],
)
def test_unusable_offer_or_answer_is_refused_with_the_reason(body, reason):
    for judge in (_accept, _answered):
        with pytest.raises(MediaRefused, match=reason):
            judge(body)


def test_answer_without_any_offered_format_is_refused_rfc3264_7():
    with pytest.raises(MediaRefused, match="no audio format that was offered"):
        _answered(_sdp("9 101"))


def test_refused_line_is_repeated_verbatim_rfc3264_6():
    answer = _accept(_sdp("0") + b"m=im%d 4000 TCP/%s %% 1\r\n")
    body = describe(
        (1, 2),
        ("203.0.113.10", 20000),
        answer.local_sdp.formats,
        answer.local_sdp.direction,
        answer.agreement.layout,
    )
    assert body.startswith(b"v=0\r\no=- 1 2 IN IP4 203.0.113.10\r\ns=-\r\nc=IN IP4 203.0.113.10\r\nt=0 0\r\n")
    assert b"\r\nm=audio 20000 RTP/AVP 0\r\n" in body
    assert body.endswith(b"\r\nm=im%d 0 TCP/%s %% 1\r\n")


def test_codec_the_other_leg_does_not_support_is_refused():
    with pytest.raises(MediaRefused, match="other leg"):
        _answered(OPENAI, anchor="opus/48000/2")
    with pytest.raises(MediaRefused, match="other leg"):
        _accept(_sdp("9"), anchor="pcmu/8000")


@pytest.mark.parametrize(
    ("anchor", "types"),
    [
        (None, [0, 8, 101]),
        ("pcmu/8000", [0, 8, 101]),
        ("pcma/8000", [8, 0, 101]),
        ("opus/48000/2", [107, 0, 8, 110, 101]),
        ("g722/8000", [9, 0, 8, 101]),
    ],
)
def test_new_leg_is_offered_the_other_leg_s_codec_first_and_always_g711(anchor, types):
    assert [format.pt for format in formats_to_offer((), anchor)] == types


def test_reoffer_keeps_earlier_payload_types_rfc3264_8_3_2():
    before = (PCMA, TELEPHONE_EVENT.with_pt(96))
    assert [(format.key, format.pt) for format in formats_to_offer(before, "pcmu/8000")] == [
        ("pcma/8000", 8),
        ("pcmu/8000", 0),
        ("telephone-event/8000", 96),
    ]


def test_payload_type_in_use_is_not_assigned_twice():
    types = [format.pt for format in formats_to_offer((OPUS.with_pt(101),), None)]
    assert types == [101, 0, 8, 110, 96]
    types = [format.pt for format in formats_to_offer((OPUS.with_pt(110),), None)]
    assert types == [110, 0, 8, 96, 101]
