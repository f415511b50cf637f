"""Header names and their keys (RFC 3261 §7.3.1, §7.3.3)."""

from __future__ import annotations

import pytest

import proxy.sip.header_names as module
from proxy.sip.header_names import header_key, key_of


@pytest.mark.parametrize(
    ("compact", "name"),
    [
        ("a", "Accept-Contact"), ("b", "Referred-By"), ("c", "Content-Type"), ("d", "Request-Disposition"),
        ("e", "Content-Encoding"), ("f", "From"), ("i", "Call-ID"), ("j", "Reject-Contact"),
        ("k", "Supported"), ("l", "Content-Length"), ("m", "Contact"), ("n", "Identity-Info"), ("o", "Event"),
        ("r", "Refer-To"), ("s", "Subject"), ("t", "To"), ("u", "Allow-Events"), ("v", "Via"),
        ("x", "Session-Expires"), ("y", "Identity"),
    ],
)  # fmt: skip
def test_every_registered_compact_form_maps_to_its_header(compact: str, name: str) -> None:
    assert header_key(compact) == header_key(compact.upper()) == header_key(name) == name.lower()


def test_the_cache_of_unknown_header_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, str] = {}
    monkeypatch.setattr(module, "KEYS", kept)
    assert [header_key(f"X-{number}") for number in range(5000)] == [f"x-{number}" for number in range(5000)]
    assert header_key("X" * 100) == "x" * 100
    assert key_of("No Token") == ""
    assert header_key("No Token") == "no token"
    assert 1000 < len(kept) < 5000
    assert "X" * 100 not in kept
    assert "No Token" not in kept
