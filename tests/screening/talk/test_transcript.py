"""The transcript is bounded, whatever the vendor sends."""

from __future__ import annotations

from screening.talk.transcript import MAX_CHARS, MAX_LINE_CHARS, MAX_LINES, Transcript


def test_lines_are_kept_in_order_up_to_the_limit() -> None:
    said = Transcript()
    assert all(said.add("caller", f"line {n}", n) for n in range(MAX_LINES))
    assert not said.full
    assert said.add("agent", "one more", 1.0) is None
    assert said.full
    assert [line.text for line in said.lines[:2]] == ["line 0", "line 1"]
    assert len(said.lines) == MAX_LINES


def test_long_lines_are_cut_and_the_total_length_is_limited() -> None:
    said = Transcript()
    while said.add("caller", "x" * 1_000_000, 0.0):
        pass
    assert {len(line.text) for line in said.lines} == {MAX_LINE_CHARS}
    assert len(said.lines) == MAX_CHARS // MAX_LINE_CHARS
