from __future__ import annotations

import pytest

from screening.settings import AgentSettings


def test_the_repr_of_agent_settings_contains_no_secrets() -> None:
    agent = AgentSettings("a", api_key="sk-very-secret", webhook_secret="whsec_very")
    assert "very" not in repr(agent)


@pytest.mark.parametrize("wrong", [{"provider": "other"}, {"transfer": "teleport"}])
def test_an_unknown_provider_or_transfer_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"agent a: .* must be one of"):
        AgentSettings("a", **wrong)  # type: ignore[arg-type]
