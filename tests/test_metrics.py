"""The Prometheus metrics: what each counter and gauge shows at a scrape."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from proxy.metrics import Metrics
from proxy.version import VERSION


def test_calls_are_counted_in_progress_and_by_outcome() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    metrics.call_began()
    metrics.call_began()
    metrics.call_ended("bridged")
    assert registry.get_sample_value("screendoor_live_calls") == 1
    assert registry.get_sample_value("screendoor_calls_total", {"outcome": "bridged"}) == 1


def test_malformed_messages_and_webhooks_are_counted_and_the_version_is_shown() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    metrics.message_malformed()
    metrics.webhook_received("accepted")
    assert registry.get_sample_value("screendoor_malformed_messages_total") == 1
    assert registry.get_sample_value("screendoor_webhooks_total", {"result": "accepted"}) == 1
    assert registry.get_sample_value("screendoor_build", {"version": VERSION}) == 1


def test_a_counter_kept_elsewhere_is_read_at_every_scrape() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    counts = {"matched": 1}
    metrics.follow_sessions(counts)
    counts["matched"] = 3
    assert registry.get_sample_value("screendoor_sessions_total", {"result": "matched"}) == 3


def test_refused_sources_are_counted_by_reason_and_banned_ones_shown() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    metrics.follow_strangers({"unknown": 7}, lambda: 3)
    assert registry.get_sample_value("screendoor_refused_sources_total", {"why": "unknown"}) == 7
    assert registry.get_sample_value("screendoor_banned_sources") == 3


def test_shed_calls_are_counted_and_the_event_loop_lag_is_shown() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    metrics.follow_capacity({"trunk": 2}, lambda: 0.25)
    assert registry.get_sample_value("screendoor_shed_calls_total", {"why": "trunk"}) == 2
    assert registry.get_sample_value("screendoor_loop_lag_seconds") == 0.25


def test_current_kernel_streams_are_shown() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    metrics.follow_kernel(lambda: 6)
    assert registry.get_sample_value("screendoor_kernel_streams") == 6


def test_targets_are_shown_as_up_or_down() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    known = [("trunk:t", "udp:192.0.2.1:5060", True), ("trunk:t", "udp:192.0.2.2:5060", False)]
    metrics.follow_targets(lambda: known)
    for peer, target, up in known:
        labels = {"peer": peer, "target": target}
        assert registry.get_sample_value("screendoor_target_up", labels) == float(up)


def test_the_state_of_the_database_writer_is_shown() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    metrics.follow_memory(lambda: 3, lambda: 2, lambda: 1)
    assert registry.get_sample_value("screendoor_memory_waiting") == 3
    assert registry.get_sample_value("screendoor_memory_failures_total") == 2
    assert registry.get_sample_value("screendoor_memory_lost_total") == 1


def test_transcriptions_and_challenges_are_counted_by_result() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    metrics.follow_transcriptions({"done": 5})
    metrics.challenge_over("passed")
    metrics.challenge_over("passed")
    assert registry.get_sample_value("screendoor_transcriptions_total", {"result": "done"}) == 5
    assert registry.get_sample_value("screendoor_challenges_total", {"result": "passed"}) == 2


def test_refused_connections_are_counted_by_reason() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    metrics.follow_connections({"timeout": 2})
    assert registry.get_sample_value("screendoor_refused_connections_total", {"result": "timeout"}) == 2


def test_certificate_expiry_times_are_read_at_every_scrape() -> None:
    metrics = Metrics(registry := CollectorRegistry())
    ends = [("sip.pem", 1800000000.0)]
    metrics.follow_certificates(lambda: ends)
    name, labels = "screendoor_certificate_expires_timestamp_seconds", {"certificate": "sip.pem"}
    assert registry.get_sample_value(name, labels) == 1800000000.0
    ends[0] = ("sip.pem", 1900000000.0)
    assert registry.get_sample_value(name, labels) == 1900000000.0
