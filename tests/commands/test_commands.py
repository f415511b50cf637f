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
from tests.web.api.sample_memory import ANNA, BEGAN, BOB, TAKEN, a_memory, a_record

TEXT = """
public = { host = "127.0.0.1", address = "127.0.0.1" }
listen = [ { transport = "udp", bind = "127.0.0.1:5060" } ]
trunk = [ { name = "lab", from = ["127.0.0.1"], outbound = "sip:127.0.0.1:9" } ]
agent = [ { name = "local", provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off" } ]
memory = { url = "sqlite:///FOLDER/screendoor.db" }
number = [ { dialed = "+14155551234", destinations = ["tel:+14155559876"] } ]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sd.toml").write_text(TEXT.replace("FOLDER", str(tmp_path)))
    return tmp_path


@pytest.fixture
def open_memory(folder: Path) -> Iterator[Path]:
    """While the service's memory is open."""
    with a_memory(folder):
        yield folder


def run(folder: Path, *arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, [*arguments, "--config", str(folder / "sd.toml")], input=text)


def output_of(folder: Path, *arguments: str) -> str:
    result = run(folder, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_calls_lists_the_latest_call_first(open_memory: Path) -> None:
    lines = output_of(open_memory, "calls").splitlines()
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
def test_calls_json_filters_by_caller_time_result_and_decision(
    open_memory: Path, options: list[str], expected: list[str]
) -> None:
    assert [row["id"] for row in json.loads(output_of(open_memory, "calls", "--json", *options))] == expected


@pytest.mark.parametrize("options", [["--since", "soon"], ["--caller", "nobody"], ["--limit", "0"]])
def test_calls_with_an_invalid_option_is_a_usage_error(open_memory: Path, options: list[str]) -> None:
    assert run(open_memory, "calls", *options).exit_code == 2


def test_call_shows_the_outcome_the_legs_and_the_transcript(open_memory: Path) -> None:
    text = output_of(open_memory, "call", "call1")
    for line in (
        "  result     voicemail - it can wait",
        "  why        Anna, about the boiler",
        "  caller answered",
        "     1.5 caller: It is Anna.",
    ):
        assert line in text.splitlines()
    assert (
        json.loads(output_of(open_memory, "call", "call1", "--json"))["transcript"][0]["speaker"] == "caller"
    )


def test_call_shows_the_call_ids_of_each_leg(folder: Path) -> None:
    own = {"name": "agent", "peer": "sip:proj_X@sip.api.openai.com", "end": "the peer hung up"}
    legs = [
        {**own, "peer_reason": "Q.850;cause=16", "call_ids": ["7b1e"]},
        {**own, "name": "phone", "peer": "sip:b@h", "peer_reason": None, "call_ids": ["4c", "5d"]},
        {**own, "name": "phone", "peer": "sip:c@h", "peer_reason": None},  # as earlier versions wrote it
    ]
    with a_memory(folder) as memory:
        finish(memory, a_record("call9", 9, legs=legs))
    text = output_of(folder, "call", "call9")
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
def traced(folder: Path) -> Path:
    """Store the SIP trace of call1: a message that can be parsed, and one that cannot."""
    seen = [
        TracedMessage(BEGAN.timestamp() + n, "agent", n == 0, "tls", *ENDS, (BYE, b"\x07")[n])
        for n in range(2)
    ]
    with a_memory(folder) as memory:
        memory.enqueue(
            lambda connection: sip_trace.store(connection, "call1", [each.as_dict() for each in seen])
        )
    return folder


def test_trace_draws_a_ladder_diagram(traced: Path) -> None:
    date, titles, legend, bye, bad = output_of(traced, "trace", "call1").splitlines()
    assert date.startswith("2026-11-22 ")
    assert titles.split() == ["time", "caller", "agent", "phone"]
    assert "the edge says to the peer" in legend
    assert bye.split() == ["0.000", "◀──", "BYE"]
    assert bad.startswith("   1.000  agent: not understood: ")


def test_trace_whole_shows_messages_without_control_characters(traced: Path) -> None:
    lines = output_of(traced, "trace", "call1", "--whole").splitlines()
    assert "          agent, TLS 203.0.113.10:5061 → 192.0.2.112:5061" in lines
    assert "          agent, TLS 203.0.113.10:5061 ← 192.0.2.112:5061" in lines
    assert "          | User-Agent: ?[2J" in lines


def test_trace_pcap_writes_a_pcapng_file_or_says_why_it_cannot(traced: Path) -> None:
    file = traced / "call1.pcapng"
    assert output_of(traced, "trace", "call1", "--pcap", str(file)) == f"{file}: 2 messages\n"
    assert BYE in file.read_bytes()
    refused = run(traced, "trace", "call1", "--pcap", str(traced / "nowhere" / "x"))
    assert (refused.exit_code, refused.stderr) == (
        1, f"Error: {traced}/nowhere/x: No such file or directory\n"
    )  # fmt: skip


def test_trace_without_stored_sip_says_why(open_memory: Path) -> None:
    assert (
        run(open_memory, "trace", "call1").stderr
        == 'Error: no SIP is kept of call call1: memory.sip is "off"\n'
    )
    settings = open_memory / "sd.toml"
    settings.write_text(settings.read_text().replace('screendoor.db"', 'screendoor.db", sip = "on"'))
    assert "it is in progress (the API shows it), has just ended" in run(open_memory, "trace", "call1").stderr


def test_an_ambiguous_or_unknown_call_id_is_an_error(open_memory: Path) -> None:
    result = run(open_memory, "call", "cal")
    assert (result.exit_code, "several calls begin with cal: call0, call1" in result.stderr) == (1, True)
    assert "there is no call x%" in run(open_memory, "call", "x%").stderr
    assert "there is no call" in run(open_memory, "call", "").stderr


def revision(folder: Path) -> int:
    with Database(f"sqlite:///{folder}/screendoor.db").connect() as connection:
        return lists.revision(connection)


def test_contacts_import_writes_in_batches_and_changes_the_revision_once(
    open_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, breaths = [], []
    put = lists.put_contacts

    def counted(connection: Connection, names: list[tuple[str, str]], *rest: Any, **full_call_id: Any) -> Any:
        sizes.append(len(names))
        return put(connection, names, *rest, **full_call_id)

    def somebody_writes(seconds: float) -> None:
        with Database(f"sqlite:///{open_memory}/screendoor.db").connect() as other, other.begin():
            other.execute(text("UPDATE revisions SET number = number"))
        breaths.append(seconds)

    monkeypatch.setattr("proxy.commands.contacts.time", SimpleNamespace(sleep=somebody_writes))
    monkeypatch.setattr(lists, "put_contacts", counted)
    file = open_memory / "many.csv"
    file.write_text("name,phone\n" + "".join(f"N{n},+1415555{n:04}\n" for n in range(4500)))
    before = revision(open_memory)
    assert "4499 new, 1 renamed" in output_of(open_memory, "contacts", "import", str(file))
    assert sizes == [2000, 2000, 500]
    assert breaths == [0.05, 0.05]
    assert revision(open_memory) == before + 1
    assert "0 new, 0 renamed" in output_of(open_memory, "contacts", "import", str(file))
    assert revision(open_memory) == before + 1


def test_an_interrupted_import_keeps_whole_batches_and_changes_the_revision(
    open_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, parts = lists.put_contacts, []

    def interrupted(*arguments: Any, **full_call_id: Any) -> Any:
        parts.append(1)
        if len(parts) == 2:
            raise KeyboardInterrupt
        return put(*arguments, **full_call_id)

    monkeypatch.setattr(lists, "put_contacts", interrupted)
    file = open_memory / "many.csv"
    file.write_text("name,phone\n" + "".join(f"N{n},+1415555{n:04}\n" for n in range(4500)))
    before = revision(open_memory)
    assert run(open_memory, "contacts", "import", str(file)).exit_code == 1
    assert (
        len(json.loads(output_of(open_memory, "contacts", "list", "--limit", "9999", "--json"))) == 1 + 2000
    )
    assert revision(open_memory) == before + 1


def test_contacts_list_shows_notes_without_control_characters_or_markup(open_memory: Path) -> None:
    output_of(open_memory, "contacts", "block", "+14155550177", "--note", "\x1b[31m[red]x[/red]")
    text = output_of(open_memory, "contacts", "list")
    assert "?[31m[red]x[/red]" in text


def test_contacts_add_block_and_remove_change_the_lists(folder: Path) -> None:
    assert output_of(folder, "contacts", "add", "(415) 555-0100", "--name", "Anna") == (
        "+14155550100 is now on the list contact\n"
    )
    assert "still" in output_of(folder, "contacts", "add", ANNA)
    output_of(
        folder,
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
    output_of(folder, "contacts", "block", "+1900*", "--note", "dear")
    rows = json.loads(output_of(folder, "contacts", "list", "--json"))
    assert [(row["list"], row["number"]) for row in rows] == [
        ("block", "+1900*"), ("vip", "+1415555*"), ("contact", ANNA),
    ]  # fmt: skip
    assert output_of(folder, "contacts", "remove", "415 555 0100") == "1 removed\n"
    assert run(folder, "contacts", "remove", ANNA).exit_code == 1
    assert [
        row["list"] for row in json.loads(output_of(folder, "contacts", "list", "--list", "vip", "--json"))
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
def test_contacts_expect_sets_an_end_time_or_a_number_of_calls(
    folder: Path, options: list[str], end: str, listed: tuple[str, int | None, int | None]
) -> None:
    who = "anybody" if listed[0] == "*" else ANNA
    said = output_of(folder, "contacts", "expect", *options)
    assert re.fullmatch(f"{re.escape(who)} is now on the list expected{end}\n", said)
    [row] = json.loads(output_of(folder, "contacts", "list", "--list", "expected", "--json"))
    until = row["until"] and datetime.fromisoformat(row["until"]) - datetime.fromisoformat(row["added"])
    assert (row["number"], row["calls"], until and round(until / timedelta(minutes=1))) == listed
    assert output_of(folder, "contacts", "remove", "anybody" if listed[0] == "*" else ANNA) == "1 removed\n"


@pytest.mark.parametrize(
    "options",
    [
        [ANNA, "--within", "soon"], [ANNA, "--within", "1h", "--until", "2036-01-01"], ["somebody"],
        [ANNA, "--until", "2020-01-01"], [ANNA, "--calls", "0"], [ANNA, "--for", "+1999"],
    ],
)  # fmt: skip
def test_contacts_expect_with_invalid_options_is_a_usage_error(folder: Path, options: list[str]) -> None:
    assert run(folder, "contacts", "expect", *options).exit_code == 2


def test_try_applies_expected_calls(folder: Path) -> None:
    output_of(folder, "contacts", "expect", "anybody")
    assert output_of(folder, "try", ANNA).splitlines()[-1].startswith("ring, by the rule expected")


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "nobody"], ["add", "+1900*"], ["add", ANNA, "--for", "+1999"], ["block", "*"],
        ["add", ANNA, "--list", "block", "--until", "2020-01-01"],
    ],
)  # fmt: skip
def test_an_invalid_list_entry_is_a_usage_error(folder: Path, arguments: list[str]) -> None:
    assert run(folder, "contacts", *arguments).exit_code == 2


def test_contacts_import_counts_entries_and_lists_bad_rows(folder: Path) -> None:
    (folder / "c.csv").write_text("Name,Phone\nAnna,+14155550100\nNobody,12\n")
    result = run(folder, "contacts", "import", str(folder / "c.csv"))
    assert result.stdout == f"{folder}/c.csv: 1 read, 1 new, 0 renamed, 0 without a number, 1 remarks\n"
    assert result.stderr == "  line 3: not a possible telephone number (US)\n"
    [again] = json.loads(output_of(folder, "contacts", "import", str(folder / "c.csv"), "--json"))
    assert (again["new"], again["bad"]) == (0, 1)


def test_try_applies_the_block_list(folder: Path) -> None:
    output_of(folder, "contacts", "block", ANNA)
    assert output_of(folder, "try", ANNA).splitlines()[-1].startswith("reject, by the rule block")


def test_voicemail_lists_messages_and_exports_their_files(open_memory: Path) -> None:
    rows = json.loads(output_of(open_memory, "voicemail", "list", "--new", "--json"))
    assert [row["call"] for row in rows] == ["call3", "call2", "call1"]
    assert output_of(open_memory, "voicemail", "list").splitlines()[1].split()[0] == "call3"
    saved = output_of(open_memory, "voicemail", "export", "--to", str(open_memory / "out")).splitlines()
    assert [Path(line).name for line in saved] == ["20261122T090330Z-call3.wav", "20261122T090130Z-call1.wav"]
    one = output_of(open_memory, "voicemail", "export", "call1", "--to", str(open_memory / "one")).strip()
    assert Path(one).read_bytes().startswith(b"RIFF")
    assert "the file is missing" in run(open_memory, "voicemail", "export", "call2").stderr
    assert "no message of the call call0" in run(open_memory, "voicemail", "play", "call0").stderr


def test_a_text_message_taken_by_the_agent_is_listed_and_shown_but_not_exported(folder: Path) -> None:
    with a_memory(folder) as memory:
        finish(memory, a_record("call5", 5, BOB, **TAKEN))
        text = "Urgent: The cake is ready. (call back: 415 555 0199)"
        memory.submit(lambda c: None).result(10)
        assert output_of(folder, "voicemail", "list").splitlines()[1].endswith(f" new    {text}")
        assert output_of(folder, "voicemail", "play", "call5") == f"{text}\n"
        new = json.loads(output_of(folder, "voicemail", "list", "--new", "--json"))
        assert [row["call"] for row in new] == ["call3", "call2", "call1"]
        assert "no audio: the agent took it as text" in run(folder, "voicemail", "export", "call5").stderr
        lines = output_of(folder, "call", "call5").splitlines()
        assert f"  message    {text}" in lines
        assert "  number     passed A by header" in lines
        assert "  cost       0.0123 USD" in lines


def test_voicemail_play_runs_the_player_and_marks_the_message_heard(
    open_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(open_memory / "bin"))
    result = run(open_memory, "voicemail", "play", "call1")
    assert (result.exit_code, str(open_memory / "voicemail" / "call1.wav") in result.stderr) == (1, True)
    (open_memory / "bin").mkdir()
    player = open_memory / "bin" / "paplay"
    player.write_text(
        f'#!{sys.executable}\nimport sys\nopen("{open_memory}/played", "w").write(sys.argv[1])\n'
    )
    player.chmod(0o755)
    output_of(open_memory, "voicemail", "play", "call1")
    assert (open_memory / "played").read_text() == str(open_memory / "voicemail" / "call1.wav")
    heard = json.loads(output_of(open_memory, "voicemail", "list", "--json"))
    assert [row["call"] for row in heard if row["heard_at"]] == ["call1"]
    player.write_text(f"#!{sys.executable}\nraise SystemExit(3)\n")
    assert "cannot play it" in run(open_memory, "voicemail", "play", "call1").stderr


def test_export_and_forget_cover_all_stored_data_of_a_caller(open_memory: Path) -> None:
    result = run(open_memory, "export", "415-555-0100")
    assert len(json.loads(result.stdout)["calls"]) == 4
    assert result.stderr.splitlines() == [f"{open_memory}/voicemail/call1.wav", f"{open_memory}/secret.wav"]
    assert run(open_memory, "forget", ANNA, text="n\n").exit_code == 1
    assert (
        output_of(open_memory, "forget", ANNA, "--yes") == "4 calls, 2 files and 0 entries of lists deleted\n"
    )
    assert ANNA.encode() not in (open_memory / "screendoor.db-wal").read_bytes()
    assert [row["id"] for row in json.loads(output_of(open_memory, "calls", "--json"))] == ["call4"]
    assert "1 calls" in run(open_memory, "forget", BOB, text="y\n").stdout
    assert not (open_memory / "voicemail" / "call1.wav").exists()


def test_forget_deletes_lines_of_the_record_file_and_cached_speech(
    open_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(open_memory)
    lines = [json.dumps({"call": f"c{n}", "caller": who}) for n, who in enumerate((ANNA, BOB, ANNA))]
    (open_memory / "calls.jsonl").write_text("\n".join(lines) + "\n")
    (open_memory / "speech").mkdir()
    for name in (f"{1:032x}.wav", f"{2:032x}.part", "music.wav"):
        (open_memory / "speech" / name).touch()
    assert output_of(open_memory, "forget", "415-555-0100", "--yes").splitlines() == [
        "2 lines of the records and 2 spoken texts deleted",
        "4 calls, 2 files and 0 entries of lists deleted",
    ]
    assert (open_memory / "calls.jsonl").read_text() == lines[1] + "\n"
    assert [file.name for file in (open_memory / "speech").iterdir()] == ["music.wav"]


def test_a_caller_is_found_and_forgotten_in_every_format_the_trunk_sends(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    berlin = ', { dialed = "+493023125001", destinations = ["tel:+493023125012"] } ]'
    settings = (folder / "sd.toml").read_text()
    (folder / "sd.toml").write_text(settings.replace('876"] } ]', '876"] }' + berlin))
    shown = [
        ("4155550100", "+14155551234"), ("14155550100", "+14155551234"), ("+493023125001", "+14155551234"),
        ("03023125001", "+493023125001"), ("00493023125001", "+493023125001"), ("3023125001", "+14155551234"),
        ("9999990100", "+14155551234"), ("4155550100", "+493023125001"),
    ]  # fmt: skip
    records = [a_record(f"c{n}", n, caller, dialed=dialed) for n, (caller, dialed) in enumerate(shown)]
    (folder / "calls.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with a_memory(folder) as memory:
        for record in records:
            finish(memory, record)
        memory.submit(lambda c: None).result(10)
        for asked in (ANNA, "415-555-0100", "14155550100"):
            found = json.loads(output_of(folder, "calls", "--caller", asked, "--json"))
            others = [row["caller"] for row in found if row["caller"] != ANNA]
            assert others == ["14155550100", "4155550100"]
        found = json.loads(run(folder, "export", "+493023125001").stdout)
        assert [call["id"] for call in found["calls"]] == ["c2", "c3", "c4"]
        assert output_of(folder, "forget", "+493023125001", "--yes").splitlines() == [
            "3 lines of the records and 0 spoken texts deleted",
            "3 calls, 0 files and 0 entries of lists deleted",
        ]
        output_of(folder, "forget", ANNA, "--yes")
        left = [row["id"] for row in json.loads(output_of(folder, "calls", "--json"))]
        assert sorted(left) == ["c5", "c6", "c7", "call4"]
    lines = [json.loads(line)["call"] for line in (folder / "calls.jsonl").read_text().splitlines()]
    assert lines == ["c5", "c6", "c7"]


@pytest.mark.parametrize(
    ("dialed", "asked"),
    [("14155551234", "14155551234"), ("14155551234", "+14155551234"), ("inbound", "inbound"), ("*", "*")],
)
def test_calls_dialed_matches_the_number_as_the_settings_write_it(
    folder: Path, dialed: str, asked: str
) -> None:
    settings = (folder / "sd.toml").read_text()
    (folder / "sd.toml").write_text(settings.replace("+14155551234", dialed))
    with a_memory(folder) as memory:
        finish(memory, a_record("c0", 0, dialed=dialed))
        memory.submit(lambda c: None).result(10)
        assert "c0" in [
            row["id"] for row in json.loads(output_of(folder, "calls", "--dialed", asked, "--json"))
        ]
        assert json.loads(output_of(folder, "calls", "--dialed", "+14155559999", "--json")) == []


def test_forget_without_a_database_deletes_lines_of_the_record_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    settings = (folder / "sd.toml").read_text()
    (folder / "sd.toml").write_text(re.sub("memory = .*", 'memory = { url = "off" }', settings))
    (folder / "calls.jsonl").write_text(json.dumps({"call": "c", "caller": ANNA}) + "\n")
    assert output_of(folder, "forget", ANNA, "--yes") == "1 lines of the records and 0 spoken texts deleted\n"
    assert (folder / "calls.jsonl").read_bytes() == b""
    (folder / "calls.jsonl").unlink()
    result = run(folder, "forget", ANNA, "--yes")
    assert (result.exit_code, result.stdout, result.stderr.splitlines()) == (
        0,
        "",
        [
            'memory.url is "off": messages and recordings stay until you delete them',
            "calls.jsonl: no such file (records, relative to this folder)",
        ],
    )


def test_forget_deletes_nothing_if_the_record_file_cannot_be_rewritten(
    open_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(settings: object, caller: str) -> None:
        raise PermissionError(13, "Permission denied", "calls.jsonl")

    monkeypatch.setattr("proxy.services.erasure.erase_caller", broken)
    result = run(open_memory, "forget", ANNA, "--yes")
    assert (result.exit_code, "Permission denied: 'calls.jsonl'" in result.stderr) == (1, True)
    assert len(json.loads(output_of(open_memory, "calls", "--json"))) == 5


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
def test_a_missing_disabled_or_broken_database_is_a_one_line_error(folder: Path, command: list[str]) -> None:
    result = run(folder, *command)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "there is no database yet" in result.stderr
    (folder / "sd.toml").write_text(TEXT.replace("sqlite:///FOLDER/screendoor.db", "off"))
    assert 'memory.url is "off"' in run(folder, *command).stderr
    (folder / "sd.toml").write_text(TEXT.replace("FOLDER", str(folder)))
    (folder / "screendoor.db").write_text("no database" * 99)
    result = run(folder, *command)
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
def test_commands_on_stored_data_run_without_the_secrets_of_the_settings(
    open_memory: Path, command: list[str]
) -> None:
    settings = (open_memory / "sd.toml").read_text() + SECRETS
    trunk = 'username = "me", password = "env:TRUNK_PASSWORD", outbound'
    (open_memory / "sd.toml").write_text(settings.replace("outbound", trunk))
    output_of(open_memory, "contacts", "add", ANNA)
    output_of(open_memory, *command)


def test_commands_that_use_secrets_name_every_missing_one(open_memory: Path) -> None:
    (open_memory / "sd.toml").write_text((open_memory / "sd.toml").read_text() + SECRETS)
    tested = run(open_memory, "notify", "--test")
    checked = CliRunner().invoke(main, ["check-config", str(open_memory / "sd.toml")])
    ran = CliRunner().invoke(main, ["run", "--config", str(open_memory / "sd.toml")])
    for result in (tested, checked, ran):
        assert result.exit_code == 2
        for name in ("CRM_URL", "CRM_NEW", "NTFY_URL", "DOOR_TOKEN", "BOARD_TOKEN"):
            assert f"the environment variable {name}" in result.stderr


def test_a_database_url_from_the_environment_is_required_by_stored_data_commands(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sd.toml").write_text(re.sub(r'"sqlite.*"', '"env:DOOR_DB"', TEXT))
    result = run(folder, "contacts", "list")
    assert (result.exit_code, "the environment variable DOOR_DB" in result.stderr) == (2, True)
    monkeypatch.setenv("DOOR_DB", f"sqlite:///{folder}/other.db")
    output_of(folder, "contacts", "add", ANNA)
    assert (folder / "other.db").exists()


def test_invalid_settings_are_reported(folder: Path) -> None:
    (folder / "sd.toml").write_text("[x]")
    assert run(folder, "calls").exit_code == 2
    (folder / "sd.toml").write_text(TEXT + 'screening = { block = ["nobody"] }\n')
    result = run(folder, "try", ANNA)
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
def test_a_database_error_during_a_command_is_one_line(
    open_memory: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(open_memory)
    (open_memory / "many.csv").write_text("Name,Phone\nGrace,+14155550142\n")
    with closing(sqlite3.connect(open_memory / "screendoor.db")) as damaged:
        damaged.execute("DROP TABLE entries")
        damaged.commit()
    result = run(open_memory, *command)
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: sqlite:///{open_memory}/screendoor.db: no such table: entries\n",
    )


def test_a_full_disk_under_standard_output_is_a_one_line_error(open_memory: Path) -> None:
    environment = os.environ | {"SCREENDOOR_CONFIG": str(open_memory / "sd.toml")}
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
def test_read_only_commands_do_not_wait_for_a_write_transaction(open_memory: Path, command: str) -> None:
    with closing(sqlite3.connect(open_memory / "screendoor.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert run(open_memory, *command.replace("KEPT", str(open_memory)).split()).exit_code == 0
        other.execute("DELETE FROM calls")
        other.execute("COMMIT")


def test_a_table_not_for_a_terminal_has_one_line_per_row_and_aligned_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table(("call", "caller", "why"), [("c1", "李 Grace", "x" * 300), ("c2", None, "[b]two\nlines")], None)
    assert capsys.readouterr().out.splitlines() == [
        f"call  caller    {'why':<300}",
        f"c1    李 Grace  {'x' * 300}",
        f"c2              {'[b]two?lines':<300}",
    ]


def test_characters_outside_the_terminal_encoding_become_question_marks(open_memory: Path) -> None:
    add = ("contacts", "add", "+14155550123", "--name", "Łukasz Müller")
    assert run(open_memory, *add).exit_code == 0
    environment = os.environ | {
        "SCREENDOOR_CONFIG": str(open_memory / "sd.toml"),
        "PYTHONIOENCODING": "latin-1",
    }
    code = "from proxy.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "contacts", "list"],
        env=environment, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert "?ukasz Müller" in done.stdout.decode("latin-1")


def test_contacts_block_runs_as_a_process_beside_the_running_service(open_memory: Path) -> None:
    environment = os.environ | {"SCREENDOOR_CONFIG": str(open_memory / "sd.toml")}
    code = "from proxy.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "contacts", "block", "+14155550123"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "+14155550123 is now on the list block\n")
    with a_memory(open_memory) as memory:
        listed = memory.submit(lambda c: lists.find_entries(c, lists.BLOCK)).result(10)
        assert "+14155550123" in [row["number"] for row in listed]
