"""The cache of parsed values, and its memory limit against hostile input."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from proxy.sip.uri import parse_uri
from proxy.sip.value_cache import MAX_CACHED_CHARS, MAX_LONG_TEXTS, cached
from proxy.sip.values import parse_name_addr, parse_via


def test_a_cached_text_is_parsed_once_and_few_long_texts_are_cached() -> None:
    read: list[str] = []

    def length(text: str) -> int:
        read.append(text)
        return len(text)

    lengths = cached(length, 1024)
    long = [f"{number:0{MAX_CACHED_CHARS + 1}}" for number in range(MAX_LONG_TEXTS + 1)]
    for text in ["short", *long[:-1], *long[:-1], "short"]:
        assert lengths(text) == len(text)
    assert read == ["short", *long[:-1]]
    assert [lengths(text) for text in (long[-1], long[-1], "short")] == [257, 257, 5]
    assert read[-2:] == [long[-1], "short"]


@pytest.mark.parametrize(
    ("read", "begin", "end"),
    [
        (parse_name_addr, "<sip:a@b>", ""),
        (parse_name_addr, "<sip:a@b", ">"),
        (parse_via, "SIP/2.0/UDP a;branch=b", ""),
        (parse_uri, "sip:a@b", ""),
    ],
)
def test_caching_many_long_values_uses_bounded_memory(
    read: Callable[[str], object], begin: str, end: str
) -> None:
    texts = [f"{begin};{number}" + 1000 * f";{number % 100:02}" + end for number in range(100)]
    tracemalloc.start()
    try:
        for text in texts:
            read(text)
        assert tracemalloc.get_traced_memory()[0] < 6e6
    finally:
        tracemalloc.stop()
