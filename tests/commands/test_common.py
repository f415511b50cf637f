"""Times as users write and read them: in their own time zone, wherever the machine is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import main
from tests.commands.test_commands import TEXT
from tests.web.api.sample_memory import ANNA, a_memory

OURS = "+14155551234"


@pytest.fixture(autouse=True)
def machine_in_another_time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the machine into a time zone that no user here has."""
    monkeypatch.setenv("TZ", "XXX-3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def output_of(folder: Path, zones: str, *arguments: str) -> str:
    text = TEXT.replace("FOLDER", str(folder))
    where = f'number = [ {{ dialed = "{OURS}",'
    everywhere, _, here = zones.partition(" ")
    if everywhere:
        text += f'screening = {{ time_zone = "{everywhere}" }}\n'
    if here:
        text = text.replace(where, f'{where} time_zone = "{here}",')
    (folder / "sd.toml").write_text(text)
    result = CliRunner().invoke(main, [*arguments, "--config", str(folder / "sd.toml")])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("zones", "options", "hour"),
    [
        ("", [], 15),
        ("America/New_York", [], 23),
        (" America/New_York", [], 23),
        ("Europe/Berlin America/New_York", [], 17),
        ("Europe/Berlin America/New_York", ["--for", OURS], 23),
    ],
    ids=["machine", "everywhere", "only number", "two", "of the number"],
)
def test_until_is_read_in_the_configured_time_zone_not_that_of_the_machine(
    tmp_path: Path, zones: str, options: list[str], hour: int
) -> None:
    for which in ("expect", "add"):
        said = output_of(tmp_path, zones, "contacts", which, ANNA, "--until", "2036-12-24T18:00", *options)
        assert "until 2036-12-24 18:00" in said or which == "add"
        rows = json.loads(output_of(tmp_path, zones, "contacts", "list", "--json"))
        assert datetime.fromisoformat(rows[0]["until"]) == datetime(2036, 12, 24, hour, tzinfo=UTC)


def test_until_with_a_utc_offset_is_read_by_that_offset(tmp_path: Path) -> None:
    zone = "America/New_York"
    said = output_of(tmp_path, zone, "contacts", "expect", ANNA, "--until", "2036-12-24T18:00+01:00")
    assert "until 2036-12-24 12:00" in said


def test_calls_are_filtered_and_shown_in_the_configured_time_zone(tmp_path: Path) -> None:
    with a_memory(tmp_path):
        zone = "Asia/Kathmandu"  # 5:45 ahead of UTC
        lines = output_of(tmp_path, zone, "calls", "--since", "2026-11-22T14:48").splitlines()
        assert [line.split()[0] for line in lines[1:]] == ["call4", "call3"]
        assert lines[-1].split()[1:3] == ["2026-11-22", "14:48"]
        assert "  2026-11-22 14:48  " in output_of(tmp_path, zone, "call", "call3").splitlines()[0]
        assert " 2026-11-22 14:4" in output_of(tmp_path, zone, "voicemail", "list").splitlines()[1]
