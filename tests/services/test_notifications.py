"""Notices of the running application: a whole call, a kill, and the test command."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner
from standardwebhooks.webhooks import Webhook

from proxy.cli import main
from proxy.config import parse
from proxy.lab.scenes import Scene
from proxy.lab.scripts import talks
from proxy.lab.stage import Scenery, Stage
from proxy.services import notifications
from tests.screening.notices.receiver import Receiver, answer
from tests.sipp.process import killed_with_parent

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[2]
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
BARE = """
public = { host = "sbc.example.com", address = "203.0.113.10" }
listen = [ { transport = "udp", bind = "127.0.0.1:0" } ]
trunk = [ { name = "lab", from = ["127.0.0.1"], outbound = "sip:127.0.0.1:9" } ]
agent = [ { name = "local", provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off" } ]
number = [ { dialed = "*", destinations = ["sip:phone@127.0.0.1:9"] } ]
"""
ENVIRON = {
    "GOOD": SECRET,
    "BAD": "whsec_c2hvcnQ=",
    "URL": "ntfy://topic",
    "NO_URL": "ntfi://topic",
}


def hook(url: str, secret: str) -> str:
    return f'[[notify]]\nname = "hook"\nwebhook = "{url}"\nsecret = {secret}\n'


def problems(tmp_path: Path, text: str) -> list[str]:
    settings = parse(BARE + text, ENVIRON, file="sd.toml", folder=tmp_path)
    return [str(each) for each in notifications.check(settings, "sd.toml")]


def test_valid_secrets_and_urls_give_no_problems(tmp_path: Path) -> None:
    told = hook("https://x.example", '["env:GOOD", "env:GOOD"]')
    assert problems(tmp_path, told + '[[notify]]\nname = "me"\napprise = "env:URL"\n') == []


def test_an_invalid_secret_or_url_is_reported_without_its_value(tmp_path: Path) -> None:
    told = hook("https://x.example", '"env:BAD"') + '[[notify]]\nname = "me"\napprise = "env:NO_URL"\n'
    told += '[[notify]]\nname = "two"\nwebhook = "https://x.example"\nsecret = ["env:GOOD", "env:BAD"]\n'
    assert problems(tmp_path, told) == [
        "sd.toml: notify[0].secret: expected whsec_ and the base64 of 24 to 64 random bytes,"
        " got something else",
        "sd.toml: notify[1].apprise: expected a URL that apprise knows, with all that its service needs,"
        " got something else",
        "sd.toml: notify[2].secret[1]: expected whsec_ and the base64 of 24 to 64 random bytes,"
        " got something else",
    ]


async def test_a_screened_call_is_delivered_signed_to_a_webhook_and_retried_after_a_500(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "hook.secret"
    secret.write_text(SECRET, encoding="utf-8")
    async with Receiver(answer(500), answer(204)) as receiver:
        text = "\n" + hook(receiver.url(), f'"file:{secret}"') + "transcript = true\n"
        scene = Scene("told", "a wanted caller", scenery=Scenery(of_number=text), caller=talks)
        async with Stage(scene.scenery) as stage:
            await scene.play(stage)
            record = await stage.record
            async with asyncio.timeout(20):
                while len(receiver.sent) < 2:  # the second is five seconds after the first
                    await asyncio.sleep(0.05)
                while 'event="call.screened",result="done"' not in (metrics := await _metrics(stage)):
                    await asyncio.sleep(0.05)
    assert 'screendoor_notices_total{event="call.screened",result="later"} 1.0' in metrics
    first, again = receiver.sent
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    event = Webhook(SECRET).verify(again.body, again.headers)
    assert event["type"] == "call.screened"
    data = event["data"]
    assert (data["call"], data["result"], data["decision"]) == (record.call, "bridged", "ALLOW")
    assert [line["text"] for line in data["transcript"]] == [line.text for line in record.transcript]


async def _metrics(stage: Stage) -> str:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://127.0.0.1:{stage.app.http_port}/metrics")).text


CHILD = """
import asyncio, sys, time
from screening.memory.database import Database
from screening.memory.store import Memory
from screening.notices.channel import Later
from screening.notices.dispatcher import Dispatcher
from screening.notices.stored_outbox import StoredOutbox
from screening.notices.target import Target
from tests.screening.memory.records import finish
from tests.screening.notices.records import record

class Down:
    concurrency = 1
    async def deliver(self, delivery):
        return Later("down")
    async def close(self):
        pass

async def main():
    memory = Memory(Database(sys.argv[1]), process="p1")
    memory.start()
    targets, outbox = [Target("t", Down())], StoredOutbox(memory)
    async with Dispatcher(targets, outbox, time.time, lambda low, high: low) as dispatcher:
        for n in range(1_000_000):
            told = record("unanswered", call=f"c{n}", decision=None, legs=[])
            dispatcher.finished(told)
            finish(memory, told)
            await asyncio.sleep(0.0003)

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 60, 200])
def test_after_sigkill_every_finished_call_has_its_notice(tmp_path: Path, after: int) -> None:
    file = tmp_path / "kept.db"
    child = subprocess.Popen(killed_with_parent([sys.executable, "-c", CHILD, f"sqlite:///{file}"]), cwd=ROOT)
    try:
        while _count(file, "SELECT count(*) FROM calls") < after:
            assert child.poll() is None
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert _count(file, "SELECT count(*) FROM calls") >= after
    untold = "SELECT count(*) FROM calls WHERE id NOT IN (SELECT call FROM notices WHERE state = 'waiting')"
    assert _count(file, untold) == 0


def _count(file: Path, query: str) -> int:
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            return int(database.execute(query).fetchone()[0])
    except sqlite3.OperationalError:  # not there yet
        return 0


class Hooked(BaseHTTPRequestHandler):
    status = 204
    got: list[dict[str, Any]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hooked() -> Iterator[str]:
    """A web server in a thread, for a command that runs its own event loop."""
    server = HTTPServer(("127.0.0.1", 0), Hooked)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    Hooked.got.clear()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def send_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> tuple[int, str]:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "sd.toml"
    file.write_text(BARE + text, encoding="utf-8")
    came = CliRunner().invoke(main, ["notify", "--test", "--config", str(file)])
    return came.exit_code, came.output


def test_notify_test_prints_the_answer_of_each_receiver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hooked: str
) -> None:
    monkeypatch.setenv("JSON", hooked.replace("http://", "json://"))
    text = hook(hooked, '"env:GOOD"') + '[[notify]]\nname = "me"\napprise = "env:JSON"\n'
    code, said = send_tests(tmp_path, monkeypatch, text)
    assert said == "hook: delivered, answered 204\nme: delivered, taken by the service\n"
    assert code == 0
    assert sorted(each["type"] for each in Hooked.got) == ["info", "test"]
    assert [each["title"] for each in Hooked.got if "title" in each] == ["Test notice"]


def test_notify_test_fails_if_a_receiver_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hooked: str
) -> None:
    monkeypatch.setattr(Hooked, "status", 401)
    code, said = send_tests(tmp_path, monkeypatch, hook(hooked, '"env:GOOD"'))
    assert (code, said) == (1, "hook: not delivered, answered 401\n")


def test_notify_test_without_receivers_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = send_tests(tmp_path, monkeypatch, "")
    assert code == 2
    assert "has no [[notify]]" in said


def test_check_config_lists_the_receivers_and_their_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = hook("http://127.0.0.1/", '"env:GOOD"') + '[[notify]]\nname = "me"\napprise = "env:URL"\n'
    send_tests(tmp_path, monkeypatch, text.replace("env:GOOD", "env:BAD"))
    file = str(tmp_path / "sd.toml")
    came = CliRunner().invoke(main, ["check-config", file])
    assert (came.exit_code, "notify[0].secret" in came.output) == (2, True)
    (tmp_path / "sd.toml").write_text(BARE + text, encoding="utf-8")
    came = CliRunner().invoke(main, ["check-config", file])
    assert came.exit_code == 0
    assert "  tells        hook, by webhook\n  tells        me, by apprise\n" in came.output
    assert "warning: notify hook: http:// sends who called in the clear: use https://" in came.output
