"""The commands on stored data, by click's runner and once as a real process."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, text

from proxy.cli import main
from proxy.commands.common import table
from proxy.observe.trace import TracedMessage
from screening.memory import lists, sip_trace
from screening.memory.database import Database
from tests.screening.memory.records import finish
from tests.web.api.kept import ANNA, BEGAN, BOB, TAKEN, a_memory, a_record

TEXT = """
public = { host = "127.0.0.1", address = "127.0.0.1" }
listen = [ { transport = "udp", bind = "127.0.0.1:5060" } ]
trunk = [ { name = "lab", from = ["127.0.0.1"], outbound = "sip:127.0.0.1:9" } ]
agent = [ { name = "local", provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off" } ]
memory = { url = "sqlite:///FOLDER/screendoor.db" }
number = [ { dialed = "+14155551234", destinations = ["tel:+14155559876"] } ]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "sd.toml").write_text(TEXT.replace("FOLDER", str(tmp_path)))
    return tmp_path


@pytest.fixture
def kept(place: Path) -> Iterator[Path]:
    """While the service's memory is open."""
    with a_memory(place):
        yield place


def run(place: Path, *arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, [*arguments, "--config", str(place / "sd.toml")], input=text)


def told(place: Path, *arguments: str) -> str:
    result = run(place, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_calls_are_listed_the_latest_first(kept: Path) -> None:
    lines = told(kept, "calls").splitlines()
    assert lines[0].split() == ["call", "began", "caller", "dialed", "result", "why"]
    assert [line.split()[0] for line in lines[1:]] == ["call4", "call3", "call2", "call1", "call0"]
    assert "+14155550100 Anna ?" in lines[2]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--caller", "415-555-0199"], ["call4"]),
        (["--since", "2026-11-22T09:03:00+00:00"], ["call4", "call3"]),
        (["--until", "2026-11-22T09:01:00+00:00"], ["call0"]),
        (["--result", "bridged"], []),
        (["--decision", "voicemail", "--limit", "1"], ["call4"]),
        (["--since", "52w"], ["call4", "call3", "call2", "call1", "call0"]),
    ],
)
def test_calls_are_sought_and_put_out_for_machines(
    kept: Path, options: list[str], expected: list[str]
) -> None:
    assert [row["id"] for row in json.loads(told(kept, "calls", "--json", *options))] == expected


@pytest.mark.parametrize("options", [["--since", "soon"], ["--caller", "nobody"], ["--limit", "0"]])
def test_what_makes_no_sense_is_a_fault_of_usage(kept: Path, options: list[str]) -> None:
    assert run(kept, "calls", *options).exit_code == 2


def test_a_call_is_told_with_its_story_and_what_was_said(kept: Path) -> None:
    text = told(kept, "call", "call1")
    for line in (
        "  result     voicemail - it can wait",
        "  why        Anna, about the boiler",
        "  caller answered",
        "     1.5 caller: It is Anna.",
    ):
        assert line in text.splitlines()
    assert json.loads(told(kept, "call", "call1", "--json"))["transcript"][0]["speaker"] == "caller"


def test_a_call_names_its_legs_as_the_logs_of_their_peers_do(place: Path) -> None:
    own = {"name": "agent", "peer": "sip:proj_X@sip.api.openai.com", "end": "the peer hung up"}
    legs = [
        {**own, "peer_reason": "Q.850;cause=16", "call_ids": ["7b1e"]},
        {**own, "name": "phone", "peer": "sip:b@h", "peer_reason": None, "call_ids": ["4c", "5d"]},
        {**own, "name": "phone", "peer": "sip:c@h", "peer_reason": None},  # as earlier versions wrote it
    ]
    with a_memory(place) as memory:
        finish(memory, a_record("call9", 9, legs=legs))
    text = told(place, "call", "call9")
    for line in (
        "  agent  sip:proj_X@sip.api.openai.com: the peer hung up; Q.850;cause=16, Call-ID 7b1e",
        "  phone  sip:b@h: the peer hung up, Call-ID 4c and 5d",
        "  phone  sip:c@h: the peer hung up, Call-ID -",
    ):
        assert line in text.splitlines()


BYE = b"BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP b;branch=z9hG4bK1\r\nFrom: <sip:c@b>;tag=1\r\n"
BYE += b"To: <sip:a@b>;tag=2\r\nCall-ID: 7\r\nCSeq: 2 BYE\r\nUser-Agent: \x1b[2J\r\nContent-Length: 0\r\n\r\n"
ENDS = ("203.0.113.10", 5061), ("192.0.2.112", 5061)


@pytest.fixture
def traced(place: Path) -> Path:
    """Store the SIP trace of call1: a message that can be parsed, and one that cannot."""
    seen = [
        TracedMessage(BEGAN.timestamp() + n, "agent", n == 0, "tls", *ENDS, (BYE, b"\x07")[n])
        for n in range(2)
    ]
    with a_memory(place) as memory:
        memory.enqueue(
            lambda connection: sip_trace.store(connection, "call1", [each.as_dict() for each in seen])
        )
    return place


def test_a_trace_is_a_ladder(traced: Path) -> None:
    date, titles, legend, bye, bad = told(traced, "trace", "call1").splitlines()
    assert date.startswith("2026-11-22 ")
    assert titles.split() == ["time", "caller", "agent", "phone"]
    assert "the edge says to the peer" in legend
    assert bye.split() == ["0.000", "◀──", "BYE"]
    assert bad.startswith("   1.000  agent: not understood: ")


def test_a_trace_shows_whole_messages_which_draw_nothing_on_the_terminal(traced: Path) -> None:
    lines = told(traced, "trace", "call1", "--whole").splitlines()
    assert "          agent, TLS 203.0.113.10:5061 → 192.0.2.112:5061" in lines
    assert "          agent, TLS 203.0.113.10:5061 ← 192.0.2.112:5061" in lines
    assert "          | User-Agent: ?[2J" in lines


def test_a_trace_can_be_written_for_other_programs(traced: Path) -> None:
    file = traced / "call1.pcapng"
    assert told(traced, "trace", "call1", "--pcap", str(file)) == f"{file}: 2 messages\n"
    assert BYE in file.read_bytes()
    refused = run(traced, "trace", "call1", "--pcap", str(traced / "nowhere" / "x"))
    assert (refused.exit_code, refused.stderr) == (
        1, f"Error: {traced}/nowhere/x: No such file or directory\n"
    )  # fmt: skip


def test_a_trace_that_is_not_there_is_missed_with_the_reason(kept: Path) -> None:
    assert run(kept, "trace", "call1").stderr == 'Error: no SIP is kept of call call1: memory.sip is "off"\n'
    settings = kept / "sd.toml"
    settings.write_text(settings.read_text().replace('screendoor.db"', 'screendoor.db", sip = "on"'))
    assert "it is still in progress, has just ended" in run(kept, "trace", "call1").stderr


def test_a_name_may_be_abbreviated_where_it_is_clear(kept: Path) -> None:
    result = run(kept, "call", "cal")
    assert (result.exit_code, "several calls begin with cal: call0, call1" in result.stderr) == (1, True)
    assert "there is no call x%" in run(kept, "call", "x%").stderr
    assert "there is no call" in run(kept, "call", "").stderr


def revision(place: Path) -> int:
    with Database(f"sqlite:///{place}/screendoor.db").connect() as connection:
        return lists.revision(connection)


def test_contacts_are_taken_in_by_parts_and_the_service_hears_of_it_once(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, breaths = [], []
    put = lists.put_contacts

    def counted(connection: Connection, names: list[tuple[str, str]], *rest: Any, **full_call_id: Any) -> Any:
        sizes.append(len(names))
        return put(connection, names, *rest, **full_call_id)

    def somebody_writes(seconds: float) -> None:
        with Database(f"sqlite:///{kept}/screendoor.db").connect() as other, other.begin():
            other.execute(text("UPDATE revisions SET number = number"))
        breaths.append(seconds)

    monkeypatch.setattr("proxy.commands.contacts.time", SimpleNamespace(sleep=somebody_writes))
    monkeypatch.setattr(lists, "put_contacts", counted)
    file = kept / "many.csv"
    file.write_text("name,phone\n" + "".join(f"N{n},+1415555{n:04}\n" for n in range(4500)))
    before = revision(kept)
    assert "4499 new, 1 renamed" in told(kept, "contacts", "import", str(file))
    assert sizes == [2000, 2000, 500]
    assert breaths == [0.05, 0.05]
    assert revision(kept) == before + 1
    assert "0 new, 0 renamed" in told(kept, "contacts", "import", str(file))
    assert revision(kept) == before + 1


def test_an_import_that_is_interrupted_leaves_whole_parts_that_the_service_hears_of(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, parts = lists.put_contacts, []

    def interrupted(*arguments: Any, **full_call_id: Any) -> Any:
        parts.append(1)
        if len(parts) == 2:
            raise KeyboardInterrupt
        return put(*arguments, **full_call_id)

    monkeypatch.setattr(lists, "put_contacts", interrupted)
    file = kept / "many.csv"
    file.write_text("name,phone\n" + "".join(f"N{n},+1415555{n:04}\n" for n in range(4500)))
    before = revision(kept)
    assert run(kept, "contacts", "import", str(file)).exit_code == 1
    assert len(json.loads(told(kept, "contacts", "list", "--limit", "9999", "--json"))) == 1 + 2000
    assert revision(kept) == before + 1


def test_what_a_caller_says_draws_nothing_on_the_terminal(kept: Path) -> None:
    told(kept, "contacts", "block", "+14155550177", "--note", "\x1b[31m[red]x[/red]")
    text = told(kept, "contacts", "list")
    assert "?[31m[red]x[/red]" in text


def test_numbers_are_put_on_lists_and_taken_off(place: Path) -> None:
    assert told(place, "contacts", "add", "(415) 555-0100", "--name", "Anna") == (
        "+14155550100 is now on the list contact\n"
    )
    assert "still" in told(place, "contacts", "add", ANNA)
    told(
        place,
        "contacts",
        "add",
        "+1415555*",
        "--list",
        "vip",
        "--for",
        "+14155551234",
        "--until",
        "2027-01-01",
    )
    told(place, "contacts", "block", "+1900*", "--note", "dear")
    rows = json.loads(told(place, "contacts", "list", "--json"))
    assert [(row["list"], row["number"]) for row in rows] == [
        ("block", "+1900*"), ("vip", "+1415555*"), ("contact", ANNA),
    ]  # fmt: skip
    assert told(place, "contacts", "remove", "415 555 0100") == "1 removed\n"
    assert run(place, "contacts", "remove", ANNA).exit_code == 1
    assert [
        row["list"] for row in json.loads(told(place, "contacts", "list", "--list", "vip", "--json"))
    ] == ["vip"]


@pytest.mark.parametrize(
    ("options", "end", "listed"),
    [
        ([ANNA, "--within", "2h", "--calls", "2"], r" until 20.* for 2 calls", (ANNA, 2, 120)),
        (["(415) 555-0100"], " until 20.*", (ANNA, None, 1440)),
        (["anybody"], " until 20.*", ("*", None, 60)),
        (["Anybody", "--calls", "1"], " for 1 call", ("*", 1, None)),
        (["*", "--within", "30m", "--for", "+14155551234"], " until 20.*", ("*", None, 30)),
    ],
)
def test_a_call_is_expected_for_a_time_or_for_so_many(
    place: Path, options: list[str], end: str, listed: tuple[str, int | None, int | None]
) -> None:
    who = "anybody" if listed[0] == "*" else ANNA
    said = told(place, "contacts", "expect", *options)
    assert re.fullmatch(f"{re.escape(who)} is now on the list expected{end}\n", said)
    [row] = json.loads(told(place, "contacts", "list", "--list", "expected", "--json"))
    until = row["until"] and datetime.fromisoformat(row["until"]) - datetime.fromisoformat(row["added"])
    assert (row["number"], row["calls"], until and round(until / timedelta(minutes=1))) == listed
    assert told(place, "contacts", "remove", "anybody" if listed[0] == "*" else ANNA) == "1 removed\n"


@pytest.mark.parametrize(
    "options",
    [
        [ANNA, "--within", "soon"], [ANNA, "--within", "1h", "--until", "2036-01-01"], ["somebody"],
        [ANNA, "--until", "2020-01-01"], [ANNA, "--calls", "0"], [ANNA, "--for", "+1999"],
    ],
)  # fmt: skip
def test_what_cannot_be_expected_is_a_fault_of_usage(place: Path, options: list[str]) -> None:
    assert run(place, "contacts", "expect", *options).exit_code == 2


def test_who_is_expected_counts_in_try(place: Path) -> None:
    told(place, "contacts", "expect", "anybody")
    assert told(place, "try", ANNA).splitlines()[-1].startswith("ring, by the rule expected")


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "nobody"], ["add", "+1900*"], ["add", ANNA, "--for", "+1999"], ["block", "*"],
        ["add", ANNA, "--list", "block", "--until", "2020-01-01"],
    ],
)  # fmt: skip
def test_what_is_no_entry_is_a_fault_of_usage(place: Path, arguments: list[str]) -> None:
    assert run(place, "contacts", *arguments).exit_code == 2


def test_contact_files_are_taken_in_and_their_bad_rows_listed(place: Path) -> None:
    (place / "c.csv").write_text("Name,Phone\nAnna,+14155550100\nNobody,12\n")
    result = run(place, "contacts", "import", str(place / "c.csv"))
    assert result.stdout == f"{place}/c.csv: 1 read, 1 new, 0 renamed, 0 without a number, 1 remarks\n"
    assert result.stderr == "  line 3: not a possible telephone number (US)\n"
    [again] = json.loads(told(place, "contacts", "import", str(place / "c.csv"), "--json"))
    assert (again["new"], again["bad"]) == (0, 1)


def test_what_is_blocked_counts_in_try(place: Path) -> None:
    told(place, "contacts", "block", ANNA)
    assert told(place, "try", ANNA).splitlines()[-1].startswith("reject, by the rule block")


def test_messages_are_listed_and_saved(kept: Path) -> None:
    rows = json.loads(told(kept, "voicemail", "list", "--new", "--json"))
    assert [row["call"] for row in rows] == ["call3", "call2", "call1"]
    assert told(kept, "voicemail", "list").splitlines()[1].split()[0] == "call3"
    saved = told(kept, "voicemail", "export", "--to", str(kept / "out")).splitlines()
    assert [Path(line).name for line in saved] == ["20261122T090330Z-call3.wav", "20261122T090130Z-call1.wav"]
    one = told(kept, "voicemail", "export", "call1", "--to", str(kept / "one")).strip()
    assert Path(one).read_bytes().startswith(b"RIFF")
    assert "the file is missing" in run(kept, "voicemail", "export", "call2").stderr
    assert "no message of the call call0" in run(kept, "voicemail", "play", "call0").stderr


def test_a_message_that_the_agent_took_is_listed_shown_and_has_no_sound(place: Path) -> None:
    with a_memory(place) as memory:
        finish(memory, a_record("call5", 5, BOB, **TAKEN))
        text = "Urgent: The cake is ready. (call back: 415 555 0199)"
        memory.submit(lambda c: None).result(10)
        assert told(place, "voicemail", "list").splitlines()[1].endswith(f" new    {text}")
        assert told(place, "voicemail", "play", "call5") == f"{text}\n"
        assert [row["call"] for row in json.loads(told(place, "voicemail", "list", "--new", "--json"))] == [
            "call3", "call2", "call1",
        ]  # fmt: skip
        assert "no audio: the agent took it as text" in run(place, "voicemail", "export", "call5").stderr
        lines = told(place, "call", "call5").splitlines()
        assert f"  message    {text}" in lines
        assert "  number     passed A by header" in lines
        assert "  cost       0.0123 USD" in lines


def test_a_message_is_played_and_counts_as_heard(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(kept / "bin"))
    result = run(kept, "voicemail", "play", "call1")
    assert (result.exit_code, str(kept / "voicemail" / "call1.wav") in result.stderr) == (1, True)
    (kept / "bin").mkdir()
    player = kept / "bin" / "paplay"
    player.write_text(f'#!{sys.executable}\nimport sys\nopen("{kept}/played", "w").write(sys.argv[1])\n')
    player.chmod(0o755)
    told(kept, "voicemail", "play", "call1")
    assert (kept / "played").read_text() == str(kept / "voicemail" / "call1.wav")
    heard = json.loads(told(kept, "voicemail", "list", "--json"))
    assert [row["call"] for row in heard if row["heard_at"]] == ["call1"]
    player.write_text(f"#!{sys.executable}\nraise SystemExit(3)\n")
    assert "cannot play it" in run(kept, "voicemail", "play", "call1").stderr


def test_a_caller_is_put_out_and_forgotten(kept: Path) -> None:
    result = run(kept, "export", "415-555-0100")
    assert len(json.loads(result.stdout)["calls"]) == 4
    assert result.stderr.splitlines() == [f"{kept}/voicemail/call1.wav", f"{kept}/secret.wav"]
    assert run(kept, "forget", ANNA, text="n\n").exit_code == 1
    assert told(kept, "forget", ANNA, "--yes") == "4 calls, 2 files and 0 entries of lists deleted\n"
    assert ANNA.encode() not in (kept / "screendoor.db-wal").read_bytes()
    assert [row["id"] for row in json.loads(told(kept, "calls", "--json"))] == ["call4"]
    assert "1 calls" in run(kept, "forget", BOB, text="y\n").stdout
    assert not (kept / "voicemail" / "call1.wav").exists()


def test_a_caller_is_forgotten_in_the_records_and_in_what_was_spoken_too(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kept)
    lines = [json.dumps({"call": f"c{n}", "caller": who}) for n, who in enumerate((ANNA, BOB, ANNA))]
    (kept / "calls.jsonl").write_text("\n".join(lines) + "\n")
    (kept / "speech").mkdir()
    for name in (f"{1:032x}.wav", f"{2:032x}.part", "music.wav"):
        (kept / "speech" / name).touch()
    assert told(kept, "forget", "415-555-0100", "--yes").splitlines() == [
        "2 lines of the records and 2 spoken texts deleted",
        "4 calls, 2 files and 0 entries of lists deleted",
    ]
    assert (kept / "calls.jsonl").read_text() == lines[1] + "\n"
    assert [file.name for file in (kept / "speech").iterdir()] == ["music.wav"]


def test_a_caller_is_found_and_forgotten_however_his_trunk_writes_him(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    berlin = ', { dialed = "+493023125001", destinations = ["tel:+493023125012"] } ]'
    settings = (place / "sd.toml").read_text()
    (place / "sd.toml").write_text(settings.replace('876"] } ]', '876"] }' + berlin))
    shown = [
        ("4155550100", "+14155551234"), ("14155550100", "+14155551234"), ("+493023125001", "+14155551234"),
        ("03023125001", "+493023125001"), ("00493023125001", "+493023125001"), ("3023125001", "+14155551234"),
        ("9999990100", "+14155551234"), ("4155550100", "+493023125001"),
    ]  # fmt: skip
    records = [a_record(f"c{n}", n, caller, dialed=dialed) for n, (caller, dialed) in enumerate(shown)]
    (place / "calls.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with a_memory(place) as memory:
        for record in records:
            finish(memory, record)
        memory.submit(lambda c: None).result(10)
        for asked in (ANNA, "415-555-0100", "14155550100"):
            found = json.loads(told(place, "calls", "--caller", asked, "--json"))
            others = [row["caller"] for row in found if row["caller"] != ANNA]
            assert others == ["14155550100", "4155550100"]
        found = json.loads(run(place, "export", "+493023125001").stdout)
        assert [call["id"] for call in found["calls"]] == ["c2", "c3", "c4"]
        assert told(place, "forget", "+493023125001", "--yes").splitlines() == [
            "3 lines of the records and 0 spoken texts deleted",
            "3 calls, 0 files and 0 entries of lists deleted",
        ]
        told(place, "forget", ANNA, "--yes")
        left = [row["id"] for row in json.loads(told(place, "calls", "--json"))]
        assert sorted(left) == ["c5", "c6", "c7", "call4"]
    lines = [json.loads(line)["call"] for line in (place / "calls.jsonl").read_text().splitlines()]
    assert lines == ["c5", "c6", "c7"]


@pytest.mark.parametrize(
    ("dialed", "asked"),
    [("14155551234", "14155551234"), ("14155551234", "+14155551234"), ("inbound", "inbound"), ("*", "*")],
)
def test_calls_are_sought_by_the_number_that_was_called_as_the_settings_write_it(
    place: Path, dialed: str, asked: str
) -> None:
    settings = (place / "sd.toml").read_text()
    (place / "sd.toml").write_text(settings.replace("+14155551234", dialed))
    with a_memory(place) as memory:
        finish(memory, a_record("c0", 0, dialed=dialed))
        memory.submit(lambda c: None).result(10)
        assert "c0" in [row["id"] for row in json.loads(told(place, "calls", "--dialed", asked, "--json"))]
        assert json.loads(told(place, "calls", "--dialed", "+14155559999", "--json")) == []


def test_a_caller_is_forgotten_where_there_is_no_database(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    settings = (place / "sd.toml").read_text()
    (place / "sd.toml").write_text(re.sub("memory = .*", 'memory = { url = "off" }', settings))
    (place / "calls.jsonl").write_text(json.dumps({"call": "c", "caller": ANNA}) + "\n")
    assert told(place, "forget", ANNA, "--yes") == "1 lines of the records and 0 spoken texts deleted\n"
    assert (place / "calls.jsonl").read_bytes() == b""
    (place / "calls.jsonl").unlink()
    result = run(place, "forget", ANNA, "--yes")
    assert (result.exit_code, result.stdout, result.stderr.splitlines()) == (
        0,
        "",
        [
            'memory.url is "off": messages and recordings stay until you delete them',
            "calls.jsonl: no such file (records, relative to this folder)",
        ],
    )


def test_records_that_cannot_be_written_anew_are_said_before_anything_is_deleted(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(settings: object, caller: str) -> None:
        raise PermissionError(13, "Permission denied", "calls.jsonl")

    monkeypatch.setattr("proxy.services.erasure.erase_caller", broken)
    result = run(kept, "forget", ANNA, "--yes")
    assert (result.exit_code, "Permission denied: 'calls.jsonl'" in result.stderr) == (1, True)
    assert len(json.loads(told(kept, "calls", "--json"))) == 5


@pytest.mark.parametrize(
    "command",
    [
        ["calls"],
        ["call", "x"],
        ["costs"],
        ["voicemail", "list"],
        ["contacts", "list"],
        ["export", ANNA],
        ["forget", ANNA, "--yes"],
    ],
)
def test_where_nothing_is_kept_it_says_so_in_one_line(place: Path, command: list[str]) -> None:
    result = run(place, *command)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "there is no database yet" in result.stderr
    (place / "sd.toml").write_text(TEXT.replace("sqlite:///FOLDER/screendoor.db", "off"))
    assert 'memory.url is "off"' in run(place, *command).stderr
    (place / "sd.toml").write_text(TEXT.replace("FOLDER", str(place)))
    (place / "screendoor.db").write_text("no database" * 99)
    result = run(place, *command)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


SECRETS = """
notify = [
  { name = "crm", webhook = "env:CRM_URL", secret = ["env:CRM_NEW", "file:crm.secret"] },
  { name = "phone", apprise = "env:NTFY_URL" },
]
speech = { api_key = "env:OPENAI_API_KEY" }
api = { tokens = ["env:DOOR_TOKEN", { name = "board", token = "env:BOARD_TOKEN", may = "read" }] }
"""


@pytest.mark.parametrize(
    "command",
    [
        ["calls"], ["call", "call1"], ["voicemail", "list"], ["contacts", "list"],
        ["contacts", "add", BOB], ["contacts", "remove", ANNA], ["costs"], ["export", ANNA],
        ["forget", BOB, "--yes"], ["try", ANNA],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_reads_only_what_is_kept_needs_no_secret_of_the_settings(kept: Path, command: list[str]) -> None:
    settings = (kept / "sd.toml").read_text() + SECRETS
    trunk = 'username = "me", password = "env:TRUNK_PASSWORD", outbound'
    (kept / "sd.toml").write_text(settings.replace("outbound", trunk))
    told(kept, "contacts", "add", ANNA)
    told(kept, *command)


def test_what_uses_secrets_says_which_one_is_not_there(kept: Path) -> None:
    (kept / "sd.toml").write_text((kept / "sd.toml").read_text() + SECRETS)
    tested = run(kept, "notify", "--test")
    checked = CliRunner().invoke(main, ["check-config", str(kept / "sd.toml")])
    ran = CliRunner().invoke(main, ["run", "--config", str(kept / "sd.toml")])
    for result in (tested, checked, ran):
        assert result.exit_code == 2
        for name in ("CRM_URL", "CRM_NEW", "NTFY_URL", "DOOR_TOKEN", "BOARD_TOKEN"):
            assert f"the environment variable {name}" in result.stderr


def test_the_secret_of_the_database_is_needed_by_all(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "sd.toml").write_text(re.sub(r'"sqlite.*"', '"env:DOOR_DB"', TEXT))
    result = run(place, "contacts", "list")
    assert (result.exit_code, "the environment variable DOOR_DB" in result.stderr) == (2, True)
    monkeypatch.setenv("DOOR_DB", f"sqlite:///{place}/other.db")
    told(place, "contacts", "add", ANNA)
    assert (place / "other.db").exists()


def test_settings_that_are_not_in_order_are_told(place: Path) -> None:
    (place / "sd.toml").write_text("[x]")
    assert run(place, "calls").exit_code == 2
    (place / "sd.toml").write_text(TEXT + 'screening = { block = ["nobody"] }\n')
    result = run(place, "try", ANNA)
    assert (result.exit_code, "screening.block[0]" in result.stderr) == (2, True)


def test_the_help_names_every_command() -> None:
    text = CliRunner().invoke(main, ["--help"]).stdout
    for name in (
        "run",
        "demo",
        "check-config",
        "try",
        "calls",
        "call",
        "contacts",
        "voicemail",
        "forget",
        "export",
    ):
        assert f"\n  {name} " in text


@pytest.mark.network
@pytest.mark.parametrize("command", [["contacts", "import", "many.csv"], ["try", BOB]], ids=" ".join)
def test_a_database_that_fails_in_the_midst_is_one_line(
    kept: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kept)
    (kept / "many.csv").write_text("Name,Phone\nGrace,+14155550142\n")
    with closing(sqlite3.connect(kept / "screendoor.db")) as damaged:
        damaged.execute("DROP TABLE entries")
        damaged.commit()
    result = run(kept, *command)
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: sqlite:///{kept}/screendoor.db: no such table: entries\n",
    )


def test_a_full_disk_under_what_is_shown_is_one_line(kept: Path) -> None:
    environment = os.environ | {"SCREENDOOR_CONFIG": str(kept / "sd.toml")}
    code = "from proxy.cli import main; main()"
    for command in (["calls"], ["calls", "--json"], ["--help"], ["--version"], ["calls", "--help"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-c", code, *command],
                env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
            )  # fmt: skip
        assert (done.returncode, done.stderr) == (1, "Error: cannot write: No space left on device\n")


@pytest.mark.parametrize(
    "command",
    [
        "calls", "call call1", "voicemail list", "voicemail export --to KEPT", "contacts list", "costs",
        f"export {ANNA}", f"try {ANNA}",
    ],
)  # fmt: skip
def test_what_only_reads_waits_for_nobody_who_writes(kept: Path, command: str) -> None:
    with closing(sqlite3.connect(kept / "screendoor.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert run(kept, *command.replace("KEPT", str(kept)).split()).exit_code == 0
        other.execute("DELETE FROM calls")
        other.execute("COMMIT")


def test_a_list_for_no_terminal_has_a_line_for_each_row_and_its_columns_under_one_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table(("call", "caller", "why"), [("c1", "李 Grace", "x" * 300), ("c2", None, "[b]two\nlines")], None)
    assert capsys.readouterr().out.splitlines() == [
        f"call  caller    {'why':<300}",
        f"c1    李 Grace  {'x' * 300}",
        f"c2              {'[b]two?lines':<300}",
    ]


def test_letters_that_a_terminal_does_not_have_are_question_marks(kept: Path) -> None:
    add = ("contacts", "add", "+14155550123", "--name", "Łukasz Müller")
    assert run(kept, *add).exit_code == 0
    environment = os.environ | {"SCREENDOOR_CONFIG": str(kept / "sd.toml"), "PYTHONIOENCODING": "latin-1"}
    code = "from proxy.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "contacts", "list"],
        env=environment, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert "?ukasz Müller" in done.stdout.decode("latin-1")


def test_as_a_process_beside_a_service_that_writes(kept: Path) -> None:
    environment = os.environ | {"SCREENDOOR_CONFIG": str(kept / "sd.toml")}
    code = "from proxy.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "contacts", "block", "+14155550123"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "+14155550123 is now on the list block\n")
    with a_memory(kept) as memory:
        listed = memory.submit(lambda c: lists.find_entries(c, lists.BLOCK)).result(10)
        assert "+14155550123" in [row["number"] for row in listed]
