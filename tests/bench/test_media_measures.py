"""Media measurements state whether the kernel or the process forwarded the audio."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench import media_measures
from bench.book import Book
from bench.media import STRAIGHT, RelayResult
from bench.peers.screendoor import Screendoor
from bench.systems import RTPENGINE, US
from bench.table import rows
from bench.trials import Extent, Trials

KERNEL, HERE = 200, 0
MOMENT = Extent(1, 1, 1, 100, 1, 1, 1)


def run(late_us: float, in_kernel: int) -> RelayResult:
    return RelayResult(1.0, 1.0, 0.0, 0, late_us, late_us, in_kernel)


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trials]:
    made = Trials(Book(), MOMENT, quick=True)
    monkeypatch.setattr(made, "present", lambda names, **_: iter(names))
    return made


def measured(trials: Trials, monkeypatch: pytest.MonkeyPatch, shipped: RelayResult) -> list[tuple[str, ...]]:
    """The latency rows when the shipped configuration measures ``shipped``."""

    def alternately(makes: dict[str, object], *_: object) -> dict[str, list[RelayResult]]:
        heard = {STRAIGHT: run(10, 0), US: shipped, "relay": run(130, 0), RTPENGINE: run(110, 0)}
        return {name: [heard[name]] for name in (STRAIGHT, *makes)}

    monkeypatch.setattr(media_measures.media, "alternately", alternately)
    media_measures.latency(trials)
    return rows(trials.book)


def test_shipped_mode_is_judged_and_relay_mode_listed_with_its_ratio(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, _, here, *_ = measured(trials, monkeypatch, run(12, KERNEL))
    assert (shipped[0], shipped[2], shipped[5], shipped[-1]) == (
        "audio as shipped: added one-way latency at 200 streams, p99",
        "2",
        "0.02",
        "aim",
    )
    assert (here[0], here[2], here[5], here[-1]) == ("the same in `relay`, p99", "120", "1.2", "–")
    assert trials.book.remarks == []


def test_missing_kernel_forwarding_is_remarked_in_the_table(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, *_ = measured(trials, monkeypatch, run(130, HERE))
    assert shipped[-1] == "short"
    assert trials.book.remarks == [
        "late: the kernel forwards too little for us here: as shipped is as `relay`"
    ]


def test_no_kernel_cost_is_recorded_if_the_process_relays(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_measures.media, "unrelayed", lambda *_: run(0, 0))
    monkeypatch.setattr(media_measures.media, "relayed", lambda *_, **__: run(0, HERE))
    media_measures.kernel(trials)
    assert trials.book.read("media-kernel", US) is None
    assert "the kernel forwards 0 streams" in trials.book.remarks[0]


@pytest.mark.parametrize("measure", ["media", "media-srtp"])
def test_cpu_measures_run_screendoor_in_relay_mode(
    measure: str, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    makes = []

    def relayed(make: object, *_: object, **__: object) -> RelayResult:
        makes.append(make)
        return run(0, 0)

    monkeypatch.setattr(media_measures.media, "relayed", relayed)
    {"media": media_measures.media_cpu, "media-srtp": media_measures.srtp}[measure](trials)
    ours = makes[0]
    assert (ours.func, ours.keywords) == (Screendoor, {"mode": "relay"})  # type: ignore[attr-defined]
