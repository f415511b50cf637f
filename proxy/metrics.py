"""Prometheus metrics: few series, and no phone numbers or names of callers in labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from proxy.audio_metrics import AudioMetrics
from proxy.cost_metrics import CostMetrics
from proxy.version import VERSION


class Metrics:
    """The counters and gauges of this process, in one registry.

    The `follow_…` methods register sources that are read at every scrape.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._live, self._ended = 0, dict[str, int]()  # prometheus_client's counters are twenty times as slow
        about = "Calls that have ended, by outcome"
        registry.register(_ExternalCounters("screendoor_calls", about, "outcome", self._ended))
        self._challenged = dict[str, int]()
        about = "Callers who were to press a key, in calls that have ended, by result"
        registry.register(_ExternalCounters("screendoor_challenges", about, "result", self._challenged))
        live = Gauge("screendoor_live_calls", "Calls going on", registry=registry)
        live.set_function(lambda: self._live)
        self._malformed = Counter(
            "screendoor_malformed_messages",
            "Messages that could not be read",
            registry=registry,
        )
        self._webhooks = Counter(
            "screendoor_webhooks", "Webhooks received, by result", ["result"], registry=registry
        )
        self._registered = Gauge(
            "screendoor_trunk_registered",
            "Whether we are registered with a trunk",
            ["trunk"],
            registry=registry,
        )
        self.audio = AudioMetrics()
        registry.register(self.audio)
        self.costs = CostMetrics()
        registry.register(self.costs)
        build = Gauge("screendoor_build", "The version that runs, as a label", ["version"], registry=registry)
        build.labels(VERSION).set(1)

    def follow_sessions(self, counts: Mapping[str, int]) -> None:
        """Export the results of webhooks that passed the first checks."""
        self.registry.register(
            _ExternalCounters("screendoor_sessions", "Vendor sessions announced, by result", "result", counts)
        )

    def follow_strangers(self, counts: Mapping[str, int], banned: Callable[[], int]) -> None:
        """Export the messages dropped without an answer, and the number of banned sources."""
        about = "Messages from strangers dropped without an answer, by why"
        self.registry.register(_ExternalCounters("screendoor_refused_sources", about, "why", counts))
        gauge = Gauge("screendoor_banned_sources", "Sources that are banned now", registry=self.registry)
        gauge.set_function(banned)

    def follow_capacity(self, counts: Mapping[str, int], lag_s: Callable[[], float]) -> None:
        """Export the calls shed for overload, and the lag of the event loop."""
        about = "Calls turned away with 503, by what was too much"
        self.registry.register(_ExternalCounters("screendoor_shed_calls", about, "why", counts))
        gauge = Gauge("screendoor_loop_lag_seconds", "How late the event loop is", registry=self.registry)
        gauge.set_function(lag_s)

    def follow_kernel(self, forwarding: Callable[[], int]) -> None:
        """Export the number of streams that the kernel forwards."""
        about = "Audio streams that the kernel forwards; a call has two"
        Gauge("screendoor_kernel_streams", about, registry=self.registry).set_function(forwarding)

    def follow_targets(self, targets: Callable[[], Iterable[tuple[str, str, bool]]]) -> None:
        """Export the state of each peer's targets according to their OPTIONS probes."""
        self.registry.register(_Targets(targets))

    def follow_certificates(self, ends: Callable[[], Iterable[tuple[str, float]]]) -> None:
        """Export the expiry time of the certificates that we present, by file."""
        self.registry.register(_Certificates(ends))

    def follow_connections(self, refused: Mapping[str, int]) -> None:
        """Export inbound connections that failed."""
        about = "Connections to us that came to nothing, by result"
        self.registry.register(_ExternalCounters("screendoor_refused_connections", about, "result", refused))

    def follow_api(self, counts: Mapping[str, int]) -> None:
        """Export API requests refused because of their token."""
        about = "Requests to the API refused for their token, by why"
        self.registry.register(_ExternalCounters("screendoor_api_refused", about, "why", counts))

    def follow_memory(
        self, waiting: Callable[[], int], failures: Callable[[], int], lost: Callable[[], int]
    ) -> None:
        """Export the state of the call database: notes waiting to be written, failures, and notes lost."""
        about = "Notes of calls that are not in the database yet"
        Gauge("screendoor_memory_waiting", about, registry=self.registry).set_function(waiting)
        about = "Times that the database could not be written or read"
        self.registry.register(_ExternalCounter("screendoor_memory_failures", about, failures))
        about = "Notes that were given up, since too many waited or the database refused them"
        self.registry.register(_ExternalCounter("screendoor_memory_lost", about, lost))

    def follow_transcriptions(self, counts: Mapping[str, int]) -> None:
        """Export the results of voicemail transcriptions."""
        about = "Messages to be put into words, by result"
        self.registry.register(_ExternalCounters("screendoor_transcriptions", about, "result", counts))

    def challenge_over(self, result: str) -> None:
        """Count a finished challenge: ``passed``, ``failed``, or ``left`` if the caller hung up."""
        self._challenged[result] = self._challenged.get(result, 0) + 1

    def call_began(self) -> None:
        """Count a call that has started."""
        self._live += 1

    def call_ended(self, outcome: str) -> None:
        """Count a call that has ended; `outcome` is one of the fixed words of the call record."""
        self._live -= 1
        self._ended[outcome] = self._ended.get(outcome, 0) + 1

    def message_malformed(self) -> None:
        """Count a message that could not be parsed."""
        self._malformed.inc()

    def trunk_registered(self, trunk: str, registered: bool) -> None:
        """Set whether we are registered with a trunk; `trunk` is its name in the settings."""
        self._registered.labels(trunk).set(registered)

    def webhook_received(self, result: str) -> None:
        """Count a webhook; `result` is one of a few fixed words."""
        self._webhooks.labels(result).inc()


class _ExternalCounters(Collector):
    """A labelled counter whose values are kept elsewhere."""

    def __init__(self, name: str, about: str, label: str, counts: Mapping[str, int]) -> None:
        self._name, self._about, self._label, self._counts = name, about, label, counts

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._about, labels=[self._label])
        for result, count in self._counts.items():
            family.add_metric([result], count)
        yield family


class _ExternalCounter(Collector):
    """A counter without labels whose value is kept elsewhere."""

    def __init__(self, name: str, about: str, count: Callable[[], int]) -> None:
        self._name, self._about, self._count = name, about, count

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(self._name, self._about, value=self._count())


class _Targets(Collector):
    """Whether each target answers its probes, by peer and target."""

    def __init__(self, targets: Callable[[], Iterable[tuple[str, str, bool]]]) -> None:
        self._targets = targets

    def collect(self) -> Iterator[GaugeMetricFamily]:
        about = "1 while a target answers its OPTIONS probes, 0 while it is down"
        family = GaugeMetricFamily("screendoor_target_up", about, labels=["peer", "target"])
        for peer, target, up in self._targets():
            family.add_metric([peer, target], float(up))
        yield family


class _Certificates(Collector):
    """The expiry time of each certificate."""

    def __init__(self, ends: Callable[[], Iterable[tuple[str, float]]]) -> None:
        self._ends = ends

    def collect(self) -> Iterator[GaugeMetricFamily]:
        about = "When a certificate that we show ends, in seconds since 1970"
        name = "screendoor_certificate_expires_timestamp_seconds"
        family = GaugeMetricFamily(name, about, labels=["certificate"])
        for certificate, end in self._ends():
            family.add_metric([certificate], end)
        yield family
