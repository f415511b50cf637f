"""The composition root on real sockets: everything starts, one call goes through, everything stops."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import struct
import subprocess
import sys
import wave
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
import uvloop
from sqlalchemy import select
from structlog.testing import capture_logs

from proxy import assembly
from proxy.app import App
from proxy.call.outcome import Outcome, Result
from proxy.call.record import CallRecord, LegRecord
from proxy.config import Settings, parse
from proxy.lab.audio import PHONE_HZ
from proxy.lab.scenes import PLAIN, Scene
from proxy.lab.scripts import talks
from proxy.lab.stage import Scenery, Stage
from proxy.log import configure
from proxy.media.kernel import flow, host
from proxy.media.speech import LEAVE_MESSAGE, RECORDED
from proxy.services.policy_setup import check
from proxy.sip.message import Request, parse_message
from proxy.transport.devcert import make_authority, write_certificates
from proxy.transport.flow import Flow, ListenOn, Target, TransportFailed
from proxy.transport.network import SocketNetwork
from proxy.ua.transactions import NullUser
from screening.contract import Caller, Ring
from screening.memory.schema import calls, lines
from tests.kit import messages
from tests.media.kernel.able import needs_kernel
from tests.sipp.ports import free_range

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[1]
SETTINGS = """
records = "FOLDER/records/calls.jsonl"
memory = { url = "sqlite:///FOLDER/screendoor.db" }
public = { host = "127.0.0.1", address = "127.0.0.1" }
listen = [ { transport = "udp", bind = "127.0.0.1:PORT" } ]
media = { bind = "127.0.0.1", ports = "RANGE" }
http = { bind = "127.0.0.1:0" }
log = { level = "error" }
trunk = [ { name = "lab", from = ["127.0.0.1"], outbound = "sip:127.0.0.1:9", probe_s = 0 } ]
agent = [ { name = "local", provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off" } ]
number = [ { dialed = "*", destinations = ["sip:phone@127.0.0.1:9", "tel:+14155559876"] } ]
""".replace("RANGE", free_range(100))

OPTIONS = b"""\
OPTIONS sip:x@127.0.0.1 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1;rport
From: <sip:y@127.0.0.1>;tag=1
To: <sip:x@127.0.0.1>
Call-ID: 1
CSeq: 1 OPTIONS
Max-Forwards: 70
Proxy-Authorization: Digest username="hidden"
Content-Type: application/sdp
Content-Length: 116

v=0
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:hidden
a=key-mgmt:mikey hidden
k=base64:hidden
x=1 inline:hidden
""".replace(b"\n", b"\r\n")


def settings(folder: Path, port: int = 0) -> Settings:
    return parse(
        SETTINGS.replace("PORT", str(port)).replace("FOLDER", str(folder)),
        {},
        file="test.toml",
        folder=folder,
    )


async def get(app: App, path: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://127.0.0.1:{app.http_port}{path}")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_call_over_each_transport_is_bridged(transport: str) -> None:
    scene = Scene("plain", "a wanted caller", scenery=Scenery(carrier_transport=transport), caller=talks)
    async with Stage(scene.scenery) as stage:
        await scene.play(stage)
        record = await stage.record
        assert record.outcome is not None
        assert record.outcome.result is Result.BRIDGED
        assert [leg.name for leg in record.legs] == ["caller", "agent", "phone"]
        metrics = (await get(stage.app, "/metrics")).text
        assert 'screendoor_calls_total{outcome="bridged"} 1.0' in metrics
        assert 'screendoor_sessions_total{result="matched"} 1.0' in metrics
        assert [peer.faults for peer in stage.peers] == [[], [], []]


async def test_an_expired_certificate_is_logged_and_in_the_metrics(tmp_path: Path) -> None:
    chain, key = make_authority().issue(["127.0.0.1"], starts=datetime(2020, 1, 1, tzinfo=UTC), days=90)
    (tmp_path / "sip.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(key)
    secured = '{ transport = "tls", bind = "127.0.0.1:0", certificate = "sip.pem", key = "file:key.pem" }'
    text = SETTINGS.replace(" ]\nmedia", f", {secured} ]\nmedia")
    text = text.replace("PORT", "0").replace("FOLDER", str(tmp_path))
    with capture_logs() as log:
        async with App(parse(text, {}, file="test.toml", folder=tmp_path)) as app:
            metrics = (await get(app, "/metrics")).text
    label = f'{{certificate="{tmp_path}/sip.pem"}}'
    assert f"screendoor_certificate_expires_timestamp_seconds{label} 1.5856128e+09" in metrics
    [line] = [line for line in log if "certificate" in line["event"]]
    assert line["log_level"] == "error"
    assert line["event"].startswith(f"{tmp_path}/sip.pem: the certificate expired on 2020-03-31: ")


@needs_kernel
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_call_with_audio_forwarded_by_the_kernel_is_bridged(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def play() -> None:
        scene = Scene("plain", "a wanted caller", scenery=Scenery(), caller=talks)
        async with Stage(scene.scenery) as stage:
            forwarder = stage.app._forwarder
            assert forwarder is not None
            sent_on = []

            def count(record: CallRecord) -> None:
                records = range(0, len(forwarder.memory) - flow.RECORD_BYTES, flow.RECORD_BYTES)
                sent_on.extend(
                    struct.unpack_from("=Q", forwarder.memory, at + flow.PACKETS)[0] for at in records
                )

            stage.records.append(count)
            assert "screendoor_kernel_streams 0.0" in (await get(stage.app, "/metrics")).text
            await scene.play(stage)
            record = await stage.record
            assert record.outcome is not None
            assert record.outcome.result is Result.BRIDGED
            assert sum(sent_on) > 100
            assert [peer.faults for peer in stage.peers] == [[], [], []]
            assert stage.caller_audio.hears(PHONE_HZ)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(play())


@needs_kernel
@pytest.mark.parametrize(("mode", "level"), [("", "info"), ('mode = "kernel",', "warning")])
async def test_with_unsupported_routing_rules_the_edge_relays_audio_and_logs_why(
    mode: str, level: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_BY_MORE", {15: "table"})  # every routing rule has a table
    text = SETTINGS.replace("PORT", "0").replace("FOLDER", str(tmp_path))
    text = text.replace("media = {", f"media = {{ {mode}")
    async with App(parse(text, {}, file="test.toml", folder=tmp_path)) as app:
        assert "screendoor_kernel_streams 0.0" in (await get(app, "/metrics")).text
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "kernel" in line)
    assert f"[{level}" in line
    assert "a rule of routing goes by table (see `ip rule`)" in line


NO_TABLE = (
    "a table in the kernel is refused (Operation not permitted):"
    " it takes Linux 6.6 or later and the capabilities CAP_BPF and CAP_NET_ADMIN"
)
HERE = f'relaying audio here, not in the kernel why="{NO_TABLE}" see=docs/media.md'
FALLS_BACK = f'media.mode = "kernel" falls back to "relay": {NO_TABLE}'


@needs_kernel
@pytest.mark.parametrize(
    ("mode", "told"),
    [("", [("info", HERE)]), ('mode = "kernel",', [("warning", FALLS_BACK)]), ('mode = "relay",', [])],
    ids=["as shipped", "kernel", "relay"],
)
def test_without_capabilities_the_edge_relays_audio_and_logs_one_line(
    mode: str, told: list[tuple[str, str]], tmp_path: Path
) -> None:
    """A subprocess of root drops its privileges. It warns only if the settings ask for the kernel by name."""
    text = SETTINGS.replace("PORT", "0").replace("media = {", f"media = {{ {mode}")
    text = text.replace("error", "info").replace("FOLDER/records/calls.jsonl", "")
    text = text.replace("sqlite:///FOLDER/screendoor.db", "off")
    (tmp_path / "edge.toml").write_text(text)
    ran = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED_EDGE, str(tmp_path / "edge.toml")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [line for line in ran.stderr.splitlines() if "kernel" in line]
    assert len(lines) == len(told), ran.stderr
    for line, (level, words) in zip(lines, told, strict=True):
        assert line.split()[1] == level
        assert words in line
    assert ran.stdout == "RelaySession Stream\n"


UNPRIVILEGED_EDGE = """
import asyncio, sys
from pathlib import Path
from proxy import log
from proxy.app import App
from proxy.config import load
from tests.kit.edge import a_number
from tests.media.kernel.privilege import become_nobody

async def start():
    async with App(settings) as app:
        session = app._media(a_number())
        session.offer("caller")
        print(type(session).__name__, type(session._stream("caller")).__name__)
        session.close()

settings = load(Path(sys.argv[1]), {})
log.configure(settings.log.level, settings.log.format)
become_nobody({2})  # CAP_DAC_READ_SEARCH: what is imported late may lie where nobody else may look
asyncio.run(start())
"""


def test_a_call_is_bridged_on_uvloop() -> None:
    """`screendoor run` uses uvloop where installed; all other tests run on plain asyncio."""

    async def play() -> None:
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        async with Stage(PLAIN["allow"].scenery) as stage:
            await PLAIN["allow"].play(stage)
            record = await stage.record
            assert (record.decision, record.trigger) == ("ALLOW", "refer")
            assert record.transcript

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())


async def test_an_unscreened_number_is_planned_to_ring_without_an_agent(tmp_path: Path) -> None:
    """The screener derives the plan from the settings; no agent is called."""
    text = SETTINGS.replace("[ { dialed", '[ { screen = "off", dialed')
    told = parse(text.replace("PORT", "0").replace("FOLDER", str(tmp_path)), {}, file="t", folder=tmp_path)
    async with App(told) as app:
        plan = await app.services.screener.plan(Caller("c", None, None, "*", "", datetime.now(UTC)))
    assert plan == Ring("level: nobody is screened (off)")
    invite = parse_message(OPTIONS)
    assert isinstance(invite, Request)
    number = assembly.routing(told).find(invite)
    assert number is not None
    assert number.agent is None


async def test_a_finished_call_is_one_line_in_the_record_file(tmp_path: Path) -> None:
    async with Stage(PLAIN["reject"].scenery) as stage:
        await PLAIN["reject"].play(stage)
        record = await stage.record
    async with App(settings(tmp_path)) as app:
        app._finished(record)
    [line] = (tmp_path / "records" / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    told = json.loads(line)
    assert told["outcome"]["result"] == "declined"
    assert told["decision"] == "REJECT"
    assert told["transcript"]


async def test_the_metrics_show_database_transcription_and_challenge_counters(tmp_path: Path) -> None:
    ended = [
        (Result.BRIDGED, True),
        (Result.CALLER_LEFT, False),
        (Result.VOICEMAIL, False),
        (Result.BRIDGED, None),
    ]
    async with App(settings(tmp_path)) as app:
        for n, (result, passed) in enumerate(ended):
            record = CallRecord(f"c{n}", None, "*", datetime.now(UTC), challenge_passed=passed)
            record.outcome = Outcome(result, "so")
            app._finished(record)
        shown = (await get(app, "/metrics")).text.splitlines()
    for result in ("passed", "left", "failed"):
        assert f'screendoor_challenges_total{{result="{result}"}} 1.0' in shown
    for result in ("done", "failed", "left"):
        assert f'screendoor_transcriptions_total{{result="{result}"}} 0.0' in shown
    assert {"screendoor_memory_failures_total 0.0", "screendoor_memory_lost_total 0.0"} <= set(shown)
    assert any(line.startswith("screendoor_memory_waiting ") for line in shown)


async def test_a_call_is_stored_when_it_begins_and_updated_when_it_ends() -> None:
    async with Stage(PLAIN["reject"].scenery) as stage:
        memory = stage.app.services.memory
        assert memory is not None
        told = asyncio.ensure_future(PLAIN["reject"].play(stage))
        while not (began := await memory.ask(lambda connection: connection.execute(select(calls)).all())):
            await asyncio.sleep(0)
        assert [(row.state, row.caller, row.dialed) for row in began] == [
            ("going on", "+13475550148", "+14155551234")
        ]
        await told
        record = await stage.record
        [row] = await memory.ask(lambda connection: connection.execute(select(calls)).all())
        assert (row.id, row.state, row.result) == (record.call, "over", "declined")
        said = await memory.ask(lambda connection: connection.execute(select(lines.c.said)).scalars().all())
        assert said == [line.text for line in record.transcript]


async def test_a_database_path_that_is_a_directory_is_an_error_at_startup(tmp_path: Path) -> None:
    (tmp_path / "screendoor.db").mkdir()
    with pytest.raises(OSError, match=r"screendoor\.db: Is a directory"):
        async with App(settings(tmp_path)):
            pass


async def test_health_is_503_draining_during_shutdown(tmp_path: Path) -> None:
    async with App(settings(tmp_path)) as app:
        assert (await get(app, "/healthz")).json()["status"] == "ok"
        await app.drain(0.0)
        closing = await get(app, "/healthz")
        assert (closing.status_code, closing.json()["status"]) == (503, "draining")


async def test_with_only_a_sip_agent_the_webhook_path_is_404(tmp_path: Path) -> None:
    async with App(settings(tmp_path)) as app:
        assert (await get(app, "/openai/webhook")).status_code == 404


async def test_a_port_in_use_is_an_error_at_startup_and_leaves_no_task(tmp_path: Path) -> None:
    async with App(settings(tmp_path)) as app:
        before = asyncio.all_tasks()
        with pytest.raises(TransportFailed, match="Address already in use"):
            async with App(settings(tmp_path, app.advertised.ports["udp"])):
                pass
        assert asyncio.all_tasks() <= before


async def test_a_media_address_of_another_machine_is_an_error_at_startup(tmp_path: Path) -> None:
    text = SETTINGS.replace("PORT", "0").replace("FOLDER", str(tmp_path))
    text = text.replace('media = { bind = "127.0.0.1"', 'media = { bind = "192.0.2.1"')
    with pytest.raises(TransportFailed, match="cannot receive audio on 192"):
        async with App(parse(text, {}, file="test.toml", folder=tmp_path)):
            pass


async def test_on_shutdown_a_lost_bye_is_retransmitted_until_answered(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.setblocking(False)

        async def answer_second_bye() -> None:
            await loop.sock_recvfrom(peer, 65535)  # lost
            again, source = await loop.sock_recvfrom(peer, 65535)
            bye = parse_message(again)
            assert isinstance(bye, Request)
            await loop.sock_sendto(peer, bye.reply(200).encode(), source)

        async with App(settings(tmp_path)) as app:
            hearing = asyncio.ensure_future(answer_second_bye())
            flow = await app.network.connect(Target("udp", peer.getsockname(), "127.0.0.1"))
            app.core.launch(messages.bye(messages.invite(), to_tag="x"), flow, NullUser())
        assert hearing.done()
        await hearing


def test_agent_settings_refused_by_the_screening_are_problem_lines(tmp_path: Path) -> None:
    wrong = SETTINGS.replace(
        'provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off"',
        'sip = "sip:p@127.0.0.1:9;transport=tls", srtp = "off", voice = "nobody", '
        'api_key = "env:KEY", webhook_secret = "env:SECRET"',
    )
    write_certificates(tmp_path, ["127.0.0.1"])
    listen = '{ transport = "tls", bind = "127.0.0.1:0", certificate = "fullchain.pem", key = "privkey.pem" }'
    wrong = wrong.replace('{ transport = "udp", bind = "127.0.0.1:PORT" }', listen)
    told = parse(
        wrong.replace("FOLDER", str(tmp_path)),
        {"KEY": "sk-x", "SECRET": "whsec_%"},
        file="test.toml",
        folder=tmp_path,
    )
    lines = [str(problem) for problem in check(told, "test.toml")]
    assert lines[0].startswith(
        "test.toml: agent[0]: expected an agent that can screen, got audio.output.voice"
    )
    assert lines[1].endswith("webhook secret is not base64 after whsec_")


async def test_sip_messages_are_logged_at_debug_without_credentials(tmp_path: Path) -> None:
    text = SETTINGS.replace('level = "error"', 'level = "debug"').replace("PORT", "0")
    told = parse(text.replace("FOLDER", str(tmp_path)), {}, file="test.toml", folder=tmp_path)
    heard = io.StringIO()
    configure("debug", "console", heard)
    async with App(told) as app:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.setblocking(False)
            phone.sendto(OPTIONS, ("127.0.0.1", app.advertised.ports["udp"]))
            await asyncio.wait_for(asyncio.get_running_loop().sock_recv(phone, 4096), 5)
    assert "OPTIONS sip:x@127.0.0.1 SIP/2.0" in heard.getvalue()
    assert "SIP/2.0 200 OK" in heard.getvalue()
    assert "hidden" not in heard.getvalue()


async def test_a_trunk_that_answers_its_probe_is_shown_as_up(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trunk:
        trunk.setblocking(False)
        trunk.bind(("127.0.0.1", 0))
        port = trunk.getsockname()[1]
        text = SETTINGS.replace('127.0.0.1:9", probe_s = 0', f'127.0.0.1:{port}", probe_s = 30')
        text = text.replace("PORT", "0").replace("FOLDER", str(tmp_path))
        async with App(parse(text, {}, file="test.toml", folder=tmp_path)) as app:
            assert (await get(app, "/healthz")).json()["peers"] == {"trunk:lab": "unknown"}
            data, source = await asyncio.wait_for(loop.sock_recvfrom(trunk, 4096), 5)
            probe = parse_message(data)
            assert isinstance(probe, Request)
            assert (probe.method, probe.uri) == ("OPTIONS", f"sip:127.0.0.1:{port}")
            trunk.sendto(probe.reply(200, to_tag="there").encode(), source)
            async with asyncio.timeout(5):
                while app.probes.peers() != {"trunk:lab": "up"}:
                    await asyncio.sleep(0)
            assert (await get(app, "/healthz")).json()["peers"] == {"trunk:lab": "up"}
            shown = f'screendoor_target_up{{peer="trunk:lab",target="udp:127.0.0.1:{port}"}} 1.0'
            assert shown in (await get(app, "/metrics")).text


async def test_bytes_that_are_not_utf8_are_kept_in_the_record(tmp_path: Path) -> None:
    record = CallRecord("c", None, "*", datetime.now(UTC), outcome=Outcome(Result.CALLER_LEFT, "left"))
    record.legs.append(LegRecord("caller", "sip:\udcff@h", record.began))
    async with App(settings(tmp_path)) as app:
        app._finished(record)
    told = json.loads((tmp_path / "records" / "calls.jsonl").read_text(encoding="utf-8"))
    assert told["legs"][0]["peer"] == "sip:\udcff@h"


class Registrar:
    """A trunk's registrar on a real socket: accepts every REGISTER and records its Expires."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.network = SocketNetwork()
        self.network.start(self)

    def received(self, flow: Flow, data: bytes) -> None:
        request = parse_message(data)
        assert isinstance(request, Request)
        self.asked.append(request.headers.get("Expires"))
        flow.send(request.reply(200, to_tag="r1").encode())

    def welcomes(self, flow: Flow) -> bool:
        return True

    def unframeable(self, flow: Flow, error: Exception) -> None:
        raise AssertionError(error)

    def lost(self, flow: Flow, error: TransportFailed) -> None:
        """Ignore it: the edge closed its connection."""


async def registering_settings(tmp_path: Path, registrar: Registrar) -> Settings:
    """Settings of an edge that registers with ``registrar``."""
    _, port = await registrar.network.listen(ListenOn("tcp", ("127.0.0.1", 0)))
    more = f'outbound = "sip:127.0.0.1:{port};transport=tcp", register = true'
    more += ', username = "u", password = "env:PW"'
    text = SETTINGS.replace('outbound = "sip:127.0.0.1:9"', more).replace("PORT", "0")
    text = text.replace("listen = [", 'listen = [ { transport = "tcp", bind = "127.0.0.1:0" },')
    text += 'phone = [ { name = "alice", password = "env:PW" } ]\n'
    return parse(text.replace("FOLDER", str(tmp_path)), {"PW": "pw"}, file="t", folder=tmp_path)


async def test_a_trunk_registration_is_shown_in_health_and_removed_at_shutdown(tmp_path: Path) -> None:
    registrar = Registrar()
    told = await registering_settings(tmp_path, registrar)
    async with App(told) as app:
        async with asyncio.timeout(5):
            while (health := (await get(app, "/healthz")).json())["registrations"]["lab"] != "registered":
                await asyncio.sleep(0.01)
        assert health["phones"] == {"alice": 0}
        assert 'screendoor_trunk_registered{trunk="lab"} 1.0' in (await get(app, "/metrics")).text
        await app.drain(0.0)
        assert 'screendoor_trunk_registered{trunk="lab"} 0.0' in (await get(app, "/metrics")).text
    assert registrar.asked == ["600", "0"]
    await registrar.network.close()


async def test_a_trunk_stays_registered_while_the_last_calls_drain(tmp_path: Path) -> None:
    """Behind a NAT, a trunk needs our registration to reach us, even for a BYE."""
    registrar = Registrar()
    async with App(await registering_settings(tmp_path, registrar)) as app:
        async with asyncio.timeout(5):
            while (await get(app, "/healthz")).json()["registrations"]["lab"] != "registered":
                await asyncio.sleep(0.01)
        hung_up = asyncio.Event()
        calls = app.registry._calls = {object(): asyncio.ensure_future(hung_up.wait())}  # type: ignore
        draining = asyncio.ensure_future(app.drain(5.0))
        await asyncio.sleep(0.1)
        assert registrar.asked == ["600"]
        assert (await get(app, "/healthz")).json()["registrations"]["lab"] == "registered"
        hung_up.set()
        calls.clear()
        await draining
        assert registrar.asked == ["600", "0"]
    assert registrar.asked == ["600", "0"]
    await registrar.network.close()


async def test_a_recording_is_complete_once_the_disk_thread_is_closed() -> None:
    scene = Scene("plain", "a wanted caller", scenery=Scenery(of_number='record = "on"'), caller=talks)
    async with Stage(scene.scenery) as stage:
        await scene.play(stage)
        record = stage.record.result()
        assert record.recording is not None
        assert stage.app._disk.close()
        with wave.open(record.recording) as file:
            assert file.getnchannels() == 2
            seconds = file.getnframes() / file.getframerate()
        assert round(seconds, 2) == record.recording_s > 3
        assert record.announced is not None
        assert stage.openai_api.spoken[:2] == [LEAVE_MESSAGE, RECORDED]
        assert stage.openai_api.spoken[2].startswith("Call from")


async def test_an_unusable_recording_folder_is_an_error_at_startup(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    here = SETTINGS.replace("PORT", "0").replace("FOLDER", str(tmp_path))
    text = here + f'screening = {{ record = "on", recording_dir = "{tmp_path}/file/recordings" }}'
    app = App(parse(text, {}, file="test.toml", folder=tmp_path))
    with pytest.raises(OSError, match="file/recordings"):
        await app.__aenter__()


async def test_an_unusable_voicemail_folder_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    text = SETTINGS.replace("PORT", "0").replace("FOLDER", str(tmp_path))
    text += f'screening = {{ voicemail_dir = "{tmp_path}/file" }}'
    async with App(parse(text, {}, file="test.toml", folder=tmp_path)):
        pass
    assert "voicemail not possible" in "".join(capsys.readouterr())
