from __future__ import annotations

from dataclasses import replace

import pytest

from screening.settings import SIP_AGENT, AgentSettings
from screening.settings_check import problems

GOOD = AgentSettings("openai", api_key="sk-x", webhook_secret="whsec_c2VjcmV0")


def test_a_valid_agent_has_no_problems() -> None:
    assert problems(GOOD) == []


def test_all_problems_of_an_agent_are_listed() -> None:
    voice, secret = problems(replace(GOOD, voice="nobody", webhook_secret="whsec_%%%"))
    assert voice.startswith("audio.output.voice: must be one of alloy")
    assert secret == "webhook secret is not base64 after whsec_"


@pytest.mark.parametrize("secret", ["", "whsec_"])
def test_an_empty_webhook_secret_is_a_problem(secret: str) -> None:
    assert problems(replace(GOOD, webhook_secret=secret)) == ["webhook secret is empty"]


def test_a_sip_agent_needs_no_webhook_secret() -> None:
    assert problems(AgentSettings("local", SIP_AGENT)) == []
