"""Assembly: translation of the settings into the values each component takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy import assembly
from proxy.call.admission import Admission
from proxy.call.attestation import PeerTrust
from proxy.call.challenge import ChallengeSettings
from proxy.call.probe import ProbedPeer
from proxy.call.sound import EarlyMedia, Sound
from proxy.call.voicemail import VoicemailSettings
from proxy.config import Settings, SettingsError, parse
from proxy.media.recorder import wav_header
from proxy.media.sdes import SrtpPolicy
from proxy.media.speech import LEAVE_MESSAGE, RECORDED
from proxy.media.tones import tones_of
from tests.call.flows import stub_flow
from tests.call.test_admission import resolved
from tests.kit.messages import invite

TEXT = """
public = { %s }
listen = [ { transport = "udp", bind = "[::]:5060" } ]
media = { %s }
agent = [ { name = "a", provider = "sip", sip = "sip:a@192.0.2.9", srtp = "off", %s } ]
trunk = [
    { name = "one", outbound = "sip:one.example;transport=tcp" },
    { name = "two", outbound = "sip:two.example", probe_s = 60 },
    { name = "off", outbound = "sip:off.example", probe_s = 0 },
    { name = "in", from = ["192.0.2.0/24"] },
]
number = [ { dialed = "*", destinations = ["tel:+14155559876"] } ]
"""


def settings(public: str, media: str = "", agent: str = "") -> Settings:
    return parse(TEXT % (public, media, agent or "silence_limit_s = 20"), {}, file="t.toml", folder=Path())


@pytest.mark.parametrize(
    ("host", "address", "address6", "four", "six"),
    [
        ("sbc.example.com", "203.0.113.10", None, "sbc.example.com", None),
        ("sbc.example.com", "203.0.113.10", "2001:db8::1", "sbc.example.com", None),
        ("203.0.113.10", "203.0.113.10", None, "203.0.113.10", None),
        ("203.0.113.10", "203.0.113.9", "2001:db8::1", "203.0.113.10", "[2001:db8::1]"),
        ("2001:db8::1", "2001:db8::1", None, "[2001:db8::1]", None),
        ("2001:db8::1", "203.0.113.10", None, "203.0.113.10", "[2001:db8::1]"),
    ],
)
def test_the_advertised_host_matches_the_ip_version_of_the_peer(
    host: str, address: str, address6: str | None, four: str, six: str | None
) -> None:
    public = f'host = "{host}", address = "{address}"' + (f', address6 = "{address6}"' if address6 else "")
    advertised = assembly.advertised(settings(public))
    assert (advertised.host, advertised.host6) == (four, six)


@pytest.mark.parametrize(
    ("address", "ours", "told"),
    [
        ("8.8.8.8", True, False),
        ("8.8.8.8", False, True),
        ("192.168.1.10", True, True),
        ("2001:db8::1", False, False),
    ],
)
def test_private_peers_get_a_private_address_behind_nat_or_in_a_private_network(
    monkeypatch: pytest.MonkeyPatch, address: str, ours: bool, told: bool
) -> None:
    monkeypatch.setattr(assembly, "of_this_machine", lambda address: ours)
    advertised = assembly.advertised(settings(f'host = "sbc.example.com", address = "{address}"'))
    assert (advertised.private_peers is not None) is told


@pytest.mark.parametrize(
    ("public", "media", "homes"),
    [
        ('address = "203.0.113.10"', "", [("0.0.0.0", "203.0.113.10")]),
        ('address = "2001:db8::1"', "", [("::", "2001:db8::1")]),
        ('address = "2001:db8::1"', 'bind = "2001:db8::2"', [("2001:db8::2", "2001:db8::1")]),
        (
            'address = "203.0.113.10", address6 = "2001:db8::1"',
            'bind = "10.0.0.2", bind6 = "fd00::2"',
            [("10.0.0.2", "203.0.113.10"), ("fd00::2", "2001:db8::1")],
        ),
    ],
)
def test_media_addresses_are_set_per_ip_version(
    public: str, media: str, homes: list[tuple[str, str]]
) -> None:
    assert assembly.media_addresses(settings(f'host = "sbc.example.com", {public}', media)) == homes


def test_outbound_trunks_are_probed_and_agents_only_with_probe_s() -> None:
    public = 'host = "sbc.example.com", address = "203.0.113.10"'
    trunks = [
        ProbedPeer("trunk:one", "sip:one.example;transport=tcp", 30.0),
        ProbedPeer("trunk:two", "sip:two.example", 60.0),
    ]
    assert assembly.probe_targets(settings(public)) == trunks
    agent = ProbedPeer("agent:a", "sip:a@192.0.2.9", 5.0)
    assert assembly.probe_targets(settings(public, agent="probe_s = 5")) == [*trunks, agent]


# Who the caller is.

TRUNKS = """
public = { host = "sbc.example.com", address = "203.0.113.10" }
listen = [ { transport = "udp", bind = "0.0.0.0:5060" } ]
agent = [ { name = "a", provider = "sip", sip = "sip:a@192.0.2.9", srtp = "off" } ]
trunk = [
    { name = "one", from = ["192.0.2.1"], outbound = "sip:192.0.2.1" },
    { name = "two", from = ["192.0.2.2"], outbound = "sip:192.0.2.2", identity = "original_with_diversion" },
    { name = "pbx", from = ["192.0.2.3"], trust_identity = false },
]
"""
PLACES = 'destinations = ["sip:+14155559876@trunk:one", "sip:+14155559876@trunk:two", "sip:desk@192.0.2.4"]'


@pytest.mark.parametrize(
    ("of_number", "profiles"),
    [
        ("", ["trunk_did", "original_with_diversion", "internal"]),
        ('identity = "internal", ', ["internal", "internal", "internal"]),
        ('identity = "trunk_did", ', ["trunk_did", "trunk_did", "internal"]),
    ],
)
def test_the_identity_profile_of_a_number_overrides_that_of_its_trunks(
    of_number: str, profiles: list[str]
) -> None:
    text = f'{TRUNKS}number = [ {{ dialed = "*", {of_number}{PLACES} }} ]'
    number = assembly.routing(parse(text, {}, file="t.toml", folder=Path())).find(invite())
    assert number is not None
    assert [place.identity_profile.value for place in number.destinations] == profiles


def test_a_number_is_screened_by_its_agent_and_that_agents_backups() -> None:
    backup = 'backup = "b" }, { name = "b", provider = "sip", sip = "sip:b@192.0.2.3" } ]'
    trunks = TRUNKS.replace('srtp = "off" } ]', f'srtp = "off", {backup}')
    text = f'{trunks}number = [ {{ dialed = "*", {PLACES} }} ]'
    number = assembly.routing(parse(text, {}, file="t.toml", folder=Path())).find(invite())
    assert number is not None
    assert [(each.name, each.uri, each.srtp.value) for each in number.agents] == [
        ("a", "sip:a@192.0.2.9", "off"),
        ("b", "sip:b@192.0.2.3", "offer"),
    ]


@pytest.mark.parametrize(
    ("source", "trusted"),
    [("192.0.2.1", True), ("192.0.2.2", True), ("192.0.2.3", False), ("192.0.2.66", False)],
)
async def test_a_trunk_is_trusted_by_source_address_unless_trust_identity_is_false(
    source: str, trusted: bool
) -> None:
    told = parse(f'{TRUNKS}number = [ {{ dialed = "*", {PLACES} }} ]', {}, file="t.toml", folder=Path())
    admission = Admission({trunk.name: assembly.sources(trunk) for trunk in told.trunks}, resolved)
    assert assembly.trust_of(told, admission, [], lambda flow: "one")(stub_flow(source)).trusted is trusted


def test_the_outbound_uri_of_a_trunk_may_have_an_ipv6_address() -> None:
    text = TRUNKS.replace("sip:192.0.2.1", "sip:[2001:db8::1]:5070")
    assert text != TRUNKS
    told = parse(f'{text}number = [ {{ dialed = "*", {PLACES} }} ]', {}, file="t.toml", folder=Path())
    assert "2001:db8::1" in assembly.sources(told.trunks[0])


@pytest.mark.parametrize(
    ("verification", "trusted", "trust"),
    [
        ("both", True, PeerTrust("one", trusted=True, headers=True, identity=True)),
        ("headers", True, PeerTrust("one", trusted=True, headers=True)),
        ("identity", True, PeerTrust("one", trusted=True, identity=True)),
        ("off", True, PeerTrust("one", trusted=True)),
        ("both", False, PeerTrust("one", identity=True)),  # a signature needs no trust in the peer
        ("headers", False, PeerTrust("one")),
    ],
)
async def test_the_verification_setting_limits_the_trust_in_a_trunk(
    verification: str, trusted: bool, trust: PeerTrust
) -> None:
    told = parse(f'{TRUNKS}number = [ {{ dialed = "*", {PLACES} }} ]', {}, file="t.toml", folder=Path())
    changed = told.trunks[0].model_copy(update={"verification": verification, "trust_identity": trusted})
    told = told.model_copy(update={"trunks": (changed, *told.trunks[1:])})
    admission = Admission({trunk.name: assembly.sources(trunk) for trunk in told.trunks}, resolved)
    known = assembly.trust_of(told, admission, [], lambda flow: None)
    assert known(stub_flow("192.0.2.1")) == trust
    assert known(stub_flow("192.0.2.66")) == PeerTrust()
    # Known by password only: not trusted.
    proved = assembly.trust_of(told, admission, [], lambda flow: "one")
    assert proved(stub_flow("192.0.2.66")) == PeerTrust("one", identity=trust.identity)


@pytest.mark.parametrize(
    ("of_number", "asked"),
    [
        ("", ["press-1", "press-1", "unscreened", "unscreened"]),
        (', confirm = "off"', ["off", "off", "off", "off"]),
        (', confirm = "whisper"', ["whisper", "whisper", "whisper", "whisper"]),
        (', confirm = "press-1"', ["press-1", "press-1", "press-1", "press-1"]),
    ],
)
def test_destinations_through_a_trunk_require_press_1_unless_the_number_overrides_it(
    of_number: str, asked: list[str]
) -> None:
    places = (
        '["sip:+14155559876@trunk:one", "tel:+14155559875", "sip:desk@192.0.2.4", "sip:alice@registered"]'
    )
    text = TEXT.replace('["tel:+14155559876"]', places + of_number) % (
        'host = "sbc.example.com"',
        "",
        'srtp="off"',
    )
    text = text.replace('srtp = "off", srtp="off"', 'srtp = "off"').replace(
        "public = {", 'public = { address = "192.0.2.1",'
    )
    text += 'phone = [ { name = "alice", password = "env:ALICE" } ]'
    told = parse(text, {"ALICE": "secret"}, file="t.toml", folder=Path())
    number = assembly.routing(told).find(invite())
    assert [place.confirm.value for place in number.destinations] == asked
    assert number.confirm_limit_s == 20.0


def test_only_numbers_with_record_are_recorded_and_announced_by_default() -> None:
    def number(screening: str, of_number: str = ""):
        text = TEXT.replace('["tel:+14155559876"]', '["tel:+14155559876"]' + of_number)
        text = text % ('host = "h.example", address = "192.0.2.1"', "", "silence_limit_s = 20")
        told = parse(f"{text}[screening]\n{screening}", {}, file="t.toml", folder=Path())
        return assembly.routing(told).find(invite())

    assert not number("").record
    assert (number('record = "on"').record, number('record = "on"').announcement) == (True, RECORDED)
    assert number("", ', record = "on"').record
    assert not number('record = "on"', ', record = "off"').record
    assert number('record = "on"\nrecord_announced = false').announcement is None
    told = number("voicemail_silence_s = 5\nvoicemail_least_s = 2\nvoicemail_greeting = ''").voicemail
    assert told == VoicemailSettings(120.0, 5.0, 2.0, "")
    assert number("").voicemail.greeting == LEAVE_MESSAGE


def sound(tmp_path: Path, number: str, more: str = "") -> Sound:
    """The sound settings of one number, with WAV files of one, two and three seconds available."""
    for seconds in (1, 2, 3):
        samples = 8000 * seconds
        (tmp_path / f"{seconds}.wav").write_bytes(wav_header(samples) + bytes(2 * samples))
    text = TEXT % ('host = "sbc.example.com", address = "203.0.113.10"', "", "silence_limit_s = 20")
    places = 'destinations = ["tel:+4930123456"]'
    text = text[: text.index("number =")] + f"number = [ {{ {number}, {places} }} ]\n{more}"
    told = parse(text, {}, file="t.toml", folder=tmp_path)
    return assembly.sound(told, told.numbers[0])


@pytest.mark.parametrize(
    ("number", "media", "country"),
    [
        ('dialed = "+442079460123"', "", "gb"),
        ('dialed = "*"', "", "de"),
        ('dialed = "+442079460123"', 'tones = "FR"', "fr"),
        ('dialed = "+442079460123", tones = "auto"', 'tones = "fr"', "gb"),
        ('dialed = "+442079460123", tones = "it"', 'tones = "fr"', "it"),
    ],
)
def test_tones_follow_the_country_of_the_number_unless_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, media: str, country: str
) -> None:
    monkeypatch.setattr(f"{__name__}.TEXT", TEXT.replace("media = { %s }", f"media = {{ {media} %s }}"))
    assert sound(tmp_path, number).media.tones.ringback is tones_of(country).ringback


def test_prompts_of_a_number_override_the_common_ones(tmp_path: Path) -> None:
    of_all = '[prompts]\nvoicemail_greeting = "1.wav"\nhold_music = "file:2.wav"\n'
    found = sound(tmp_path, 'dialed = "*", prompts = { voicemail_greeting = "3.wav" }', of_all)
    assert found.greeting is not None
    assert found.greeting.seconds == 3
    assert found.media.hold is not None
    assert found.media.hold.seconds == 2
    assert found.unavailable is None
    assert found.early_media is EarlyMedia.RINGBACK


def test_early_media_may_be_set_for_a_number(tmp_path: Path) -> None:
    assert sound(tmp_path, 'dialed = "*", early_media = "pass"').early_media is EarlyMedia.PASS


def test_a_prompt_that_cannot_be_played_is_one_problem_line(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"ID3")
    with pytest.raises(SettingsError) as raised:
        sound(tmp_path, 'dialed = "*"', '[prompts]\nunavailable = "bad.wav"\nhold_music = "gone.wav"\n')
    told = [
        str(problem).partition(": ")[2].replace(str(tmp_path), "DIR") for problem in raised.value.problems
    ]
    wav = "a WAV file of 16 bits, mono, at 8000 or 16000 Hz"
    assert sorted(told) == [
        "prompts.hold_music: expected a file that exists, got DIR/gone.wav, which is not there",
        f"prompts.unavailable: expected {wav}, got DIR/bad.wav: it is not a WAV file",
    ]


# How audio is protected.


def test_each_leg_has_the_srtp_policy_of_its_trunk_agent_or_phone() -> None:
    text = TRUNKS.replace('srtp = "off"', 'srtp = "require"').replace(
        'name = "two",', 'name = "two", srtp = "offer",'
    )
    text += 'phone = [ { name = "desk", password = "env:P", srtp = "off" } ]\n'
    text += f'number = [ {{ dialed = "*", {PLACES.replace("]", ",")} "sip:desk@registered" ] }} ]'
    told = parse(text, {"P": "a-long-password-of-the-desk"}, file="t.toml", folder=Path())
    number = assembly.routing(told).find(invite())
    assert number is not None
    assert number.agent is not None
    assert number.agent.srtp is SrtpPolicy.REQUIRE
    policies = [place.srtp_policy.value for place in number.destinations]
    assert policies == ["accept", "offer", "accept", "off"]


def test_a_caller_leg_has_the_srtp_policy_of_its_trunk_or_else_accept() -> None:
    text = TRUNKS.replace('name = "two",', 'name = "two", srtp = "require",')
    text += f'number = [ {{ dialed = "*", {PLACES} }} ]'
    told = parse(text, {}, file="t.toml", folder=Path())
    by = assembly.srtp_policy_of(told)
    assert [by(trunk).value for trunk in ("one", "two", "pbx")] == ["accept", "require", "accept"]
    assert by("").value == "accept"


def test_a_trunk_that_challenges_us_gets_the_credentials_of_its_account() -> None:
    text = TRUNKS.replace('name = "two",', 'name = "two", username = "u", password = "env:PW",')
    text += f'number = [ {{ dialed = "*", {PLACES} }} ]'
    by = assembly.credentials(parse(text, {"PW": "pw"}, file="t.toml", folder=Path()))
    assert [by(trunk) is None for trunk in ("one", "two", "")] == [True, False, True]
    assert by("two") is not by("two")


def test_a_destination_keeps_its_configured_name() -> None:
    trunked = '{ name = "a", to = "sip:+14155559876@trunk:one" }'
    places = f'[{trunked}, {{ name = "b", to = "sip:desk@192.0.2.4" }}, "tel:+14155559877"]'
    text = f'{TRUNKS}number = [ {{ dialed = "*", destinations = {places} }} ]'
    number = assembly.routing(parse(text, {}, file="t.toml", folder=Path())).find(invite())
    assert number is not None
    assert [place.name for place in number.destinations] == ["a", "b", None]
    assert [place.uri for place in number.destinations_named("b")] == ["sip:desk@192.0.2.4"]


@pytest.mark.parametrize(
    ("of_number", "texts"),
    [
        ("", 0),
        (', on_failure = "challenge"', 17),
        (', gate = "challenge"', 17),
        (', anonymous = "challenge"', 17),
    ],
)
def test_challenge_prompts_are_prepared_only_if_someone_may_be_challenged(of_number: str, texts: int) -> None:
    text = f'{TRUNKS}number = [ {{ dialed = "*", {PLACES}{of_number} }} ]'
    said = assembly.challenge_prompts(parse(text, {}, file="t.toml", folder=Path()))
    assert len(said) == texts
    if texts:
        assert "This number is protected. To be put through, press 7." in said


def test_challenge_and_refusal_settings_reach_the_call() -> None:
    keys = 'challenge_tries = 2, challenge_limit_s = 7, challenge_failed = "reject", whisper_keys = "on"'
    card = 'reject_with = 608, reject_card = "https://example.com/c.jws"'
    text = f'{TRUNKS}number = [ {{ dialed = "*", {PLACES}, {keys}, {card} }} ]'
    number = assembly.routing(parse(text, {}, file="t.toml", folder=Path())).find(invite())
    assert number.challenge == ChallengeSettings(2, 7.0, rejects=True)
    assert (number.whisper_keys, number.reject_card) == (True, "https://example.com/c.jws")
