# ruff: noqa: E501
"""Loading a settings file: defaults, overrides, `auto` addresses, and problem messages."""

from __future__ import annotations

from collections.abc import Callable
from errno import EMFILE
from ipaddress import ip_network
from pathlib import Path

import pytest

from proxy.config import Destination, NoRoute, PortRange, Settings, SettingsError, load, local_address, parse
from tests.config.conftest import ENVIRON, GOOD

ParseSettings = Callable[[str], Settings]
Faults = Callable[[str], list[str]]

ROOT = Path(__file__).parents[2]


def test_a_valid_file_gives_settings_with_all_defaults(
    parse_settings: ParseSettings, settings_folder: Path
) -> None:
    settings = parse_settings(GOOD)
    assert settings.public.address == "203.0.113.10"
    udp, tls = settings.listeners
    assert (udp.transport, udp.bind, udp.certificate) == ("udp", ("0.0.0.0", 5060), None)
    assert (tls.certificate, tls.key) == (
        settings_folder / "certs/fullchain.pem",
        settings_folder / "certs/privkey.pem",
    )
    (trunk,) = settings.trunks
    assert trunk.sources == ("sip.signalwire.com", ip_network("198.51.100.0/24"), ip_network("192.0.2.7"))
    assert trunk.password is not None
    assert trunk.password.get_secret_value() == "trunk-secret"
    (agent,) = settings.agents
    assert (agent.provider, agent.transfer, agent.model) == ("openai-realtime", "refer", "gpt-realtime-2.1")
    assert (agent.refer_patience_s, agent.ready_limit_s, agent.silence_limit_s) == (3.0, 8.0, 20.0)
    assert agent.webhook_secret is not None
    assert agent.webhook_secret.get_secret_value() == "whsec_hush"
    assert settings.media.ports == PortRange(20000, 29999)
    assert settings.http.bind == ("0.0.0.0", 8080)
    assert (settings.drain.limit_s, settings.limits.calls) == (30.0, 500)
    assert (settings.log.level, settings.log.format) == ("info", "console")
    assert settings.records == Path("calls.jsonl")


def test_printed_settings_contain_no_secrets(parse_settings: ParseSettings) -> None:
    printed = repr(parse_settings(GOOD)) + str(parse_settings(GOOD))
    assert "trunk-secret" not in printed
    assert "sk-very-secret" not in printed


def test_settings_are_immutable(parse_settings: ParseSettings) -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse_settings(GOOD).public.host = "elsewhere"  # type: ignore[misc]


def test_a_number_may_override_screening_settings_and_choose_its_agent(parse_settings: ParseSettings) -> None:
    more = """
[[agent]]
name = "second"
provider = "sip"
sip = "sip:bot@192.0.2.50"
[[number]]
dialed = "*"
destinations = ["tel:+1-415-555-9876", "sip:+14155559876@192.0.2.60", "sip:alice@192.0.2.60"]
agent = "second"
talk_limit_s = 30
on_failure = "voicemail"
refer_target = "sip:+14155559876@anywhere.example.com"
"""
    settings = parse_settings(GOOD + more)
    first, second = settings.numbers
    assert settings.agent_of(first).name == "openai"
    assert settings.agent_of(second).name == "second"
    assert settings.screening_of(first) == settings.screening
    assert settings.screening_of(second).talk_limit_s == 30
    assert settings.screening_of(second).on_failure == "voicemail"
    assert settings.screening_of(second).voicemail_limit_s == 120
    assert first.target == "tel:+14155559876"
    assert second.target == "sip:+14155559876@anywhere.example.com"


def test_the_agents_of_a_number_are_its_agent_and_each_backup_once(
    parse_settings: ParseSettings,
) -> None:
    own = """
[[agent]]
name = "{}"
provider = "sip"
sip = "sip:bot@192.0.2.50"
backup = "{}"
"""
    first = GOOD.replace('srtp = "off"', 'srtp = "off"\nbackup = "in-house"')
    more = own.format("in-house", "last") + own.format("last", "in-house") + own.format("other", "openai")
    settings = parse_settings(
        first + more + '[[number]]\ndialed = "*"\ndestinations = ["tel:+14155559876"]\nagent = "last"'
    )
    named = [[agent.name for agent in settings.agents_of(number)] for number in settings.numbers]
    assert named == [["openai", "in-house", "last"], ["last", "in-house"]]
    assert parse_settings(GOOD).agents_of(settings.numbers[0]) == parse_settings(GOOD).agents
    assert (
        parse_settings(GOOD + 'screen = "off"').agents_of(parse_settings(GOOD + 'screen = "off"').numbers[0])
        == ()
    )


def test_a_destination_is_dialled_through_its_trunk_or_directly(parse_settings: ParseSettings) -> None:
    places = '["sip:101@trunk:signalwire", "tel:+14155559876", "sip:alice@192.0.2.60"]'
    settings = parse_settings(GOOD.replace('["sip:+14155559876@trunk:signalwire"]', places))
    through, any_trunk, direct = settings.numbers[0].destinations
    assert through == Destination("sip:101@trunk:signalwire", "101", "signalwire", None)
    assert settings.trunk_of(through) == settings.trunk_of(any_trunk) == settings.trunks[0]
    assert settings.trunk_of(direct) is None
    assert (direct.number, str(direct.uri)) == (None, "sip:alice@192.0.2.60")


def test_the_refer_target_defaults_to_the_uri_of_a_first_destination_without_a_number(
    parse_settings: ParseSettings,
) -> None:
    text = GOOD.replace("sip:+14155559876@trunk:signalwire", "sip:alice@192.0.2.60")
    assert parse_settings(text).numbers[0].target == "sip:alice@192.0.2.60"


def test_the_openai_sip_uri_is_derived_from_the_project(parse_settings: ParseSettings) -> None:
    text = GOOD.replace('sip = "sip:proj_XXXX@sip.api.openai.com:5061;transport=tls"', 'project = "proj_abc"')
    agent = parse_settings(text).agents[0]
    assert str(agent.sip) == "sip:proj_abc@sip.api.openai.com:5061;transport=tls"
    assert agent.project == "proj_abc"


def test_the_auto_address_is_the_local_address_of_the_default_route(parse_settings: ParseSettings) -> None:
    assert parse_settings(GOOD.replace('"203.0.113.10"', '"auto"')).public.address == "192.0.2.99"
    assert parse_settings(GOOD.replace('address = "203.0.113.10"', "")).public.address == "192.0.2.99"


def test_the_auto_address_is_ipv6_only_if_all_listeners_are_ipv6(parse_settings: ParseSettings) -> None:
    auto = GOOD.replace('"203.0.113.10"', '"auto"')
    assert parse_settings(auto.replace('"0.0.0.0:5060"', '"[::]:5060"')).public.address == "192.0.2.99"
    assert parse_settings(auto.replace("0.0.0.0:", "[::]:")).public.address == "2001:db8::99"


def test_settings_read_without_secrets_need_no_public_address(settings_folder: Path) -> None:
    text = GOOD.replace('"203.0.113.10"', '"auto"')
    offline = parse(
        text, {}, file="f", folder=settings_folder, find_address=lambda elsewhere: None, secrets=False
    )
    assert offline.numbers[0].dialed == "+14155551234"


def test_an_auto_address_without_a_route_is_refused(settings_folder: Path) -> None:
    with pytest.raises(
        NoRoute, match=r"public\.address: expected an IP address, got \"auto\" without a route"
    ):
        parse(
            GOOD.replace('"203.0.113.10"', '"auto"'),
            ENVIRON,
            file="f",
            folder=settings_folder,
            find_address=lambda elsewhere: None,
        )


@pytest.mark.network
def test_the_local_address_is_that_of_the_route_and_none_without_a_route() -> None:
    assert local_address("127.0.0.1") == "127.0.0.1"
    assert local_address("::1") == "::1"
    assert local_address("255.255.255.255") is None  # broadcast: connect() fails without SO_BROADCAST


def test_the_local_address_is_none_when_no_socket_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that follows the address retries later."""

    def none_left(*_: object) -> None:
        raise OSError(EMFILE, "Too many open files")

    monkeypatch.setattr("socket.socket", none_left)
    assert local_address() is None


def test_all_faults_are_listed_at_once_with_key_and_expected_value(faults: Faults) -> None:
    text = """
[public]
hots = "sbc.example.com"
address = "203.0.113"

[[listen]]
transport = "sctp"
bind = "5060"

[[listen]]
transport = "tls"
bind = "0.0.0.0:5061"

[media]
mode = "passed on"
ports = "29999-20000"

[[trunk]]
name = "carrier one"
from = ["0.0.0.0/0", "198.51.100.7/24", 7]
outbound = "carrier.example.com"
username = "screendoor"

[[agent]]
name = "openai"
sip = "sip:proj_XXXX@sip.api.openai.com:5061;transport=tls"
srtp = "must"
api_key = "sk-proj-1234567890"
webhook_secret = "env:NOT_SET"
transfer = "referral"

[screening]
talk_limit_s = "90"
on_failure = "hangup"

[[number]]
dialed = "+1 415 555 1234"
destinations = ["sip:+14155559876@trunk:nobody", "sip:alice@registered", "tel:911"]
agent = "nobody"
ring_limit_s = true

[extra]
"""
    assert faults(text) == [
        "extra: expected one of public, listen, media, prompts, trunk, phone, agent, screening, stir, memory, costs,"
        " speech, http, api, number, notify, drain, limits, connections, log, records, got an unknown key",
        'public.address: expected an IP address or "auto", got "203.0.113"',
        "public.host: expected a value (this key is required), got nothing",
        'public.hots: expected a known key (did you mean "host"?), got an unknown key',
        'listen[0].bind: expected an address and a port, such as 0.0.0.0:5060 or [::]:5060, got "5060"',
        'listen[0].transport: expected one of "udp", "tcp" or "tls", got "sctp"',
        "listen[1].certificate: expected the path of a PEM file (TLS needs certificate and key), got nothing",
        "listen[1].key: expected the path of a PEM file (TLS needs certificate and key), got nothing",
        'media.mode: expected "auto", "relay", "kernel" or "direct", got "passed on"',
        'media.ports: expected a range LOW-HIGH between 1024 and 65535, got "29999-20000"',
        'trunk[0].from[0]: expected the networks of the carrier, not the whole internet, got "0.0.0.0/0"',
        'trunk[0].from[1]: expected a network without host bits, such as 198.51.100.0/24, got "198.51.100.7/24"',
        "trunk[0].from[2]: expected a host name, an IP address or a network such as 198.51.100.0/24, got 7",
        "trunk[0].name: expected a name of letters, digits, '-', '_' and '.', got \"carrier one\"",
        "trunk[0].outbound: expected a SIP URI, such as sip:user@host:5061;transport=tls,"
        ' got "carrier.example.com"',
        "trunk[0].password: expected a password, since there is a username, got nothing",
        "agent[0].api_key: expected env:NAME or file:PATH (secrets never stand in the settings),"
        " got a literal value",
        'agent[0].srtp: expected one of "off", "offer" or "require", got "must"',
        'agent[0].transfer: expected one of "refer" or "local", got "referral"',
        "agent[0].webhook_secret: expected the environment variable NOT_SET, got none of that name",
        'screening.on_failure: expected one of "ring", "challenge", "voicemail" or "reject", got "hangup"',
        'screening.talk_limit_s: expected seconds between 1 and 3600, got "90"',
        'number[0].agent: expected the name of an [[agent]] (openai), got "nobody"',
        'number[0].destinations[0]: expected the name of a [[trunk]] after trunk: (carrier one), got "nobody"',
        "number[0].destinations[1]: expected the name of a [[phone]] before @registered (none is configured),"
        ' got "alice"',
        "number[0].destinations[2]: expected no emergency number (they are never screened, and never a transfer"
        ' target), got "tel:911"',
        'number[0].dialed: expected a number such as +14155551234, a user name, or "*" for any,'
        ' got "+1 415 555 1234"',
        "number[0].ring_limit_s: expected seconds between 1 and 600, got true",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("[[trunk]]", "[trunk]", "trunk: expected a list of tables, each written [[trunk]], got a table"),
        (
            '["sip:+14155559876@trunk:signalwire"]',
            '"sip:+14155559876@trunk:signalwire"',
            'number[0].destinations: expected a list, got "sip:+14155559876@trunk:signalwire"',
        ),
        (
            '["sip:+14155559876@trunk:signalwire"]',
            "[]",
            "number[0].destinations: expected at least one entry, got an empty list",
        ),
        ("[public]", "media = 5\n[public]", "media: expected a table, written [media], got 5"),
        ("[public]", "number = [5]\n[public]", "number[0]: expected a table, got 5"),
        (
            'name = "signalwire"',
            'name = "signalwire"\ntrust_identity = 3',
            "trunk[0].trust_identity: expected true or false, got 3",
        ),
        (
            '["sip:+14155559876@trunk:signalwire"]',
            '[{ name = "mobile" }]',
            "number[0].destinations[0]: expected sip:+NUMBER@trunk:NAME, tel:+NUMBER or sip:user@host, got nothing",
        ),
        ("[public]", 'records = " "\n[public]', 'records: expected a path, got " "'),
    ],
)
def test_a_value_of_the_wrong_type_is_described_in_toml_terms(
    faults: Faults, old: str, new: str, line: str
) -> None:
    text = GOOD.replace(old, new)
    if "number = [5]" in new:
        text = text[: text.index("[[number]]")]
    assert line in faults(text)


def test_a_list_with_only_invalid_entries_is_not_also_reported_as_empty(faults: Faults) -> None:
    assert faults(GOOD.replace("sip:+14155559876@trunk:signalwire", "+14155559876")) == [
        "number[0].destinations[0]: expected a SIP URI, such as sip:user@host:5061;transport=tls,"
        ' got "+14155559876"'
    ]


@pytest.mark.parametrize("value", ["True", "Ada Lovelace", "“Ada”", ""])
def test_an_invalid_toml_value_is_reported_with_examples_of_valid_ones(faults: Faults, value: str) -> None:
    assert faults(f"[screening]\nname = {value}\n") == [
        'line 2, column 8: expected a value of TOML, such as "text" in straight quotes, 25 or true,'
        " got something else"
    ]


def test_an_empty_file_reports_every_required_table(faults: Faults) -> None:
    assert faults("") == [
        "public: expected a table, got nothing",
        "listen: expected at least one [[listen]] table, got none",
        "trunk: expected at least one [[trunk]] table, got none",
        "agent: expected at least one [[agent]] table, got none",
        "number: expected at least one [[number]] table, got none",
    ]


def test_invalid_toml_is_reported_with_line_and_column(faults: Faults) -> None:
    (line,) = faults("[public]\nhost = sbc.example.com\n")
    assert line.startswith("line 2, column 8: expected a value of TOML, ")


def test_truncated_toml_is_a_settings_problem(faults: Faults) -> None:
    (line,) = faults("[public")
    assert "expected TOML, got" in line


def test_an_empty_records_path_switches_records_off(parse_settings: ParseSettings) -> None:
    assert parse_settings('records = ""\n' + GOOD).records is None


def test_relative_paths_start_at_the_folder_of_the_settings_file(settings_folder: Path) -> None:
    (settings_folder / "sd.toml").write_text(GOOD)
    assert (
        load(settings_folder / "sd.toml", ENVIRON).listeners[1].key == settings_folder / "certs/privkey.pem"
    )


def test_a_missing_file_is_a_settings_problem(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"none\.toml: file: expected a file that can be read, got No such file"
    ):
        load(tmp_path / "none.toml", {})


def test_a_file_that_is_not_utf8_is_a_settings_problem(settings_folder: Path) -> None:
    with pytest.raises(SettingsError, match="expected UTF-8 text, got something else at byte 0"):
        load(settings_folder / "latin.txt", {})


def test_a_byte_order_mark_at_the_start_of_the_file_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "sd.toml"
    file.write_bytes(b"\xef\xbb\xbf" + (ROOT / "config/lab.toml").read_bytes())
    assert load(file, {}).public.host == "127.0.0.1"


@pytest.mark.parametrize("key", ['"sk-1"', "sk-…", "“sk-1”", "sk-1\nsk-2", "export KEY=sk-1"])
def test_a_key_not_valid_in_an_http_header_is_refused_without_being_shown(
    settings_folder: Path, key: str
) -> None:
    text = GOOD.replace('"file:webhook.secret"', '"env:OPENAI_API_KEY"')
    text += '[speech]\napi_key = "env:OPENAI_API_KEY"\n'
    with pytest.raises(SettingsError) as caught:
        parse(text, ENVIRON | {"OPENAI_API_KEY": key}, file="sd.toml", folder=settings_folder)
    expected = "of ASCII alone, without quotes, spaces or a second line, got something else"
    assert [str(problem) for problem in caught.value.problems] == [
        f"sd.toml: agent[0].api_key: expected a key {expected}",
        f"sd.toml: agent[0].webhook_secret: expected a secret {expected}",
        f"sd.toml: speech.api_key: expected a key {expected}",
    ]


def test_a_swapped_api_key_and_webhook_secret_are_refused(settings_folder: Path) -> None:
    text = GOOD.replace('"file:webhook.secret"', '"env:SECRET"')
    environ = ENVIRON | {"OPENAI_API_KEY": "whsec_c2VjcmV0", "SECRET": "sk-very-secret"}
    with pytest.raises(SettingsError) as caught:
        parse(text, environ, file="sd.toml", folder=settings_folder)
    assert [str(problem) for problem in caught.value.problems] == [
        "sd.toml: agent[0].api_key: expected the key, which does not begin with whsec_, got a webhook secret",
        "sd.toml: agent[0].webhook_secret: expected the secret, which does not begin with sk-, got an API key",
    ]


@pytest.mark.parametrize("text", ["x = " + "9" * 5000, "x = " + "[" * 5000])
def test_toml_beyond_the_limits_of_the_parser_is_a_settings_problem(faults: Faults, text: str) -> None:
    assert "expected TOML" in faults(text)[0]


def test_the_lab_example_loads() -> None:
    settings = load(ROOT / "config/lab.toml", {})
    assert settings.agents[0].provider == "sip"


def test_the_signalwire_example_is_valid_except_for_certificates_and_secrets() -> None:
    with pytest.raises(SettingsError) as caught:
        load(ROOT / "config/signalwire.toml", {})
    keys = {problem.key for problem in caught.value.problems}
    assert keys - {"listen[1].certificate", "listen[1].key"} == {
        "trunk[0].password",
        "agent[0].api_key",
        "agent[0].webhook_secret",
    }


def test_no_agent_is_required_when_screening_is_off(parse_settings: ParseSettings) -> None:
    unscreened = GOOD.replace("[[number]]", '[[number]]\nscreen = "off"')
    without = unscreened[: unscreened.index("[[agent]]")] + unscreened[unscreened.index("[[number]]") :]
    settings = parse_settings(without)
    assert settings.agents == ()
    assert settings.agent_of(settings.numbers[0]) is None


def test_a_screened_number_requires_an_agent(faults: Callable[[str], list[str]]) -> None:
    without = GOOD[: GOOD.index("[[agent]]")] + GOOD[GOOD.index("[[number]]") :]
    assert faults(without) == ["agent: expected at least one [[agent]] table, got none"]
