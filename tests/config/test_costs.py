"""Cost limits: [costs], the caps of a number, and model prices."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from proxy.config import Settings
from tests.config.conftest import GOOD

ParseSettings = Callable[[str], Settings]
Faults = Callable[[str], list[str]]


def common(text: str) -> str:
    return GOOD.replace("[[number]]", f"[costs]\n{text}\n[[number]]")


def test_no_costs_are_capped_by_default(parse_settings: ParseSettings) -> None:
    costs = parse_settings(GOOD).costs
    assert {value for key, value in costs if key != "currency"} == {None}
    assert costs.currency == "USD"


def test_amounts_of_money_are_read_as_exact_decimals(parse_settings: ParseSettings) -> None:
    costs = parse_settings(common("day_money = 0.1\ncall_minutes = 2.5\nnumber_tokens = 100000")).costs
    assert (costs.day_money, costs.call_minutes, costs.number_tokens) == (Decimal("0.1"), 2.5, 100_000)


def test_caps_of_a_number_override_the_common_caps(parse_settings: ParseSettings) -> None:
    text = common("call_money = 0.5\nnumber_money = 5")
    settings = parse_settings(f"{text}\ncosts = {{ number_money = 1, caller_minutes = 0 }}")
    own = settings.numbers[0].costs
    assert own is not None
    told = own.merged_with(settings.costs)
    assert (told["call_money"], told["number_money"], told["caller_minutes"]) == (Decimal("0.5"), 1, 0.0)
    assert told["caller_money"] is None


def test_a_price_is_set_for_a_model_whose_name_contains_dots(parse_settings: ParseSettings) -> None:
    prices = parse_settings(
        common('[costs.prices."gpt-realtime-2.1"]\naudio_out = 64\ntext_cached = 0.4')
    ).costs.prices
    assert prices is not None
    price = prices["gpt-realtime-2.1"]
    assert (price.audio_out, price.text_cached, price.minute) == (64, Decimal("0.4"), 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("day_money = -1", "costs.day_money: expected an amount of money, 0 or more, got -1"),
        ('day_money = "5"', 'costs.day_money: expected an amount of money, 0 or more, got "5"'),
        ("day_minutes = inf", "costs.day_minutes: expected minutes, 0 or more, got inf"),
        ("day_minutes = true", "costs.day_minutes: expected minutes, 0 or more, got true"),
        (
            "day_tokens = 1.5",
            "costs.day_tokens: expected a whole number between 0 and 1000000000, got 1.5",
        ),
        (
            'currency = "dollars"',
            'costs.currency: expected a currency of three capital letters, such as USD or EUR, got "dollars"',
        ),
        (
            "prices.m.audio_ouut = 1",
            'costs.prices.m.audio_ouut: expected a known key (did you mean "audio_out"?), got an unknown key',
        ),
        ("prices.m.minute = -1", "costs.prices.m.minute: expected a price, 0 or more, got -1"),
        (
            "day_monney = 1",
            'costs.day_monney: expected a known key (did you mean "day_money"?), got an unknown key',
        ),
    ],
)
def test_an_invalid_cost_setting_gives_one_problem_line(faults: Faults, text: str, problem: str) -> None:
    assert faults(common(text)) == [problem]


def test_a_daily_cap_over_all_numbers_is_refused_in_a_number(faults: Faults) -> None:
    [problem] = faults(f"{GOOD}\ncosts = {{ day_money = 1 }}")
    assert problem.startswith("number[0].costs.day_money: expected ")
    assert problem.endswith("got an unknown key")
