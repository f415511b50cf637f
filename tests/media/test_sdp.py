"""SDP parsing: formats, directions and connection addresses (RFC 8866)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.media.formats import AudioFormat
from proxy.media.sdp import Direction, SdpError, number, parse_sdp

SIGNALWIRE = (
    b"v=0\r\no=FreeSWITCH 1759790112 1759790113 IN IP4 192.0.2.13\r\ns=FreeSWITCH\r\nc=IN IP4 192.0.2.13\r\n"
    b"t=0 0\r\nm=audio 24586 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
    b"a=rtcp:24587 IN IP4 192.0.2.13\r\n"
)
SESSION = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"


def test_parsed_sdp_encodes_to_the_same_bytes():
    assert parse_sdp(SIGNALWIRE).encode() == SIGNALWIRE


def test_audio_section_of_a_signalwire_offer_is_read():
    description = parse_sdp(SIGNALWIRE)
    (section,) = description.media
    assert (section.kind, section.port, section.protocol, section.ptime) == ("audio", 24586, "RTP/AVP", 20)
    assert description.connection(section) == "192.0.2.13"
    assert description.direction(section) is Direction.SENDRECV
    assert section.audio_formats() == (
        AudioFormat("PCMU", 8000, 0),
        AudioFormat("PCMA", 8000, 8),
        AudioFormat("telephone-event", 8000, 101, fmtp="0-15"),
    )
    assert section.attribute("rtcp") == "24587 IN IP4 192.0.2.13"
    assert section.attribute("crypto") is None


def test_static_types_need_no_rtpmap_rfc3551_6():
    (section,) = parse_sdp(SESSION + b"m=audio 4000 RTP/AVP 8 9 0 18 96\r\n").media
    assert [format.key for format in section.audio_formats()] == ["pcma/8000", "g722/8000", "pcmu/8000"]


@pytest.mark.parametrize(
    "rtpmap", ["0", "0 ", "0 PCMU", "0 PCMU/", "0 PCMU/x", "0 /8000", "0 PCMU/8000/0", "0 a/0"]
)
def test_format_with_a_malformed_rtpmap_is_ignored(rtpmap):
    (section,) = parse_sdp(SESSION + f"m=audio 4000 RTP/AVP 0\r\na=rtpmap:{rtpmap}\r\n".encode()).media
    assert section.audio_formats() == ()


def test_invalid_and_repeated_payload_types_are_ignored():
    (section,) = parse_sdp(SESSION + b"m=audio 4000 RTP/AVP 0 0 128 -1 x 8\r\na=rtpmap:x y\r\n").media
    assert [format.pt for format in section.audio_formats()] == [0, 8]


def test_any_line_ending_is_accepted():
    assert parse_sdp(SIGNALWIRE.replace(b"\r\n", b"\n")).encode() == SIGNALWIRE
    assert parse_sdp(SIGNALWIRE.rstrip() + b"\r\n\r\n").encode() == SIGNALWIRE


def test_octets_that_are_not_utf8_are_kept():
    body = SESSION.replace(b"s=-", b"s=caf\xe9")
    assert parse_sdp(body).encode() == body


def test_directions_are_inherited_from_the_session_rfc8866_6_7():
    description = parse_sdp(
        SESSION + b"a=inactive\r\nm=audio 4 RTP/AVP 0\r\nm=audio 6 RTP/AVP 0\r\na=recvonly\r\n"
    )
    first, second = description.media
    assert description.direction(first) is Direction.INACTIVE
    assert description.direction(second) is Direction.RECVONLY


def test_direction_is_built_from_sends_and_receives():
    for direction in Direction:
        assert Direction.of(sends=direction.sends, receives=direction.receives) is direction


def test_section_s_connection_overrides_the_session_s_rfc8866_5_7():
    description = parse_sdp(
        SESSION
        + b"c=IN IP4 192.0.2.1\r\nm=audio 4 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\nm=audio 6 RTP/AVP 0\r\n"
    )
    assert [description.connection(section) for section in description.media] == ["2001:db8::1", "192.0.2.1"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"c=IN IP4 media.example.com\r\n",
        b"c=IN IP4 2001:db8::1\r\n",
        b"c=IN IP6 192.0.2.1\r\n",
        b"c=IN IP6 fe80::1%eth0\r\n",
        b"c=IN IP4 224.2.1.1/127\r\n",
        b"c=IN IP5 192.0.2.1\r\n",
        b"c=ATM x y\r\n",
        b"c=IN IP4\r\n",
        b"c=\r\n",
    ],
)
def test_unusable_connection_line_raises_sdp_error(line):
    description = parse_sdp(SESSION + line + b"m=audio 4 RTP/AVP 0\r\n")
    with pytest.raises(SdpError):
        description.connection(description.media[0])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"hello",
        b"o=- 1 1 IN IP4 192.0.2.1\r\n",
        b"v=1\r\n",
        b"v=0\r\nm=audio\r\n",
        b"v=0\r\nm=audio x RTP/AVP 0\r\n",
        b"v=0\r\nm=audio 65536 RTP/AVP 0\r\n",
        b"v=0\r\nm=audio -1 RTP/AVP 0\r\n",
        b"v=0\r\nm=audio \xd9\xa3 RTP/AVP 0\r\n",
        b"v=0\r\ns=a\0b\r\n",
        b"v=0\r\n=x\r\n",
        b"v=0\r\n\r\ns=-\r\n",
        b"v=0\r\n" + b"m=audio 4 RTP/AVP 0\r\n" * 33,
    ],
)
def test_malformed_sdp_raises_sdp_error(body):
    with pytest.raises(SdpError):
        parse_sdp(body)


@pytest.mark.parametrize(
    "line", [b"crypto:1 X inline:c2VjcmV0", b"inline:c2VjcmV0", b"a :crypto:1 inline:c2VjcmV0"]
)
def test_error_for_a_malformed_line_does_not_show_its_key(line):
    with pytest.raises(SdpError) as error:
        parse_sdp(b"v=0\r\n" + line + b"\r\n")
    assert "c2V" not in str(error.value)


def test_numbers_are_plain_decimals_in_range():
    assert number("0", 10) == 0
    assert number("10", 10) == 10
    for text in ("11", "", "+1", "-1", " 1", "1_0", "٣", "²", "1" * 5000):
        assert number(text, 10) is None


def test_missing_or_invalid_ptime_is_none():
    described = parse_sdp(SESSION + b"m=audio 4 RTP/AVP 0\r\nm=audio 4 RTP/AVP 0\r\na=ptime:x\r\n")
    assert [section.ptime for section in described.media] == [None, None]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(SIGNALWIRE)))
def test_any_bytes_parse_or_raise_sdp_error(noise, at):
    for body in (noise, SIGNALWIRE[:at] + noise + SIGNALWIRE[at:], SIGNALWIRE[:at]):
        try:
            description = parse_sdp(body)
            for section in description.media:
                _ = section.audio_formats(), section.ptime, description.direction(section)
                description.connection(section)
        except SdpError:
            continue
        assert parse_sdp(description.encode()) == description
