"""SRTP in offer and answer: which keys and profiles each policy offers and accepts."""

import pytest

from proxy.media.formats import PCMU
from proxy.media.interface import MediaRefused
from proxy.media.local_sdp import describe
from proxy.media.negotiation import read_answer, read_offer
from proxy.media.sdes import AEAD_256_GCM, AES_CM_128_32, AES_CM_128_80, OFFERED, SUITES, SrtpPolicy, fresh
from proxy.media.sdp import Direction, parse_sdp
from proxy.media.srtp_negotiation import NO_PROTECTION, SECURE, Protection, protection_to_offer, with_our_key
from tests.media.peer import counting

OFF, ACCEPT, OFFER, REQUIRE = SrtpPolicy.OFF, SrtpPolicy.ACCEPT, SrtpPolicy.OFFER, SrtpPolicy.REQUIRE
FAR = ("198.51.100.7", 4000)


def _line(tag, suite=AES_CM_128_80, key=1000):
    return fresh(suite, lambda bits: key, tag).line


def _sdp(*sections):
    """An SDP with one audio section for each tuple of a protocol and attribute lines."""
    text = ["v=0", "o=- 1 1 IN IP4 198.51.100.7", "s=-", "c=IN IP4 198.51.100.7", "t=0 0"]
    for number, (protocol, *lines) in enumerate(sections):
        text += [f"m=audio {4000 + 2 * number} {protocol} 0", *lines]
    return ("\r\n".join(text) + "\r\n").encode()


def _accept(body, policy):
    return read_offer(body, ip_version=4, voice_key=None, anchor=None, srtp=policy).agreement


def _offer_of(policy):
    return protection_to_offer(None, NO_PROTECTION, policy, counting())


def _answer(offered, policy, *sections):
    return read_answer(
        _sdp(*sections), (PCMU,), (None,), ip_version=4, anchor=None, offered_protection=offered, srtp=policy
    )


def test_we_offer_savp_with_a_key_for_each_suite_or_plain_rtp_rfc4568_5_1_1():
    for policy in (OFFER, REQUIRE):
        offered = _offer_of(policy)
        assert offered.protocol == "RTP/SAVP"
        assert [each.suite for each in offered.cryptos] == list(OFFERED)
        assert [each.tag for each in offered.cryptos] == [1, 2, 3]
        assert len({each.master for each in offered.cryptos}) == 3
    assert _offer_of(ACCEPT) == _offer_of(OFF) == NO_PROTECTION


def test_repeated_unanswered_offer_has_the_same_keys():
    ids = counting()
    offered = protection_to_offer(None, NO_PROTECTION, OFFER, ids)
    assert protection_to_offer(None, offered, OFFER, ids) == offered


def test_crypto_lines_are_in_the_audio_section():
    offered = _offer_of(REQUIRE)
    body = describe((1, 1), ("203.0.113.10", 20000), (PCMU,), Direction.SENDRECV, protection=offered)
    (section,) = parse_sdp(body).media
    assert section.protocol == "RTP/SAVP"
    assert [f"a=crypto:{value}" for value in section.attributes("crypto")] == [
        each.line for each in offered.cryptos
    ]


@pytest.mark.parametrize("policy", [ACCEPT, OFFER, REQUIRE])
@pytest.mark.parametrize("protocol", ["RTP/SAVP", "RTP/AVP"])
@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_answer_repeats_tag_suite_and_protocol_of_the_chosen_key_rfc4568_5_1_2(policy, protocol, suite):
    agreement = with_our_key(_accept(_sdp((protocol, _line(4, suite))), policy), None, counting())
    offered = Protection.of(agreement)
    assert offered.protocol == protocol
    (ours,) = offered.cryptos
    assert (ours.tag, ours.suite) == (4, suite)
    assert ours.master != agreement.crypto.master


def test_plain_offer_is_accepted_unless_srtp_is_required():
    for policy in (OFF, ACCEPT, OFFER):
        assert _accept(_sdp(("RTP/AVP",)), policy).crypto is None
        # A peer that also supports DTLS-SRTP says so on a plain line; to all others it is plain RTP.
        assert _accept(_sdp(("RTP/AVP", "a=fingerprint:sha-256 AA")), policy).crypto is None
    with pytest.raises(MediaRefused, match="SRTP is required: no a=crypto line"):
        _accept(_sdp(("RTP/AVP",)), REQUIRE)


def test_with_srtp_off_optional_keys_are_declined_and_savp_is_refused_rfc8643_3_1():
    assert _accept(_sdp(("RTP/AVP", _line(1))), OFF).crypto is None
    with pytest.raises(MediaRefused, match="RTP/SAVP is off here"):
        _accept(_sdp(("RTP/SAVP", _line(1))), OFF)


@pytest.mark.parametrize("policy", list(SrtpPolicy))
@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (
            ("UDP/TLS/RTP/SAVPF", "a=fingerprint:sha-256 AA", "a=setup:actpass"),
            "DTLS-SRTP is not supported, offer",
        ),
        (("UDP/TLS/RTP/SAVP", "a=fingerprint:sha-256 AA"), "DTLS-SRTP"),
        (("RTP/SAVPF", "a=fingerprint:sha-256 AA"), "DTLS-SRTP"),
        (("RTP/SAVPF", _line(1)), "RTP/SAVPF is not supported, only RTP/AVP and RTP/SAVP"),
        (("TCP/RTP/AVP",), "TCP/RTP/AVP is not supported"),
    ],
)
def test_unsupported_profile_is_refused_or_skipped_for_the_next_line(policy, section, reason):
    with pytest.raises(MediaRefused, match=reason):
        _accept(_sdp(section), policy)
    usable = "RTP/SAVP" if policy is REQUIRE else "RTP/AVP"
    agreement = _accept(_sdp(section, (usable, _line(1))), policy)
    assert agreement.remote == ("198.51.100.7", 4002)
    assert "inline" not in repr(agreement)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "no a=crypto line"),
        (["a=crypto:1 F8_128_HMAC_SHA1_80 inline:AAAA"], "suite F8_128_HMAC_SHA1_80 is not supported"),
        ([_line(1) + "|2^20|1:4"], "MKI"),
    ],
)
def test_savp_without_a_usable_key_is_refused_rfc4568_5_1_2(lines, reason):
    for policy in (ACCEPT, OFFER, REQUIRE):
        with pytest.raises(MediaRefused, match=reason):
            _accept(_sdp(("RTP/SAVP", *lines)), policy)


@pytest.mark.parametrize("protocol", ["RTP/SAVP", "RTP/AVP"])
def test_key_with_mki_is_skipped_and_alone_refused_with_the_reason_rfc4568_6_1(
    protocol,
):
    mki, plain = _line(1) + "|2^20|1:4", _line(2)
    taken = _accept(_sdp((protocol, mki, plain)), REQUIRE)
    assert taken.crypto is not None
    assert taken.crypto.tag == 2
    for body in (_sdp((protocol, mki)), _sdp((protocol, mki, _line(2) + "|1:1"))):
        with pytest.raises(MediaRefused) as refused:
            _accept(body, REQUIRE)
        required = "SRTP is required: " if protocol == "RTP/AVP" else ""
        assert refused.value.reason == f"{required}a key with an MKI is not supported"


def test_first_audio_line_the_policy_allows_is_accepted():
    both = _sdp(("RTP/SAVP", _line(1)), ("RTP/AVP",))
    assert _accept(both, ACCEPT).crypto is not None
    assert _accept(both, OFF).crypto is None
    other = _sdp(("RTP/AVP",), ("RTP/SAVP", _line(1)))
    assert _accept(other, ACCEPT).crypto is None
    assert _accept(other, REQUIRE).crypto is not None


def test_refused_lines_are_answered_without_their_keys_rfc3264_6():
    agreement = _accept(_sdp(("RTP/SAVP", _line(1)), ("RTP/SAVP", _line(2))), ACCEPT)
    body = describe((1, 1), FAR, (PCMU,), Direction.SENDRECV, agreement.layout)
    assert body.endswith(b"m=audio 0 RTP/SAVP 0\r\n")
    assert agreement.layout[1].lines == ()


def test_answer_selects_one_of_our_keys_rfc4568_5_1_3():
    offered = _offer_of(OFFER)
    agreement = _answer(offered, OFFER, ("RTP/SAVP", _line(2, AEAD_256_GCM, key=9)))
    assert agreement.ours is offered.cryptos[1]
    assert agreement.crypto.same_key(fresh(AEAD_256_GCM, lambda bits: 9))
    assert Protection.of(agreement) == (SECURE, (offered.cryptos[1],))


@pytest.mark.parametrize("policy", [OFFER, REQUIRE])
@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (("RTP/SAVP",), "no a=crypto line in the answer"),
        (("RTP/SAVP", _line(1, AES_CM_128_32)), "crypto 1 AES_CM_128_HMAC_SHA1_32 was not offered"),
        (("RTP/SAVP", _line(4)), "crypto 4 AES_CM_128_HMAC_SHA1_80 was not offered"),
        (("RTP/AVP", _line(4)), "crypto 4 AES_CM_128_HMAC_SHA1_80 was not offered"),
        (("RTP/SAVP", _line(1), _line(2, AEAD_256_GCM)), "2 a=crypto lines"),
        (("RTP/SAVP", _line(1) + " UNENCRYPTED_SRTP"), "UNENCRYPTED_SRTP"),
        (("UDP/TLS/RTP/SAVPF", "a=fingerprint:sha-256 AA"), "UDP/TLS/RTP/SAVPF was not offered"),
    ],
)
def test_answer_selecting_a_key_not_offered_is_refused_rfc4568_5_1_3(policy, section, reason):
    with pytest.raises(MediaRefused, match=reason):
        _answer(_offer_of(policy), policy, section)


def test_plain_answer_to_savp_is_accepted_only_if_srtp_is_not_required():
    assert _answer(_offer_of(OFFER), OFFER, ("RTP/AVP",)).crypto is None
    with pytest.raises(MediaRefused, match="SRTP is required, the answer is plain"):
        _answer(_offer_of(REQUIRE), REQUIRE, ("RTP/AVP",))


def test_keys_in_the_answer_to_a_plain_offer_are_ignored_and_savp_is_refused():
    assert _answer(NO_PROTECTION, ACCEPT, ("RTP/AVP", _line(1))).crypto is None
    with pytest.raises(MediaRefused, match="RTP/SAVP was not offered"):
        _answer(NO_PROTECTION, ACCEPT, ("RTP/SAVP", _line(1)))


def test_our_key_changes_only_with_the_peer_s_rfc4568_7_1_4():
    ids = counting()
    first = with_our_key(_accept(_sdp(("RTP/SAVP", _line(1))), ACCEPT), None, ids)
    same = with_our_key(_accept(_sdp(("RTP/SAVP", _line(5))), ACCEPT), first, ids)
    assert same.ours.same_key(first.ours)
    assert same.ours.tag == 5
    other = with_our_key(_accept(_sdp(("RTP/SAVP", _line(1, key=2))), ACCEPT), same, ids)
    assert not other.ours.same_key(first.ours)


def test_key_is_not_reused_after_plain_rtp():
    ids = counting()
    first = with_our_key(_accept(_sdp(("RTP/SAVP", _line(1))), ACCEPT), None, ids)
    plain = with_our_key(_accept(_sdp(("RTP/AVP",)), ACCEPT), first, ids)
    again = with_our_key(_accept(_sdp(("RTP/SAVP", _line(1))), ACCEPT), plain, ids)
    assert not again.ours.same_key(first.ours)


def test_reoffer_repeats_the_protection_and_key_in_force_rfc4568_7_1_4():
    agreement = with_our_key(_accept(_sdp(("RTP/AVP", _line(1))), ACCEPT), None, counting())
    assert protection_to_offer(agreement, NO_PROTECTION, OFFER, counting()) == Protection(
        "RTP/AVP", (agreement.ours,)
    )
    plain = _accept(_sdp(("RTP/AVP",)), OFFER)
    assert protection_to_offer(plain, NO_PROTECTION, OFFER, counting()) == NO_PROTECTION


def test_repr_of_an_agreement_shows_no_key():
    agreement = with_our_key(_accept(_sdp(("RTP/SAVP", _line(1))), ACCEPT), None, counting())
    for crypto in (agreement.crypto, agreement.ours):
        assert repr(crypto.master) not in repr(agreement)
        assert crypto.line.rpartition(":")[2] not in repr(agreement)
