"""The audio line of a peer's SDP: what is passed on to the other peer (RFC 8866, RFC 3264)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.media.audio_line import AudioLine, answer_direction, own_direction, refuse_all
from proxy.media.interface import MediaRefused
from proxy.media.sdp import Direction, parse_sdp

KEY = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
OFFER = "\r\n".join(
    [
        "v=0",
        "o=alice 4711 3 IN IP4 192.0.2.99",
        "s=her session",
        "i=about it",
        "u=http://example.com/",
        "e=alice@example.com",
        "c=IN IP4 198.51.100.7",
        "b=AS:99",
        "t=0 0",
        "a=tool:secret 1.0",
        "a=sendonly",
        "m=video 5000 RTP/AVP 31",
        "m=audio 4000 RTP/SAVP 96 0 101",
        "i=her microphone",
        "b=AS:64",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 useinbandfec=1",
        "a=rtpmap:101 telephone-event/8000",
        "a=ptime:20",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}",
        "a=rtcp:4001",
        "a=rtcp-mux",
        "a=ssrc:1 cname:alice@home",
        "a=candidate:1 1 UDP 1 10.0.0.1 4000 typ host",
        "a=x-anything:1",
        "m=audio 4002 RTP/AVP 0",
        "",
    ]
).encode()
SEND, RECV, BOTH, NONE = Direction.SENDONLY, Direction.RECVONLY, Direction.SENDRECV, Direction.INACTIVE


def test_written_sdp_keeps_formats_ptime_and_keys_but_not_the_origin() -> None:
    line, _ = AudioLine.read(OFFER)
    written = line.write((7, 1), "203.0.113.10", (None,)).decode()
    assert written.split("\r\n") == [
        "v=0",
        "o=- 7 1 IN IP4 203.0.113.10",
        "s=-",
        "c=IN IP4 198.51.100.7",
        "t=0 0",
        "m=audio 4000 RTP/SAVP 96 0 101",
        "b=AS:64",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 useinbandfec=1",
        "a=rtpmap:101 telephone-event/8000",
        "a=ptime:20",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}",
        "a=rtcp:4001",
        "a=rtcp-mux",
        "a=sendonly",
        "",
    ]
    assert (line.protected, line.suites, line.ip_version) == (True, ["AES_CM_128_HMAC_SHA1_80"], 4)


def test_other_media_lines_keep_their_order_and_are_refused_rfc3264_6() -> None:
    line, layout = AudioLine.read(OFFER)
    answer = parse_sdp(line.write((7, 1), "203.0.113.10", layout))
    assert [(each.kind, each.port) for each in answer.media] == [("video", 0), ("audio", 4000), ("audio", 0)]


def test_written_audio_line_reads_back_equal() -> None:
    line, layout = AudioLine.read(OFFER)
    assert AudioLine.read(line.write((7, 1), "2001:db8::1", layout))[0] == line


def test_repr_contains_no_srtp_key() -> None:
    line, _ = AudioLine.read(OFFER)
    assert "WVNf" not in repr(line)


def test_refuse_all_rejects_every_media_line_rfc3264_6() -> None:
    answer = parse_sdp(refuse_all(OFFER))
    assert [(each.kind, each.port, each.protocol) for each in answer.media] == [
        ("video", 0, "RTP/AVP"), ("audio", 0, "RTP/SAVP"), ("audio", 0, "RTP/AVP"),
    ]  # fmt: skip
    assert refuse_all(b"nonsense") == b""


@pytest.mark.parametrize("wrong", [(b"audio 4000", b"audio 0"), (b"RTP/SAVP", b"UDP/TLS/RTP/SAVP")])
def test_unusable_audio_line_is_skipped_for_the_next(wrong: tuple[bytes, bytes]) -> None:
    line, _ = AudioLine.read(OFFER.replace(*wrong))
    assert str(line.section) == "m=audio 4002 RTP/AVP 0"


@pytest.mark.parametrize(
    ("wrong", "right", "reason"),
    [
        (b"c=IN IP4 198.51.100.7", b"c=IN IP4 peer.example.com", "not a numeric address"),
        (b"c=IN IP4 198.51.100.7", b"c=IN IP4 239.1.2.3", "multicast"),
        (b"v=0", b"v=1", "v=0"),
    ],
)
def test_sdp_with_unusable_address_or_version_is_refused(wrong: bytes, right: bytes, reason: str) -> None:
    with pytest.raises(MediaRefused, match=reason):
        AudioLine.read(OFFER.replace(wrong, right, 1))


def test_offer_with_only_dtls_srtp_is_refused_with_a_reason_rfc5764() -> None:
    body = OFFER.replace(b"RTP/SAVP", b"UDP/TLS/RTP/SAVP").replace(
        b"m=audio 4002 RTP/AVP", b"m=text 1 RTP/AVP"
    )
    with pytest.raises(MediaRefused, match="UDP/TLS/RTP/SAVP is not supported"):
        AudioLine.read(body)


@pytest.mark.parametrize(
    ("offered", "own", "answer"),
    [(BOTH, BOTH, BOTH), (SEND, BOTH, RECV), (RECV, BOTH, SEND), (NONE, BOTH, NONE), (SEND, SEND, NONE)],
)
def test_answer_direction_stays_within_the_offered_one_rfc3264_6_1(
    offered: Direction, own: Direction, answer: Direction
) -> None:
    assert answer_direction(offered, own) is answer


@pytest.mark.parametrize(
    ("answer", "offered", "own"),
    [(RECV, SEND, BOTH), (NONE, NONE, BOTH), (SEND, BOTH, SEND), (BOTH, BOTH, BOTH)],
)
def test_own_direction_is_inferred_from_answer_and_offer(
    answer: Direction, offered: Direction, own: Direction
) -> None:
    assert own_direction(answer, offered) is own


LINES = st.sampled_from([*OFFER.decode().split("\r\n"), "m=audio 70000 RTP/AVP 0", "a=", "c=IN IP6 ::1", "x"])


@settings(max_examples=200, deadline=None)
@given(st.lists(LINES, max_size=30), st.binary(max_size=20))
def test_any_sdp_is_refused_or_survives_a_round_trip(lines: list[str], junk: bytes) -> None:
    body = b"v=0\r\n" + "\r\n".join(lines).encode() + junk
    try:
        line, layout = AudioLine.read(body)
    except MediaRefused:
        return
    assert AudioLine.read(line.write((1, 1), "203.0.113.10", layout))[0] == line
