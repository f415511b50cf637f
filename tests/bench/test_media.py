"""The RTP load generator: packet counts, SRTP keys, and rtpengine's bencode protocol."""

from __future__ import annotations

import pytest
from pylibsrtp import Policy, Session

from bench import sealed
from bench.media import straight
from bench.mmsg import large_buffered_socket
from bench.peers.rtpengine import bdecode, bencode
from bench.probe import audio_port, sdp
from bench.rtp import Generator, Heard, Work


def _heard(*, deaf: bool = False, encrypted: list[str] | None = None) -> Heard:
    with (
        large_buffered_socket("127.0.0.1") as near,
        large_buffered_socket("127.0.0.1") as far,
        large_buffered_socket("127.0.0.1") as unread,
    ):
        ports = straight((near, far), 20)
        if deaf:
            ports[0][:5] = [unread.getsockname()[1]] * 5
        fds = near.detach(), far.detach()  # the generator closes them
        generator = Generator(Work(fds, ports, 0.1, 0.4, encrypted))
        generator.warm()
        generator.measure()
        return generator.finish()


@pytest.mark.network
def test_direct_packets_all_arrive_with_low_latency() -> None:
    heard = _heard()
    assert (heard.lost, heard.silent) == (0, 0)
    assert 300 < heard.sent <= 420
    assert len(heard.latencies_us) == heard.received > 300
    assert all(0 < latency < 1e6 for latency in heard.latencies_us)


@pytest.mark.network
def test_missing_packets_are_counted_as_lost_or_silent() -> None:
    heard = _heard(deaf=True)
    assert heard.silent == 5
    assert heard.lost > 50


@pytest.mark.network
def test_pre_encrypted_packets_are_sent_unchanged() -> None:
    heard = _heard(encrypted=sealed.packets(100))
    assert heard.lost == 0
    assert heard.received > 300


def test_callee_packets_decrypt_under_their_signalled_key_rfc3711_3_3() -> None:
    opened = Session(Policy(key=sealed.KEY, ssrc_type=Policy.SSRC_ANY_INBOUND))
    packets = [opened.unprotect(bytes.fromhex(packet)) for packet in sealed.packets(3)]
    assert [(packet[2:4], len(packet)) for packet in packets] == [
        (number.to_bytes(2, "big"), 172) for number in (1000, 1001, 1002)
    ]


def test_answer_echoes_the_tag_of_the_chosen_suite_rfc4568_5_1_2() -> None:
    offer = sdp(4000, "RTP/SAVP", "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:xyz")
    answer = sealed.answer(6000, offer)
    assert audio_port(answer) == 6000
    assert "m=audio 6000 RTP/SAVP 0" in answer
    assert "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:AAEC" in answer


def test_bencoded_message_decodes_back_equal() -> None:
    message = {"command": "offer", "flags": ["a", "b"], "n": -3, "sdp": "v=0\r\n", "more": {"x": []}}
    assert bencode(message) == b"d7:command5:offer5:flagsl1:a1:be4:mored1:xlee1:ni-3e3:sdp5:v=0\r\ne"
    read, end = bdecode(bencode(message))
    assert end == len(bencode(message))
    assert read == {"command": b"offer", "flags": [b"a", b"b"], "n": -3, "sdp": b"v=0\r\n", "more": {"x": []}}
