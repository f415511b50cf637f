"""Settings for caller ID verification: attestation levels, call rates and STIR roots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.config import Settings
from proxy.services import policy_setup
from screening.decision import Action, Doubt, Rate
from tests.config.conftest import GOOD

ParseSettings = Callable[[str], Settings]
Faults = Callable[[str], list[str]]


def with_screening(text: str, *, trunk: str = "", number: str = "") -> str:
    good = GOOD.replace('[[agent]]\nname = "openai"', f'{trunk}\n[[agent]]\nname = "openai"')
    return f"{good}{number}\n{text}"


def test_by_default_only_failed_attestation_is_distrusted(parse_settings: ParseSettings) -> None:
    settings = parse_settings(with_screening(""))
    [policy] = policy_setup.policies(settings).values()
    assert policy.distrust == {Doubt.FAILED}
    assert (policy.failed, policy.rate, policy.rate_action) == (None, None, Action.VOICEMAIL)
    assert settings.trunks[0].verification == "both"
    assert (settings.stir.roots, settings.stir.patience_s) == ((), 1.0)


def test_a_number_overrides_the_attestation_settings_and_may_distrust_nothing(
    parse_settings: ParseSettings,
) -> None:
    own = 'distrust = []\nfailed = "reject"\nrate = "5/h"\nrate_action = "reject"'
    common = '[screening]\ndistrust = ["failed", "C", "none"]\nrate = "3/10m"'
    [policy] = policy_setup.policies(parse_settings(with_screening(common, number=own))).values()
    assert policy.distrust == frozenset()
    assert (policy.failed, policy.rate) == (Action.REJECT, Rate(5, 3600))
    assert policy.rate_action is Action.REJECT
    [policy] = policy_setup.policies(parse_settings(with_screening(common))).values()
    assert policy.distrust == {Doubt.FAILED, Doubt.C, Doubt.NONE}
    assert policy.rate == Rate(3, 600)


@pytest.mark.parametrize("text", ["3", "3/", "0/m", "101/m", "3/0m", "3/10d", "3/10000m", "3 / 10m", ""])
def test_a_malformed_call_rate_is_refused(faults: Faults, text: str) -> None:
    assert faults(with_screening(f'[screening]\nrate = "{text}"')) == [
        f'screening.rate: expected calls and a time, such as "3/10m" or "10/h", got "{text}"'
    ]


def test_unknown_attestation_values_are_all_listed(faults: Faults) -> None:
    text = '[screening]\ndistrust = ["passed"]\nfailed = "hang up"\nrate_action = "ring"'
    assert [
        each.partition(":")[0] for each in faults(with_screening(text, trunk='verification = "yes"'))
    ] == [
        "trunk[0].verification",
        "screening.distrust[0]",
        "screening.failed",
        "screening.rate_action",
    ]


def test_identity_verification_requires_stir_roots_that_are_pem_certificates(
    faults: Faults, parse_settings: ParseSettings, settings_folder: Path
) -> None:
    own = 'verification = "identity"'
    assert faults(with_screening("", trunk=own)) == [
        'trunk[0].verification: expected "identity" only with roots in [stir], got "identity"'
    ]
    [said] = faults(with_screening('[stir]\nroots = ["instructions.md"]', trunk=own))
    assert said.startswith("stir.roots[0]: expected a PEM certificate")
    [said] = faults(with_screening('[stir]\nroots = ["gone.pem"]', trunk=own))
    assert said.startswith("stir.roots[0]: expected")
    [said] = faults(with_screening("[stir]\npatience_s = 60"))
    assert said.startswith("stir.patience_s: expected")
    settings = parse_settings(with_screening('[stir]\nroots = ["certs/fullchain.pem"]', trunk=own))
    assert settings.stir.roots == (settings_folder / "certs/fullchain.pem",)


def test_an_agent_is_required_when_callers_with_failed_attestation_are_asked(faults: Faults) -> None:
    without = GOOD[: GOOD.index("[[agent]]")] + GOOD[GOOD.index("[[number]]") :] + 'screen = "off"\n'
    assert faults(without + 'failed = "ask"') == ["agent: expected at least one [[agent]] table, got none"]
