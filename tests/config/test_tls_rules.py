# ruff: noqa: E501
"""TLS settings: per-peer terms, limits, and combinations that are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from proxy import assembly, network_setup
from proxy.call.admission import Admission
from proxy.config import Settings
from proxy.transport.connections import ConnectionLimits
from proxy.transport.keepalive import KeepAliveRules
from proxy.transport.resolver import Resolver
from tests.config.conftest import GOOD

Faults = Callable[[str], list[str]]
ParseSettings = Callable[[str], Settings]

TERMS = """
[trunk.tls]
min_version = "1.2"
max_version = "1.2"
ciphers = "AES128-SHA:AES256-SHA256"
certificate = "certs/fullchain.pem"
key = "certs/privkey.pem"
ca = "certs/ca.pem"
verify = "sip-domain"
name = "sip.carrier.example"

[[agent]]"""

WITH_TERMS = GOOD.replace("[[agent]]", TERMS)
LISTEN = 'key = "file:certs/privkey.pem"'


def test_tls_settings_of_a_trunk_apply_only_to_that_trunk(parse_settings: ParseSettings) -> None:
    settings = parse_settings(WITH_TERMS)
    tls = settings.trunks[0].tls
    assert tls is not None
    assert (tls.verify, tls.name, tls.max_version) == ("sip-domain", "sip.carrier.example", "1.2")
    assert network_setup.trunk_profiles(settings) == {"signalwire": "trunk signalwire"}
    number = assembly.routing(settings)._numbers["+14155551234"]
    assert number.agent is not None
    assert number.agent.profile == ""
    assert number.destinations[0].trunk is not None
    assert number.destinations[0].trunk.profile == "trunk signalwire"
    terms = network_setup.tls_profiles(settings)
    assert terms.engine("trunk signalwire", "anyhost").mutual is False  # unknown before the handshake
    assert terms.engine("trunk signalwire", "anyhost")._check.name == "sip.carrier.example"  # type: ignore[union-attr]
    assert terms.engine("", "anyhost")._check.name == "anyhost"  # type: ignore[union-attr]


def test_an_agent_with_tls_settings_has_its_own_profile_that_trusts_its_ca(
    parse_settings: ParseSettings,
) -> None:
    text = GOOD.replace('srtp = "off"', 'srtp = "off"\nca = "certs/ca.pem"\ntls = { min_version = "1.3" }')
    settings = parse_settings(text)
    assert assembly.routing(settings)._numbers["+14155551234"].agent.profile == "agent openai"  # type: ignore[union-attr]
    terms = network_setup.tls_profiles(settings)
    assert [str(path) for path in terms._named["agent openai"]._rules.extra_ca] == [
        str(settings.agents[0].ca)
    ]


def test_a_listener_requires_client_certificates_by_its_own_tls_settings(
    parse_settings: ParseSettings,
) -> None:
    text = GOOD.replace(
        LISTEN,
        f'{LISTEN}\nclient_certificates = "require"\nclient_ca = "certs/ca.pem"\n'
        'ciphers = "AES128-SHA"\nmax_version = "1.2"',
    ).replace('"sip.signalwire.com",', '"tls:SIP.Carrier.example.",')
    settings = parse_settings(text)
    listen = network_setup.listen_on(settings.listeners[1])
    assert listen.tls is not None
    assert (listen.tls.clients, listen.tls.policy.ciphers) == ("require", "AES128-SHA")
    assert str(listen.tls.client_ca).endswith("certs/ca.pem")
    assert "tls:sip.carrier.example" in assembly.sources(settings.trunks[0])
    assert network_setup.listen_on(settings.listeners[0]).tls is None


def test_connection_limits_are_read_and_strangers_get_a_quarter_of_the_open_files(
    parse_settings: ParseSettings,
) -> None:
    settings = parse_settings(
        GOOD + "[connections]\nkeep_alive_s = 0\nidle_s = 60\nstrangers = 400\nhandshakes = 7\n"
    )
    assert network_setup.network(settings, Resolver())._keep_alive == KeepAliveRules(0.0, 60.0)
    assert network_setup.connection_limits(settings, 1_000_000) == ConnectionLimits(400, 50, 7, 20)
    assert network_setup.connection_limits(settings, 1024).strangers == 256
    assert network_setup.connection_limits(settings, -1).strangers == 400


def test_only_trunks_and_agents_with_keep_connected_keep_connections(parse_settings: ParseSettings) -> None:
    assert network_setup.kept_connections(parse_settings(GOOD)) == []
    text = WITH_TERMS.replace("[trunk.tls]", "keep_connected = true\n[trunk.tls]")
    text = text.replace('srtp = "off"', 'srtp = "off"\nkeep_connected = true')
    assert [(str(uri), profile) for uri, profile in network_setup.kept_connections(parse_settings(text))] == [
        ("sip:example-domain.signalwire.com;transport=tls", "trunk signalwire"),
        ("sip:proj_XXXX@sip.api.openai.com:5061;transport=tls", ""),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"AES128-SHA:AES256-SHA256"', '"AES128-SHA:AES-OLD"', "trunk[0].tls.ciphers: expected OpenSSL's names of ciphers, such as AES128-SHA256:ECDHE-RSA-AES128-GCM-SHA256, got AES-OLD"),
        ('"AES128-SHA:AES256-SHA256"', "5", "trunk[0].tls.ciphers: expected OpenSSL's names of ciphers, such as AES128-SHA256:ECDHE-RSA-AES128-GCM-SHA256, got 5"),
        ('max_version = "1.2"', 'max_version = "1.1"', 'trunk[0].tls.max_version: expected one of "1.2" or "1.3", got "1.1"'),
        ('min_version = "1.2"', 'min_version = "1.3"', 'trunk[0].tls.max_version: expected min_version (1.3) or more, got "1.2"'),
        ('verify = "sip-domain"', 'verify = "no"', 'trunk[0].tls.verify: expected one of "name" or "sip-domain", got "no"'),
        ('name = "sip.carrier.example"', 'name = "sip:carrier"', 'trunk[0].tls.name: expected a host name without scheme and port, such as sbc.example.com, got "sip:carrier"'),
        ('key = "certs/privkey.pem"', "", "trunk[0].tls.key: expected the path of a PEM file (TLS needs certificate and key), got nothing"),
        ('key = "certs/privkey.pem"', 'key = "other/privkey.pem"', "trunk[0].tls.key: expected the key of the certificate, got the key of another one"),
        ('ca = "certs/ca.pem"', 'ca = "webhook.secret"', "trunk[0].tls.ca: expected a PEM certificate, got .*webhook.secret, which does not load as one"),
        ("verify =", "verfy =", 'trunk[0].tls.verfy: expected a known key (did you mean "verify"?), got an unknown key'),
        ("signalwire.com;transport=tls", "signalwire.com;transport=tcp", "trunk[0].tls: expected a URI that is called over TLS beside it, got transport=tcp"),
        ('outbound = "sip:example-domain.signalwire.com;transport=tls"', 'keep_connected = true', None),
        (LISTEN, f'{LISTEN}\nclient_ca = "certs/ca.pem"', 'listen[1].client_ca: expected client_certificates = "request" or "require" beside it, got off'),
        ('bind = "0.0.0.0:5060"', 'bind = "0.0.0.0:5060"\nclient_certificates = "request"', 'listen[0].client_certificates: expected transport = "tls" beside it, got none'),
        (LISTEN, f'{LISTEN}\nmin_version = "1.3"\nmax_version = "1.2"', 'listen[1].max_version: expected min_version (1.3) or more, got "1.2"'),
        ('"sip.signalwire.com"', '"tls:sip.signalwire.com"', 'trunk[0].from[0]: expected a [[listen]] with client_certificates = "request" or "require", got none'),
        ('"sip.signalwire.com"', '"tls:*.com"', None),
    ],
)  # fmt: skip
def test_inconsistent_tls_settings_are_refused(faults: Faults, old: str, new: str, line: str | None) -> None:
    found = faults(WITH_TERMS.replace(old, new))
    if line is None:
        assert len(found) == 2, found
        return
    assert len(found) == 1, found
    assert re.fullmatch(re.escape(line).replace(r"\.\*", ".*"), found[0])


def test_keep_connected_requires_outbound(faults: Faults) -> None:
    text = GOOD.replace(
        "[[agent]]", '[[trunk]]\nname = "in"\nfrom = ["192.0.2.9"]\nkeep_connected = true\n[[agent]]'
    )
    assert faults(text) == ["trunk[1].keep_connected: expected outbound, which says where to, got none"]


def test_a_wildcard_after_tls_in_from_is_refused(faults: Faults) -> None:
    text = GOOD.replace('"sip.signalwire.com"', '"tls:*.example.com"').replace(
        LISTEN, f'{LISTEN}\nclient_certificates = "request"'
    )
    assert faults(text) == [
        'trunk[0].from[0]: expected tls: and the name in the carrier\'s certificate, got "tls:*.example.com"'
    ]


def test_client_ca_that_is_not_a_pem_certificate_is_refused(faults: Faults, settings_folder: Path) -> None:
    text = GOOD.replace(LISTEN, f'{LISTEN}\nclient_certificates = "request"\nclient_ca = "webhook.secret"')
    assert faults(text) == [
        f"listen[1].client_ca: expected a PEM certificate, got {settings_folder / 'webhook.secret'}, which does not load as one"
    ]


async def test_an_incoming_flow_has_the_tls_profile_of_its_source_trunk(
    parse_settings: ParseSettings,
) -> None:
    settings = parse_settings(WITH_TERMS)
    gate = Admission({trunk.name: assembly.sources(trunk) for trunk in settings.trunks}, nowhere)
    terms_of = network_setup.profile_of_flow(
        settings, lambda flow: found.trunk if (found := gate.source(flow)) else None
    )
    told = [terms_of(SimpleNamespace(remote=(host, 5061))) for host in ("192.0.2.7", "192.0.2.8")]  # type: ignore[arg-type]
    assert told == ["trunk signalwire", ""]


async def nowhere(name: str) -> tuple[list[str], float]:
    return [], 60.0
