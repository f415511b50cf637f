"""SDP cache keys: bodies that differ only in origin and ports share one parsed result."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.media.audio_line import AudioLine
from proxy.media.formats import PCMU, TELEPHONE_EVENT
from proxy.media.interface import MediaRefused
from proxy.media.negotiation import Answer, _read_offer, read_answer, read_offer
from proxy.media.sdes import SrtpPolicy
from proxy.media.sdp import Line, SdpError, parse_sdp
from proxy.media.sdp_cache import _examine, normalise, normalise_ports

BODY = (
    b"v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 6000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
)


def test_sdp_differing_only_in_origin_and_port_has_one_cache_key() -> None:
    other = BODY.replace(b"53655765", b"9").replace(b"6000", b"40002")
    assert normalise(BODY) is not None
    assert normalise(BODY)[0] == normalise(other)[0]
    assert (normalise(BODY)[1], normalise(other)[1]) == (6000, 40002)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"m=audio 6000", b"m=audio 0"),
        (b"m=audio 6000", b"m=audio 65536"),
        (b"m=audio 6000", b"m=audio 6000/2"),
        (b"m=audio 6000", b"m=audio  6000"),
        (b"m=audio 6000", b"m=audio -1"),
        (b"m=audio 6000 RTP/AVP 0 101", b"m=audio 6000"),
        (b"m=audio", b"m=video"),
        (b"m=audio", b"m=audio 5000 RTP/SAVP 0\r\nm=audio"),
        (b"o=", b"x="),
        (b"user1", b"us\rc=IN IP4 198.51.100.7"),
        (b"user1", b"us\nc=IN IP4 198.51.100.7"),
        (b"user1", b"us\0er"),
        (b"\r\n", b"\n"),
        (b"a=rtpmap:0", b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY\r\na=rtpmap:0"),
        (b"t=0 0", b"t=0 0\r\nk=clear:KEY"),
        (b"t=0 0", b"t=0 0\r\na=key-mgmt:mikey KEY"),
        (b"s=-", b"s=" + bytes(b"-" * 2048)),
    ],
)
def test_unusual_sdp_has_no_cache_key(before: bytes, after: bytes) -> None:
    assert normalise(BODY.replace(before, after)) is None


def test_sdp_with_a_key_is_never_cached_rfc4568() -> None:
    body = BODY.replace(b"a=rtpmap:0", b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY\r\na=rtpmap:0")
    before = _examine.cache_info().currsize
    assert normalise(body) is normalise(body) is None
    assert _examine.cache_info().currsize == before


@given(st.lists(st.tuples(st.integers(0, len(BODY)), st.binary(max_size=6)), max_size=3))
def test_normalised_sdp_parses_equal_except_for_origin_and_port(edits: list[tuple[int, bytes]]) -> None:
    body = BODY
    for place, piece in edits:
        body = body[:place] + piece + body[place + len(piece) :]
    usual = normalise(body)
    if usual is None:
        return
    try:
        whole = parse_sdp(body)
    except SdpError:
        with pytest.raises(SdpError):
            parse_sdp(usual[0])
        return
    short = parse_sdp(usual[0])
    origin = next(line for line in whole.lines if line.kind == "o")
    at = whole.lines.index(origin)
    assert short.lines == (*whole.lines[:at], Line("o", ""), *whole.lines[at + 1 :])
    assert whole.media == (replace(short.media[0], port=usual[1]),)


def test_cached_agreement_has_the_port_of_the_current_sdp() -> None:
    other = BODY.replace(b"6000", b"40002")
    one = read_offer(BODY, ip_version=4, voice_key=None, anchor=None)
    two = read_offer(other, ip_version=4, voice_key=None, anchor=None)
    assert (one.agreement.remote, two.agreement.remote) == (("192.0.2.1", 6000), ("192.0.2.1", 40002))
    assert replace(two.agreement, remote=one.agreement.remote) == one.agreement
    assert one.local_sdp == two.local_sdp
    offered = (PCMU, TELEPHONE_EVENT)
    answers = [
        read_answer(body, offered, (None,), ip_version=4, anchor=None).remote for body in (BODY, other)
    ]
    assert answers == [("192.0.2.1", 6000), ("192.0.2.1", 40002)]


def test_with_port_changes_only_the_port() -> None:
    agreed = read_offer(BODY, ip_version=4, voice_key=None, anchor=None).agreement
    others = {each.name: object() for each in fields(agreed) if each.name not in ("remote", "rtcp")}
    whole = replace(agreed, **others)
    assert whole.with_port(40002).remote == ("192.0.2.1", 40002)
    assert replace(whole.with_port(40002), remote=agreed.remote) == whole


REPORTS = BODY + b"a=rtcp:6001 IN IP4 192.0.2.2\r\na=sendrecv\r\n"


def test_sdp_differing_in_rtcp_port_has_one_cache_key_rfc3605() -> None:
    other = REPORTS.replace(b"6000", b"40002").replace(b"6001", b"40003")
    assert normalise_ports(REPORTS) is not None
    assert normalise_ports(REPORTS)[0] == normalise_ports(other)[0]
    agreed = [
        read_offer(each, ip_version=4, voice_key=None, anchor=None).agreement for each in (REPORTS, other)
    ]
    assert [each.rtcp for each in agreed] == [("192.0.2.2", 6001), ("192.0.2.2", 40003)]


def test_rtcp_on_the_rtp_port_has_a_cache_key_of_its_own() -> None:
    shared = [REPORTS.replace(b"6000", port).replace(b"6001", port) for port in (b"6000", b"40002")]
    one, two = (normalise_ports(each) for each in shared)
    assert one is not None
    assert two is not None
    assert one[0] == two[0] != normalise_ports(REPORTS)[0]
    agreed = [read_offer(each, ip_version=4, voice_key=None, anchor=None).agreement for each in shared]
    assert [each.rtcp for each in agreed] == [("192.0.2.2", 6000), ("192.0.2.2", 40002)]


@pytest.mark.parametrize(
    "line",
    [
        b"a=rtcp:6002",
        b"a=rtcp:5999",
        b"a=rtcp:10",
        b"a=rtcp:0",
        b"a=rtcp: 6001",
        b"a=rtcp:6001x",
        b"a=rtcp:6001\na=sendrecv",
        b"a=rtcp:6001\r\na=rtcp:6001",
        b"a=x\ra=rtcp:6001",
    ],
)
def test_sdp_with_any_other_rtcp_port_is_not_cached(line: bytes) -> None:
    body = BODY + line + b"\r\n"
    assert normalise_ports(body) is None
    assert normalise(body) is not None
    assert outcome(body) == outcome(body, uncached=True)


def outcome(body: bytes, *, uncached: bool = False) -> Answer | None:
    """The answer to an offer; None if it is refused, since the error may quote the port."""
    try:
        if uncached:
            return _read_offer(body, 4, None, None, SrtpPolicy.ACCEPT)
        return read_offer(body, ip_version=4, voice_key=None, anchor=None)
    except MediaRefused:
        return None


@given(
    st.sampled_from([6000, 65535, 65534, 9, 10]),
    st.sampled_from([b"6000", b"6001", b"65535", b"65536", b"9", b"10", b"06001", b""]),
    st.lists(st.tuples(st.integers(0, len(REPORTS)), st.binary(max_size=6)), max_size=2),
)
def test_cached_result_equals_an_uncached_one(
    port: int, reports: bytes, edits: list[tuple[int, bytes]]
) -> None:
    body = REPORTS.replace(b"6001", reports).replace(b"6000", b"%d" % port, 1)
    for place, piece in edits:
        body = body[:place] + piece + body[place + len(piece) :]
    assert outcome(body) == outcome(body, uncached=True)


def test_cached_hold_by_zero_address_has_no_remote_rfc3264_8_4() -> None:
    held = BODY.replace(b"192.0.2.1", b"0.0.0.0")
    for port in (b"6000", b"40002"):
        answer = read_offer(held.replace(b"6000", port), ip_version=4, voice_key=None, anchor=None)
        assert (answer.agreement.remote, answer.agreement.hears) == (None, False)


def test_refused_offer_is_refused_again() -> None:
    for _ in range(2):
        with pytest.raises(MediaRefused, match="no a=crypto line"):
            read_offer(BODY.replace(b"RTP/AVP", b"RTP/SAVP"), ip_version=4, voice_key=None, anchor=None)


def test_cached_audio_line_has_the_port_of_the_current_sdp() -> None:
    for port in (b"6000", b"40002"):
        line, layout = AudioLine.read(BODY.replace(b"6000", port))
        assert (line.address, line.section.port, layout) == ("192.0.2.1", int(port), (None,))
        assert line.section.attributes("rtpmap") == ["0 PCMU/8000", "101 telephone-event/8000"]
