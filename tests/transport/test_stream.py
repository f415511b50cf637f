"""StreamFlow in virtual time, over a connection in memory: what a peer may do, and the limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.transport.flow import Flow, TransportFailed
from proxy.transport.stream import StreamFlow, StreamLimits
from proxy.transport.tls import ClientTls, ServerContext
from proxy.transport.tls_engine import TlsEngine
from tests.transport.recorder import Recorder, ca_file, options, server_tls
from tests.transport.wire import CountingTracker, Wire

pytestmark = pytest.mark.virtual


class Bench:
    """A flow on an in-memory connection, with its receiver and keeper."""

    def __init__(self, *, inbound: bool = True, engine: TlsEngine | None = None, **wire: Any) -> None:
        self.recorder = Recorder()
        self.count = CountingTracker()
        self.flow = StreamFlow(
            self.recorder, StreamLimits(), inbound=inbound, engine=engine, tracker=self.count
        )
        self.wire = Wire(self.flow, **wire)

    def receive(self, data: bytes) -> None:
        self.flow.data_received(data)

    async def loss(self) -> str:
        flow, error = await self.recorder.losses.get()
        assert flow is self.flow
        assert self.count.open == 0
        return str(error)


async def test_several_messages_in_one_segment_are_separated():
    bench = Bench()
    bench.receive(options("1") + options("2", b"body") + options("3"))
    assert bench.recorder.all_messages() == [options("1"), options("2", b"body"), options("3")]


async def test_message_received_byte_by_byte_is_one_message():
    bench = Bench()
    for byte in options("1", b"v=0\r\n"):
        bench.receive(bytes([byte]))
    assert bench.recorder.all_messages() == [options("1", b"v=0\r\n")]


async def test_connection_of_a_banned_peer_is_aborted_without_a_response():
    recorder, count = Recorder(), CountingTracker()
    recorder.barring = True
    flow = StreamFlow(recorder, StreamLimits(), inbound=True, engine=None, tracker=count)
    wire = Wire(flow)
    flow.data_received(options())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (flow.closed, wire.gone, bytes(wire.written), count.open) == (True, True, b"", 0)
    assert recorder.all_messages() == []


async def test_double_crlf_is_answered_by_a_single_crlf_rfc5626_4_4_1():
    bench = Bench()
    bench.receive(b"\r\n\r\n")
    bench.receive(options() + b"\r\n\r\n")
    assert bytes(bench.wire.written) == b"\r\n\r\n"
    assert bench.recorder.all_messages() == [options()]


async def test_single_crlf_is_not_answered_rfc5626_4_4_1():
    bench = Bench()
    bench.receive(options() + b"\r\n")
    assert bytes(bench.wire.written) == b""


async def test_unframeable_stream_is_reported_answered_and_closed():
    bench = Bench()
    bench.recorder.goodbye = b"SIP/2.0 400 Bad Request\r\n\r\n"
    bench.receive(options() + b"OPTIONS sip:x SIP/2.0\r\nCall-ID: 2\r\n\r\n")
    assert bench.recorder.all_messages() == [options()]
    flow, error = bench.recorder.faults.get_nowait()
    assert flow is bench.flow
    assert "Content-Length" in str(error)
    assert bench.flow.closed
    assert bytes(bench.wire.written) == bench.recorder.goodbye
    bench.receive(options("late"))
    assert "cannot be cut into messages" in await bench.loss()
    assert bench.recorder.all_messages() == []


async def test_overlong_header_is_a_513():
    bench = Bench()
    bench.receive(b"OPTIONS sip:x SIP/2.0\r\nX: " + b"x" * 70_000)
    assert bench.recorder.faults.get_nowait()[1].status == 513
    await bench.loss()


async def test_incomplete_message_before_close_is_a_loss_and_not_delivered():
    bench = Bench()
    bench.receive(options()[:20])
    bench.flow.eof_received()
    bench.wire.lose(None)
    assert await bench.loss() == "connection to 192.0.2.9 port 4000 was closed by the peer"
    assert bench.recorder.all_messages() == []
    with pytest.raises(TransportFailed, match="is closed"):
        bench.flow.send(options())


async def test_broken_connection_reports_the_error():
    bench = Bench()
    bench.wire.lose(ConnectionResetError(104, "Connection reset by peer"))
    assert "broke: [Errno 104] Connection reset by peer" in await bench.loss()


async def test_our_own_close_reports_no_loss_and_frees_the_connection():
    bench = Bench()
    bench.flow.send(options())
    bench.flow.close()
    bench.flow.close()
    await asyncio.sleep(0)
    assert bytes(bench.wire.written) == options()
    assert bench.flow.closed
    assert bench.count.open == 0
    assert bench.recorder.losses.empty()


async def test_unread_data_delays_the_close_by_five_seconds():
    bench = Bench(reading=False)
    bench.flow.send(options())
    bench.flow.close()
    await asyncio.sleep(4.9)
    assert bench.count.open == 1
    await asyncio.sleep(0.2)
    assert bench.count.open == 0
    assert bench.recorder.losses.empty()


async def test_peer_that_does_not_read_is_cut_off_at_one_mebibyte():
    bench = Bench(reading=False)
    message = options(body=b"x" * 60_000)
    while not bench.flow.closed:
        bench.flow.send(message)
    with pytest.raises(TransportFailed):
        bench.flow.send(message)
    assert 1024 * 1024 < bench.wire.waiting < 1024 * 1024 + len(message)
    assert "does not read" in await bench.loss()


async def test_stranger_sending_only_pings_is_closed_after_thirty_seconds():
    bench = Bench()
    bench.recorder.welcoming = False
    start = asyncio.get_running_loop().time()
    bench.receive(b"\r\n\r\n")
    assert await bench.loss() == "no message within 30 s"
    assert asyncio.get_running_loop().time() - start == 30


async def test_known_peer_that_sent_a_message_may_idle():
    bench = Bench()
    bench.receive(options())
    await asyncio.sleep(3600)
    assert not bench.flow.closed


async def test_known_peer_that_sent_a_ping_may_idle():
    bench = Bench()
    bench.receive(b"\r\n\r\n")
    await asyncio.sleep(3600)
    assert not bench.flow.closed


async def test_outbound_connection_may_idle():
    bench = Bench(inbound=False)
    await asyncio.sleep(3600)
    assert not bench.flow.closed


async def test_receiver_exception_is_logged_and_the_connection_stays_open():
    bench = Bench()
    bench.recorder.fails_on = options("1")
    with capture_logs() as logs:
        bench.receive(options("1") + options("2"))
    assert bench.recorder.all_messages() == [options("2")]
    assert [(line["event"], line["log_level"]) for line in logs] == [("receiver failed", "error")]


async def test_receiver_that_closes_gets_no_further_message_and_no_loss():
    bench, received = Bench(), list[bytes]()

    def close(flow: Flow, data: bytes) -> None:
        received.append(data)
        flow.close()

    bench.recorder.received = close  # type: ignore[method-assign]
    bench.receive(options("1") + options("2"))
    await asyncio.sleep(0)
    assert received == [options("1")]
    assert bench.recorder.losses.empty()


async def test_peer_gone_before_accept_has_no_address():
    bench = Bench(peer=None)
    assert bench.flow.remote == ("", 0)
    assert bench.flow.local == ("192.0.2.1", 5060)
    bench.wire.lose(None)
    await bench.loss()
    assert repr(bench.flow) == "<tcp  port 0 closed>"


async def test_unfinished_tls_handshake_is_closed_after_ten_seconds(tmp_path, authority):
    engine = ServerContext(server_tls(tmp_path, authority, "a.example")).engine()
    start = asyncio.get_running_loop().time()
    bench = Bench(engine=engine)
    failure = await bench.flow.opened
    assert str(failure) == "TLS handshake not finished within 10 s"
    assert asyncio.get_running_loop().time() - start == 10
    assert bench.recorder.losses.empty()  # the receiver never saw this flow
    await asyncio.sleep(0)
    assert bench.count.failures == [("timeout", str(failure))]


async def test_messages_and_pings_over_tls_are_separated(tmp_path, authority):
    bench = Bench(engine=ServerContext(server_tls(tmp_path, authority, "a.example")).engine())
    client = ClientTls(ca_file(tmp_path, authority)).engine("a.example")
    to_server = client.start()
    while to_server:
        bench.receive(to_server)
        answer, to_server = bytes(bench.wire.written), b""
        bench.wire.written.clear()
        if answer:
            to_server = client.feed(answer)[1]
    assert await bench.flow.opened is None
    bench.receive(client.send(options("1") + b"\r\n\r\n"))
    bench.flow.send(options("2"))
    assert client.feed(bytes(bench.wire.written))[0] == b"\r\n" + options("2")
    assert bench.recorder.all_messages() == [options("1")]
    bench.wire.written.clear()
    pongs = bench.flow.ping()
    assert client.feed(bytes(bench.wire.written))[0] == b"\r\n\r\n"
    bench.wire.written.clear()
    bench.receive(client.send(b"\r\n"))
    assert bench.flow.pongs == pongs + 1
    bench.receive(client.send(options("3")) + client.close())
    assert bench.recorder.all_messages() == [options("3")]
    assert "was closed by the peer" in await bench.loss()
    client.feed(bytes(bench.wire.written))
    assert client.ended  # our close_notify answered its own


async def test_invalid_client_hello_gets_an_alert_and_fails(tmp_path, authority):
    bench = Bench(engine=ServerContext(server_tls(tmp_path, authority, "a.example")).engine())
    bench.receive(b"\x16\x03\x01\x00\x05hello")
    failure = await bench.flow.opened
    assert str(failure).startswith("TLS handshake with peer failed")
    assert bench.wire.written[:1] == b"\x15"


async def test_stranger_gets_no_pong_and_is_closed_after_30_seconds_whatever_it_sends():
    bench = Bench()
    bench.recorder.welcoming = False
    bench.receive(b"\r\n\r\n" + options("1") + b"\r\n\r\n")
    assert bench.recorder.all_messages() == [options("1")]
    await asyncio.sleep(29)
    bench.receive(options("2"))
    assert bytes(bench.wire.written) == b""
    assert "no message within 30 s" in await bench.loss()


async def test_ping_on_an_outbound_connection_is_always_answered():
    bench = Bench(inbound=False)
    bench.recorder.welcoming = False
    bench.receive(b"\r\n\r\n")
    assert bytes(bench.wire.written) == b"\r\n"


async def test_message_not_finished_within_20_seconds_ends_the_connection():
    bench = Bench()
    bench.receive(options("1"))
    for byte in options("2")[:19]:
        bench.receive(bytes([byte]))
        await asyncio.sleep(1)
    assert not bench.flow.closed
    bench.receive(options("2")[19:20])
    await asyncio.sleep(1)
    assert "message not finished within 20 s" in await bench.loss()


async def test_each_message_in_pieces_has_its_own_time_limit():
    bench = Bench()
    rest = b""
    for number in range(10):
        whole = rest + options(str(number)) + options("next")[:10]
        bench.receive(whole)
        rest = options("next")[10:]
        await asyncio.sleep(15)
    bench.receive(rest)
    await asyncio.sleep(60)
    assert not bench.flow.closed
    assert len(bench.recorder.all_messages()) == 20


async def test_split_ping_is_not_an_unfinished_message():
    bench = Bench()
    bench.receive(options())
    bench.receive(b"\r\n\r")
    bench.receive(b"\n")
    await asyncio.sleep(60)
    assert not bench.flow.closed
    assert bytes(bench.wire.written) == b"\r\n"


async def test_outbound_connection_has_no_message_time_limit():
    bench = Bench(inbound=False)
    bench.receive(options("1")[:20])
    await asyncio.sleep(600)
    bench.receive(options("1")[20:])
    assert bench.recorder.all_messages() == [options("1")]
