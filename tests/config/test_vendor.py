"""AI providers: default values, endpoint URLs, and invalid combinations of keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.config import Settings
from proxy.config.model import Agent
from tests.config.conftest import GOOD

ParseSettings = Callable[[str], Settings]
Faults = Callable[[str], list[str]]

KEYS = 'api_key = "env:OPENAI_API_KEY"\nwebhook_secret = "file:webhook.secret"'
BEFORE, AFTER = GOOD[: GOOD.index("[[agent]]")], GOOD[GOOD.index("[[number]]") :]


def agent(text: str) -> str:
    return f'{BEFORE}\n[[agent]]\nname = "a"\n{KEYS}\n{text}\n{AFTER}'


def made(parse_settings: ParseSettings, text: str) -> Agent:
    [one] = parse_settings(agent(text)).agents
    return one


def test_an_openai_agent_needs_only_its_project(parse_settings: ParseSettings) -> None:
    one = made(parse_settings, 'project = "proj_1"')
    assert str(one.sip) == "sip:proj_1@sip.api.openai.com:5061;transport=tls"
    assert (one.api_base, one.srtp, one.transcriber) == (
        "https://api.openai.com/v1",
        "offer",
        "gpt-transcribe",
    )


@pytest.mark.parametrize("provider", ["openai-realtime", "openai-live"])
def test_a_region_sets_the_sip_host_and_the_api_host(parse_settings: ParseSettings, provider: str) -> None:
    one = made(parse_settings, f'provider = "{provider}"\nproject = "proj_1"\nregion = "EU"')
    assert str(one.sip) == "sip:proj_1@sip-eu.api.openai.com:5061;transport=tls"
    assert one.api_base == "https://eu.api.openai.com/v1"


def test_a_live_agent_defaults_to_its_own_model_and_requires_srtp(parse_settings: ParseSettings) -> None:
    one = made(parse_settings, 'provider = "openai-live"\nproject = "proj_1"\nvoice = "ripple"')
    assert (one.model, one.srtp, one.transcriber) == ("gpt-live-1", "require", None)
    assert (one.delegation, one.delegate_model) == ("responses", "gpt-5.6-luna")


def test_explicit_hosts_that_match_the_region_are_accepted(parse_settings: ParseSettings) -> None:
    both = 'sip = "sip:proj_1@sip-eu.api.openai.com:5061;transport=tls"\nregion = "eu"'
    one = made(parse_settings, f'{both}\napi_base = "https://eu.api.openai.com/v1"')
    assert (one.sip.host, one.api_base) == ("sip-eu.api.openai.com", "https://eu.api.openai.com/v1")


def test_azure_hosts_are_derived_from_resource_and_region(parse_settings: ParseSettings) -> None:
    text = AZURE.replace("eastus2", "swedencentral").replace('"door"', '"Door"').replace('"p"', '"proj_1"')
    one = made(parse_settings, text)
    assert str(one.sip) == "sip:proj_1@swedencentral.sip.ai.azure.com:5061;transport=tls"
    assert (one.api_base, one.transcriber) == ("https://door.openai.azure.com/openai/v1", None)
    assert made(parse_settings, f'{text}\ntranscription = "my-whisper"').transcriber == "my-whisper"


def test_transcription_can_be_switched_off(parse_settings: ParseSettings) -> None:
    assert made(parse_settings, 'project = "p"\ntranscription = "off"').transcriber is None


EU_SIP = 'sip = "sip:proj_1@sip-eu.api.openai.com:5061;transport=tls"'
US_SIP = 'sip = "sip:proj_1@sip.api.openai.com:5061;transport=tls"'
AZURE = 'provider = "azure-realtime"\nresource = "door"\nregion = "eastus2"\nproject = "p"\nmodel = "m"'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            'provider = "openai-live"\nproject = "p"\nsrtp = "offer"',
            'srtp: expected "require" (GPT-Live takes calls with SRTP alone), got "offer"',
        ),
        (
            f'{US_SIP}\nregion = "eu"',
            "sip: expected the host sip-eu.api.openai.com (region says so), or no sip, got "
            '"sip:proj_1@sip.api.openai.com:5061;transport=tls"',
        ),
        (
            f'{EU_SIP}\nregion = "eu"\napi_base = "https://api.openai.com/v1"',
            "api_base: expected https://eu.api.openai.com/v1 (region says so), or no api_base, got "
            '"https://api.openai.com/v1"',
        ),
        (
            EU_SIP,
            "api_base: expected a host of the same region as in sip, sip-eu.api.openai.com (region sets "
            'both), got "https://api.openai.com/v1"',
        ),
        (
            f'{US_SIP}\napi_base = "https://eu.api.openai.com/v1"',
            "api_base: expected a host of the same region as in sip, sip.api.openai.com (region sets both), "
            'got "https://eu.api.openai.com/v1"',
        ),
        ('project = "p"\nregion = "e/u"', "region: expected a name of letters, digits and -, such as eu"),
        ('project = "p"\nregion = 5', "region: expected a name of letters, digits and -, such as eu"),
        (
            'project = "p"\ndelegate_model = "x"',
            'delegate_model: expected no such key, or provider openai-live, got "x"',
        ),
        (
            'project = "p"\nresource = "x"',
            'resource: expected no such key, or provider azure-realtime, got "x"',
        ),
        (
            'project = "p"\nprovider = "openai-live"\ntranscription = "x"',
            'transcription: expected no such key (GPT-Live always transcribes), got "x"',
        ),
        (
            AZURE.replace('model = "m"', ""),
            "model: expected the name of your deployment (azure-realtime needs it), got nothing",
        ),
        (
            AZURE.replace('resource = "door"', ""),
            "resource: expected the name of your resource (or api_base), got nothing",
        ),
        (
            f'{AZURE}\nsip = "sip:p@swedencentral.sip.ai.azure.com:5061;transport=tls"',
            "sip: expected the host eastus2.sip.ai.azure.com (region says so), or no sip, got "
            '"sip:p@swedencentral.sip.ai.azure.com:5061;transport=tls"',
        ),
    ],
)
def test_inconsistent_provider_settings_are_reported_with_their_key(
    faults: Faults, text: str, line: str
) -> None:
    assert [fault for fault in faults(agent(text)) if fault.startswith(f"agent[0].{line}")]


def test_azure_without_a_region_names_the_missing_keys(faults: Faults) -> None:
    [first, *_] = faults(agent(AZURE.replace('region = "eastus2"', "")))
    assert first.startswith("agent[0].region: expected project and region, such as swedencentral (or sip)")


def test_api_base_may_be_a_reverse_proxy(parse_settings: ParseSettings) -> None:
    one = made(parse_settings, f'{EU_SIP}\napi_base = "https://proxy.example.com/v1"')
    assert one.api_base == "https://proxy.example.com/v1"


@pytest.mark.parametrize("provider", ["openai-live", "azure-realtime"])
def test_live_and_azure_agents_require_api_key_and_webhook_secret(faults: Faults, provider: str) -> None:
    lines = faults(agent(f'provider = "{provider}"\nproject = "p"').replace(KEYS, ""))
    for key in ("api_key", "webhook_secret"):
        assert f"agent[0].{key}: expected env:NAME or file:PATH ({provider} needs it), got nothing" in lines
