"""Audio metrics: counted when a leg ends, shown at a scrape."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from proxy.media.quality import DirectionQuality, Quality
from proxy.metrics import Metrics


def test_audio_of_a_finished_leg_is_counted_by_leg_and_direction() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    heard, sent = DirectionQuality(100, 3, 12.0, mos=4.1), DirectionQuality(98)
    metrics.audio.leg_over("phone 2", Quality(heard, sent, dropped=5), silent=False)
    metrics.audio.leg_over("phone", Quality(DirectionQuality(), DirectionQuality(200)), silent=True)

    def value(name: str, direction: str | None = "heard", **more: str) -> float | None:
        labels = {"leg": "phone"} | ({"direction": direction} if direction else {}) | more
        return registry.get_sample_value(f"screendoor_audio_{name}", labels)

    assert (value("packets_total"), value("packets_total", "sent")) == (100, 298)
    assert value("lost_packets_total") == 3
    assert value("dropped_packets_total", None) == 5
    assert value("silent_legs_total", None) == 1
    assert value("mos_count") == 1
    assert [value("mos_bucket", le=bound) for bound in ("4.0", "4.2", "+Inf")] == [0, 1, 1]
    assert value("mos_sum") == 4.1
    assert value("jitter_seconds_bucket", le="0.02") == 1
    assert value("mos_count", "sent") is None
