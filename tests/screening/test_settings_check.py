from __future__ import annotations

from dataclasses import replace

import pytest

from screening.settings import SIP_AGENT, AgentSettings
from screening.settings_check import problems

GOOD = AgentSettings("openai", api_key="sk-x", webhook_secret="whsec_c2VjcmV0")


def test_an_agent_in_order_has_no_problems() -> None:
    assert problems(GOOD) == []


def test_every_problem_of_an_agent_is_said_at_once() -> None:
    voice, secret = problems(replace(GOOD, voice="nobody", webhook_secret="whsec_%%%"))
    assert voice.startswith("audio.output.voice: must be one of alloy")
    assert secret == "webhook secret is not base64 after whsec_"


@pytest.mark.parametrize("secret", ["", "whsec_"])
def test_a_secret_with_nothing_in_it_is_none(secret: str) -> None:
    assert problems(replace(GOOD, webhook_secret=secret)) == ["webhook secret is empty"]


def test_a_sip_agent_has_nothing_of_the_kind() -> None:
    assert problems(AgentSettings("local", SIP_AGENT)) == []
