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

Settled = Callable[[str], Settings]
Faults = Callable[[str], list[str]]

ROOT = Path(__file__).parents[2]


def test_a_good_file_becomes_settings_with_every_default_filled(settled: Settled, house: Path) -> None:
    settings = settled(GOOD)
    assert settings.public.address == "203.0.113.10"
    udp, tls = settings.listeners
    assert (udp.transport, udp.bind, udp.certificate) == ("udp", ("0.0.0.0", 5060), None)
    assert (tls.certificate, tls.key) == (house / "certs/fullchain.pem", house / "certs/privkey.pem")
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


def test_secrets_do_not_show_when_settings_are_printed(settled: Settled) -> None:
    printed = repr(settled(GOOD)) + str(settled(GOOD))
    assert "trunk-secret" not in printed
    assert "sk-very-secret" not in printed


def test_settings_cannot_be_changed(settled: Settled) -> None:
    with pytest.raises(ValueError, match="frozen"):
        settled(GOOD).public.host = "elsewhere"  # type: ignore[misc]


def test_a_number_may_override_the_screening_and_name_its_agent(settled: Settled) -> None:
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
    settings = settled(GOOD + more)
    first, second = settings.numbers
    assert settings.agent_of(first).name == "openai"
    assert settings.agent_of(second).name == "second"
    assert settings.screening_of(first) == settings.screening
    assert settings.screening_of(second).talk_limit_s == 30
    assert settings.screening_of(second).on_failure == "voicemail"
    assert settings.screening_of(second).voicemail_limit_s == 120
    assert first.target == "tel:+14155559876"
    assert second.target == "sip:+14155559876@anywhere.example.com"


def test_the_agents_of_a_number_are_its_own_and_the_backups_of_that_each_once(settled: Settled) -> None:
    own = """
[[agent]]
name = "{}"
provider = "sip"
sip = "sip:bot@192.0.2.50"
backup = "{}"
"""
    first = GOOD.replace('srtp = "off"', 'srtp = "off"\nbackup = "house"')
    more = own.format("house", "last") + own.format("last", "house") + own.format("other", "openai")
    settings = settled(
        first + more + '[[number]]\ndialed = "*"\ndestinations = ["tel:+14155559876"]\nagent = "last"'
    )
    named = [[agent.name for agent in settings.agents_of(number)] for number in settings.numbers]
    assert named == [["openai", "house", "last"], ["last", "house"]]
    assert settled(GOOD).agents_of(settings.numbers[0]) == settled(GOOD).agents
    assert settled(GOOD + 'screen = "off"').agents_of(settled(GOOD + 'screen = "off"').numbers[0]) == ()


def test_destinations_know_the_trunk_they_are_dialled_through(settled: Settled) -> None:
    places = '["sip:101@trunk:signalwire", "tel:+14155559876", "sip:alice@192.0.2.60"]'
    settings = settled(GOOD.replace('["sip:+14155559876@trunk:signalwire"]', places))
    through, any_trunk, direct = settings.numbers[0].destinations
    assert through == Destination("sip:101@trunk:signalwire", "101", "signalwire", None)
    assert settings.trunk_of(through) == settings.trunk_of(any_trunk) == settings.trunks[0]
    assert settings.trunk_of(direct) is None
    assert (direct.number, str(direct.uri)) == (None, "sip:alice@192.0.2.60")


def test_a_first_destination_that_is_no_number_is_the_target_itself(settled: Settled) -> None:
    text = GOOD.replace("sip:+14155559876@trunk:signalwire", "sip:alice@192.0.2.60")
    assert settled(text).numbers[0].target == "sip:alice@192.0.2.60"


def test_the_agent_of_openai_is_called_by_its_project(settled: Settled) -> None:
    text = GOOD.replace('sip = "sip:proj_XXXX@sip.api.openai.com:5061;transport=tls"', 'project = "proj_abc"')
    agent = settled(text).agents[0]
    assert str(agent.sip) == "sip:proj_abc@sip.api.openai.com:5061;transport=tls"
    assert agent.project == "proj_abc"


def test_auto_becomes_the_address_towards_the_internet(settled: Settled) -> None:
    assert settled(GOOD.replace('"203.0.113.10"', '"auto"')).public.address == "192.0.2.99"
    assert settled(GOOD.replace('address = "203.0.113.10"', "")).public.address == "192.0.2.99"


def test_auto_is_of_ipv6_where_nothing_else_is_listened_on(settled: Settled) -> None:
    auto = GOOD.replace('"203.0.113.10"', '"auto"')
    assert settled(auto.replace('"0.0.0.0:5060"', '"[::]:5060"')).public.address == "192.0.2.99"
    assert settled(auto.replace("0.0.0.0:", "[::]:")).public.address == "2001:db8::99"


def test_who_takes_no_calls_needs_no_address(house: Path) -> None:
    text = GOOD.replace('"203.0.113.10"', '"auto"')
    offline = parse(text, {}, file="f", folder=house, find_address=lambda elsewhere: None, secrets=False)
    assert offline.numbers[0].dialed == "+14155551234"


def test_auto_without_a_route_is_a_problem(house: Path) -> None:
    with pytest.raises(
        NoRoute, match=r"public\.address: expected an IP address, got \"auto\" without a route"
    ):
        parse(
            GOOD.replace('"203.0.113.10"', '"auto"'),
            ENVIRON,
            file="f",
            folder=house,
            find_address=lambda elsewhere: None,
        )


@pytest.mark.network
def test_the_local_address_is_found_by_its_route_and_none_without_one() -> None:
    assert local_address("127.0.0.1") == "127.0.0.1"
    assert local_address("::1") == "::1"
    assert local_address("255.255.255.255") is None  # broadcast: connect() fails without SO_BROADCAST


def test_without_a_socket_left_no_local_address_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that follows the address retries later."""

    def none_left(*_: object) -> None:
        raise OSError(EMFILE, "Too many open files")

    monkeypatch.setattr("socket.socket", none_left)
    assert local_address() is None


def test_several_faults_are_all_listed_at_once_with_place_and_expectation(faults: Faults) -> None:
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
def test_a_value_of_the_wrong_shape_is_said_in_words_of_toml(
    faults: Faults, old: str, new: str, line: str
) -> None:
    text = GOOD.replace(old, new)
    if "number = [5]" in new:
        text = text[: text.index("[[number]]")]
    assert line in faults(text)


def test_a_list_of_which_no_entry_is_right_lacks_none(faults: Faults) -> None:
    assert faults(GOOD.replace("sip:+14155559876@trunk:signalwire", "+14155559876")) == [
        "number[0].destinations[0]: expected a SIP URI, such as sip:user@host:5061;transport=tls,"
        ' got "+14155559876"'
    ]


@pytest.mark.parametrize("value", ["True", "Ada Lovelace", "“Ada”", ""])
def test_a_value_that_is_none_is_said_with_what_one_looks_like(faults: Faults, value: str) -> None:
    assert faults(f"[screening]\nname = {value}\n") == [
        'line 2, column 8: expected a value of TOML, such as "text" in straight quotes, 25 or true,'
        " got something else"
    ]


def test_an_empty_file_lists_what_it_needs(faults: Faults) -> None:
    assert faults("") == [
        "public: expected a table, got nothing",
        "listen: expected at least one [[listen]] table, got none",
        "trunk: expected at least one [[trunk]] table, got none",
        "agent: expected at least one [[agent]] table, got none",
        "number: expected at least one [[number]] table, got none",
    ]


def test_a_file_that_is_no_toml_names_the_line(faults: Faults) -> None:
    (line,) = faults("[public]\nhost = sbc.example.com\n")
    assert line.startswith("line 2, column 8: expected a value of TOML, ")


def test_toml_that_ends_early_is_a_problem_too(faults: Faults) -> None:
    (line,) = faults("[public")
    assert "expected TOML, got" in line


def test_records_may_be_switched_off(settled: Settled) -> None:
    assert settled('records = ""\n' + GOOD).records is None


def test_a_file_is_read_with_its_own_folder_as_the_beginning_of_paths(house: Path) -> None:
    (house / "sd.toml").write_text(GOOD)
    assert load(house / "sd.toml", ENVIRON).listeners[1].key == house / "certs/privkey.pem"


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"none\.toml: file: expected a file that can be read, got No such file"
    ):
        load(tmp_path / "none.toml", {})


def test_a_file_that_is_not_utf8_is_a_problem(house: Path) -> None:
    with pytest.raises(SettingsError, match="expected UTF-8 text, got something else at byte 0"):
        load(house / "latin.txt", {})


def test_a_file_may_begin_with_the_mark_of_an_editor_on_windows(tmp_path: Path) -> None:
    file = tmp_path / "sd.toml"
    file.write_bytes(b"\xef\xbb\xbf" + (ROOT / "config/lab.toml").read_bytes())
    assert load(file, {}).public.host == "127.0.0.1"


@pytest.mark.parametrize("key", ['"sk-1"', "sk-…", "“sk-1”", "sk-1\nsk-2", "export KEY=sk-1"])
def test_a_key_that_no_header_of_http_can_hold_is_refused_and_not_repeated(house: Path, key: str) -> None:
    text = GOOD.replace('"file:webhook.secret"', '"env:OPENAI_API_KEY"')
    text += '[speech]\napi_key = "env:OPENAI_API_KEY"\n'
    with pytest.raises(SettingsError) as caught:
        parse(text, ENVIRON | {"OPENAI_API_KEY": key}, file="sd.toml", folder=house)
    expected = "of ASCII alone, without quotes, spaces or a second line, got something else"
    assert [str(problem) for problem in caught.value.problems] == [
        f"sd.toml: agent[0].api_key: expected a key {expected}",
        f"sd.toml: agent[0].webhook_secret: expected a secret {expected}",
        f"sd.toml: speech.api_key: expected a key {expected}",
    ]


def test_a_key_and_a_webhook_secret_that_took_each_others_place_are_refused(house: Path) -> None:
    text = GOOD.replace('"file:webhook.secret"', '"env:SECRET"')
    environ = ENVIRON | {"OPENAI_API_KEY": "whsec_c2VjcmV0", "SECRET": "sk-very-secret"}
    with pytest.raises(SettingsError) as caught:
        parse(text, environ, file="sd.toml", folder=house)
    assert [str(problem) for problem in caught.value.problems] == [
        "sd.toml: agent[0].api_key: expected the key, which does not begin with whsec_, got a webhook secret",
        "sd.toml: agent[0].webhook_secret: expected the secret, which does not begin with sk-, got an API key",
    ]


@pytest.mark.parametrize("text", ["x = " + "9" * 5000, "x = " + "[" * 5000])
def test_toml_that_python_cannot_hold_is_a_problem_too(faults: Faults, text: str) -> None:
    assert "expected TOML" in faults(text)[0]


def test_the_lab_example_loads() -> None:
    settings = load(ROOT / "config/lab.toml", {})
    assert settings.agents[0].provider == "sip"


def test_the_signalwire_example_lacks_nothing_but_certificates_and_secrets() -> None:
    with pytest.raises(SettingsError) as caught:
        load(ROOT / "config/signalwire.toml", {})
    keys = {problem.key for problem in caught.value.problems}
    assert keys - {"listen[1].certificate", "listen[1].key"} == {
        "trunk[0].password",
        "agent[0].api_key",
        "agent[0].webhook_secret",
    }


def test_where_nobody_is_screened_no_agent_is_needed(settled: Settled) -> None:
    unscreened = GOOD.replace("[[number]]", '[[number]]\nscreen = "off"')
    without = unscreened[: unscreened.index("[[agent]]")] + unscreened[unscreened.index("[[number]]") :]
    settings = settled(without)
    assert settings.agents == ()
    assert settings.agent_of(settings.numbers[0]) is None


def test_a_number_that_is_screened_needs_an_agent(faults: Callable[[str], list[str]]) -> None:
    without = GOOD[: GOOD.index("[[agent]]")] + GOOD[GOOD.index("[[number]]") :]
    assert faults(without) == ["agent: expected at least one [[agent]] table, got none"]
