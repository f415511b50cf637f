"""Metering a call by the vendor's usage reports, and its cost."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from screening.contract import Tokens
from screening.costs.meter import Meter
from screening.costs.prices import PUBLISHED, Price, Prices
from screening.provider import TRANSCRIBER, UsageReported

MODEL = "gpt-realtime-2.1"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def meter(
    model: str = MODEL, own: Mapping[str, Price] | None = None, currency: str = "USD"
) -> tuple[Meter, Clock]:
    clock = Clock()
    return Meter("openai", model, Prices(own, currency), clock, transcriber="gpt-transcribe"), clock


def test_a_call_without_an_agent_costs_nothing() -> None:
    counted, _ = meter()
    counted.close()
    assert counted.spent is None


def test_a_closed_meter_does_not_count_further_time() -> None:
    counted, clock = meter()
    counted.begin()
    clock.now += 60
    counted.close()
    clock.now += 3600
    assert counted.spent is not None
    assert counted.spent.minutes == 1.0


def test_tokens_are_priced_by_kind_and_the_transcriber_by_minutes() -> None:
    counted, clock = meter()
    counted.begin()
    counted.count(UsageReported(Tokens(1000, 2000, 100, 300, 400, 700)))
    counted.count(UsageReported(seconds=30, model=TRANSCRIBER))
    clock.now += 90
    counted.end()
    clock.now += 500
    spent = counted.spent
    assert spent is not None
    assert (spent.minutes, spent.tokens.total) == (1.5, 4500)
    paid = Decimal("0.004") + Decimal("0.0008") + Decimal("0.0024") + Decimal("0.0096")
    paid += Decimal("0.00016") + Decimal("0.0448") + Decimal("0.00225")
    assert spent.money == paid
    assert spent.as_dict()["money"] == float(paid)
    assert spent.as_dict()["of_kind"] == {
        "text_in": 1000, "text_cached": 2000, "text_out": 100,
        "audio_in": 300, "audio_cached": 400, "audio_out": 700,
    }  # fmt: skip


def test_tokens_of_a_transcriber_priced_by_minute_are_converted_to_time() -> None:
    counted, _ = meter()
    counted.count(UsageReported(Tokens(audio_in=600), model=TRANSCRIBER))
    spent = counted.spent
    assert spent is not None
    assert spent.money == Decimal("0.0045")


def test_a_model_priced_by_minute_is_billed_by_its_reports_or_else_by_talk_time() -> None:
    counted, clock = meter("gpt-live-1")
    counted.begin()
    clock.now += 60
    assert counted.spent is not None
    assert counted.spent.money == Decimal("0.05")
    counted.count(UsageReported(seconds=120))
    counted.count(UsageReported(Tokens(text_in=1_000_000), model="gpt-5.6-terra"))
    assert counted.spent.money == Decimal("2.1")


def test_an_outdated_usage_report_does_not_cap_the_talk_time() -> None:
    counted, clock = meter("gpt-live-1")
    counted.begin()
    clock.now += 60
    counted.count(UsageReported(seconds=60.0))
    clock.now += 60
    assert counted.spent is not None
    assert counted.spent.money == Decimal("0.1")


def test_without_a_price_minutes_and_tokens_are_counted_but_no_money() -> None:
    counted, clock = meter("gpt-of-tomorrow")
    counted.begin()
    clock.now += 6
    counted.count(UsageReported(Tokens(text_in=5)))
    spent = counted.spent
    assert spent is not None
    assert (spent.minutes, spent.tokens.total, spent.money) == (0.1, 5, None)
    assert spent.as_dict()["money"] is None


def test_a_configured_price_overrides_the_published_one() -> None:
    counted, _ = meter(own={MODEL: Price(text_in=Decimal(7))})
    counted.count(UsageReported(Tokens(text_in=1_000_000)))
    assert counted.spent is not None
    assert counted.spent.money == Decimal(7)


def test_published_prices_apply_only_to_us_dollars() -> None:
    assert Prices(currency="EUR").of(MODEL) is None
    assert Prices().of(MODEL) == PUBLISHED[MODEL]


def test_a_dated_model_name_has_the_price_of_its_base_name() -> None:
    assert Prices().of("gpt-realtime-2.1-2026-05-06") == PUBLISHED[MODEL]
    assert Prices().of("gpt-realtime-2.1-mini") == PUBLISHED["gpt-realtime-mini"]
