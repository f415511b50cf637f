"""Log formatting, levels, masking and buffering."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from proxy import log
from proxy.line_buffer import BATCH_S


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def logger() -> structlog.typing.FilteringBoundLogger:
    found: structlog.typing.FilteringBoundLogger = structlog.get_logger("screendoor")
    return found


def written(level: str = "info", form: str = "console") -> io.StringIO:
    out = io.StringIO()
    log.configure(level, form, out)
    return out


def test_a_line_has_call_and_leg_before_the_event_and_its_values() -> None:
    out = written()
    logger().bind(leg="agent", call="7f3a").info("answered", status=200, after_s=0.84)
    time, level, rest = out.getvalue().split(maxsplit=2)
    assert len(time) == len("07:43:47.120")
    assert level == "info"
    assert rest == "call=7f3a leg=agent  answered status=200 after_s=0.84\n"


def test_a_line_without_a_call_begins_with_its_event() -> None:
    out = written()
    logger().info("ready", listening=True)
    assert out.getvalue().split(maxsplit=2)[2] == "ready listening=True\n"


def test_values_are_escaped_so_that_they_cannot_forge_lines_or_keys() -> None:
    out = written()
    logger().info(
        "refused\r\nforged", name="Bob\nfake", said='a" b', empty="", raw=b"x\x00", note="two words ü"
    )
    assert out.getvalue().endswith(
        r'refused\r\nforged name="Bob\nfake" said="a\" b" empty="" raw="x\u0000" note="two words ü"' + "\n"
    )
    assert out.getvalue().count("\n") == 1


def test_an_exception_is_logged_with_its_traceback() -> None:
    out = written()
    try:
        raise ValueError("broken")
    except ValueError:
        logger().exception("failed", call="7f3a")
    first, *trace = out.getvalue().splitlines()
    assert first.endswith("call=7f3a  failed")
    assert trace[-1] == "ValueError: broken"


def test_levels_below_the_configured_one_are_not_logged() -> None:
    out = written("warning")
    logger().info("answered")
    assert out.getvalue() == ""
    out = written("debug")
    logger().debug(">", method="BYE")
    assert out.getvalue().endswith("> method=BYE\n")


def test_json_format_writes_one_object_per_line() -> None:
    out = written(form="json")
    logger().bind(call="7f3a").info("answered", status=200)
    entry = json.loads(out.getvalue())
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"call": "7f3a", "event": "answered", "status": 200, "level": "info"}


def test_warnings_of_libraries_are_logged_but_not_their_debug_output() -> None:
    out = written("debug")
    logging.getLogger("websockets").debug("> Authorization: Bearer sk-secret")
    logging.getLogger("uvicorn.error").warning("Invalid %s", "request")
    assert out.getvalue().split(maxsplit=1)[1] == "warning Invalid request\n"


def test_logging_goes_to_standard_error_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure()
    logger().info("ready")
    assert capsys.readouterr().err.endswith("ready\n")


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+14155550148", "+1415•••0148"),
        ("14155550148", "1415•••0148"),
        ("4155550148", "•••48"),
        ("alice", "a•••"),
        ("101", "1•••"),
        ("", "•••"),
        (None, "withheld"),
    ],
)
def test_numbers_are_masked(number: str | None, masked: str) -> None:
    assert log.mask(number) == masked


async def test_info_lines_are_batched_and_a_warning_flushes_at_once() -> None:
    out = written()
    logger().info("first")
    logger().info("second")
    assert out.getvalue() == ""
    await asyncio.sleep(BATCH_S + 0.01)
    assert [line.split()[2] for line in out.getvalue().splitlines()] == ["first", "second"]
    logger().info("third")
    logger().warning("fourth")
    assert [line.split()[2] for line in out.getvalue().splitlines()][2:] == ["third", "fourth"]


async def test_logging_to_a_closed_stream_raises_nothing() -> None:
    out = written()
    logger().info("first")
    out.close()
    await asyncio.sleep(BATCH_S + 0.01)
    logger().error("second")


def test_logging_to_a_full_disk_raises_nothing() -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    log.configure("info", "console", Full())
    logger().warning("anything")
    logger().info("anything")


@pytest.mark.parametrize("form", ["console", "json"])
def test_after_a_full_disk_the_log_counts_its_lost_lines_and_goes_on_at_a_new_line(form: str) -> None:
    class Disk(io.StringIO):
        room = 10_000

        def write(self, text: str, /) -> int:
            self.room -= super().write(text[: self.room])
            if not self.room:
                raise OSError(28, "No space left on device")
            return len(text)

    disk = Disk()
    log.configure("info", form, disk)
    logger().warning("first")
    disk.room = 20
    for event in ("torn", "lost"):
        logger().warning(event)
    disk.room = 10_000
    for event in ("fourth", "fifth"):
        logger().warning(event)
    whole, torn, fourth, told, fifth = disk.getvalue().splitlines()
    assert "first" in whole
    assert len(torn) == 20
    assert "fourth" in fourth
    assert "fifth" in fifth
    if form == "json":
        assert (said := json.loads(told))["event"] == "log lines could not be written"
        assert (said["lost"], json.loads(fourth)["event"]) == (2, "fourth")
    else:
        assert told.endswith("warning log lines could not be written lost=2")


def test_a_line_has_its_time_to_the_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    for at, clock, day in [
        (1795392000.0, "00.000", "2026-11-23T00:00:00.000Z"),
        (1795392000.9996, "00.999", "2026-11-23T00:00:00.999Z"),
        (1795392001.5, "01.500", "2026-11-23T00:00:01.500Z"),
    ]:
        monkeypatch.setattr("time.time", lambda at=at: at)
        out = written()
        logger().info("ready")
        assert out.getvalue().split()[0].endswith(f":{clock}")
        out = written(form="json")
        logger().warning("ready")
        assert json.loads(out.getvalue())["timestamp"] == day


@pytest.mark.parametrize("form", ["console", "json"])
def test_equal_values_of_different_types_are_written_differently(form: str) -> None:
    out = written(form=form)
    for value in (1, True, 1.0, 0, False, [1], (True,), None):
        logger().info("counted", value=value)
    told = (
        [line.split("value=")[1] for line in out.getvalue().splitlines()]
        if form == "console"
        else [json.loads(line)["value"] for line in out.getvalue().splitlines()]
    )
    if form == "console":
        assert told == ["1", "True", "1", "0", "False", "[1]", "(True,)", "None"]
    else:
        assert told == [1, True, 1.0, 0, False, [1], [True], None]


@given(
    st.text(max_size=8) | st.just("ended"),
    st.dictionaries(
        st.sampled_from(["leg", "why", "status", "exception"]),
        st.text(max_size=200)
        | st.integers()
        | st.floats()
        | st.booleans()
        | st.binary(max_size=4)
        | st.none(),
    ),
    st.none() | st.text(min_size=1, max_size=8) | st.just("7f3a"),
)
def test_a_cached_line_equals_a_freshly_formatted_one(
    event: str, values: dict[str, object], call: str | None
) -> None:
    line = log.Line()
    entry = ("info", 0.0, call, event, values)
    (first,), both = line.lines([entry]), line.lines([entry, entry])
    assert both == [first, first] == log.Line().lines([entry]) * 2
    if "exception" not in values:
        assert first.isprintable()


def test_the_line_cache_is_limited_in_entries_and_length() -> None:
    line = log.Line()
    for number in range(1000):
        line.lines([("info", 0.0, "7f3a", "ended", {"why": f"because {number}"})])
        line.lines([("info", 0.0, "7f3a", "refused", {"why": f"because {number}" * 100})])
        line.lines([("info", 0.0, "7f3a", "kept", {"what": object()})])
    assert 0 < len(line._cache) <= 256
    assert max(map(len, line._cache.values())) <= 160


async def test_lines_from_other_threads_are_written_exactly_once() -> None:
    out = written()

    def talk(name: str) -> None:
        for number in range(300):
            logger().info("said", by=name, number=number)

    await asyncio.gather(*(asyncio.to_thread(talk, name) for name in "abc"), asyncio.to_thread(talk, "d"))
    talk("here")
    await asyncio.sleep(BATCH_S + 0.01)
    said = [line.split("said ")[1] for line in out.getvalue().splitlines()]
    assert len(said) == len(set(said)) == 1500


def test_a_bound_logger_is_small() -> None:
    written()
    bound = logger().bind(call="7f3a")
    assert sys.getsizeof(bound) <= 64
    assert not hasattr(bound, "__dict__")


def test_the_logger_has_every_method_used_in_the_sources() -> None:
    """It is typed as structlog's logger, which has more methods: a missing one would fail mid-call."""
    root = Path(log.__file__).parents[1]
    texts = [
        path.read_text("utf-8") for room in ("proxy", "screening") for path in (root / room).rglob("*.py")
    ]
    asked = {name for text in texts for name in re.findall(r"\blog\.([a-z_]+)\(", text)} - {"configure"}
    assert {"info", "bind", "exception"} <= asked <= set(dir(log.Logger))
