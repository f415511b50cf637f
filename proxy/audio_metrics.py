"""Audio quality of finished legs, for Prometheus: packet and loss counters, jitter and MOS histograms.

Kept as plain numbers that are turned into series at a scrape: updating a prometheus_client histogram for
every leg costs many times as much.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy.media.quality import DirectionQuality, Quality

MARKS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.2, 4.5)
JITTER_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
_WAY = ("leg", "direction")
_Of = tuple[str, str]


class _Histogram:
    """Counts of observed values in buckets."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def take(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, of: _Of) -> None:
        total, buckets = 0, []
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((str(bound), float(total)))
        family.add_metric(of, buckets, self._sum)


class AudioMetrics(Collector):
    """Collects the audio quality of each leg when it ends."""

    def __init__(self) -> None:
        self._packets: dict[_Of, list[int]] = {}
        self._marks: dict[_Of, _Histogram] = {}
        self._jitter: dict[_Of, _Histogram] = {}
        self._dropped: dict[str, int] = {}
        self._silent: dict[str, int] = {}

    def leg_over(self, leg: str, quality: Quality, *, silent: bool) -> None:
        """Count one leg; `leg` is its name in the call record (`phone 2` counts as `phone`)."""
        name = leg.partition(" ")[0]
        for direction, way in (("heard", quality.heard), ("sent", quality.sent)):
            self._count((name, direction), way)
        self._dropped[name] = self._dropped.get(name, 0) + quality.dropped
        if silent:
            self._silent[name] = self._silent.get(name, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """Yield all series, for a scrape."""
        for n, (name, about) in enumerate(
            (("packets", "RTP packets of audio"), ("lost_packets", "Those lost"))
        ):
            family = CounterMetricFamily(
                f"screendoor_audio_{name}", f"{about}, of legs that are over", labels=_WAY
            )
            for of, counts in self._packets.items():
                family.add_metric(of, counts[n])
            yield family
        for name, about, found in (
            ("dropped_packets", "Packets of audio refused", self._dropped),
            ("silent_legs", "Legs that should have spoken and did not", self._silent),
        ):
            family = CounterMetricFamily(f"screendoor_audio_{name}", about, labels=["leg"])
            for leg, count in found.items():
                family.add_metric([leg], count)
            yield family
        for name, about, histograms in (
            ("mos", "Estimated mean opinion score of legs that are over", self._marks),
            ("jitter_seconds", "Interarrival jitter at the end of a leg", self._jitter),
        ):
            histogram = HistogramMetricFamily(f"screendoor_audio_{name}", about, labels=_WAY)
            for of, values in histograms.items():
                values.add_to(histogram, of)
            yield histogram

    def _count(self, of: _Of, way: DirectionQuality) -> None:
        counts = self._packets.setdefault(of, [0, 0])
        counts[0] += way.packets
        counts[1] += way.lost
        if way.mos is not None:
            self._marks.setdefault(of, _Histogram(MARKS)).take(way.mos)
        if way.jitter_ms is not None:
            self._jitter.setdefault(of, _Histogram(JITTER_S)).take(way.jitter_ms / 1000)
