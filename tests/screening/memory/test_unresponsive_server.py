"""PostgreSQL servers that are locked, vanish silently, or accept everything and never reply."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
import structlog
from sqlalchemy import select

from screening.memory import store
from screening.memory.database import LOCK_TIMEOUT_S, Database
from screening.memory.errors import Unavailable
from screening.memory.schema import calls
from screening.memory.store import Memory
from tests.screening.memory.conftest import MakeMemory
from tests.screening.memory.forwarder import Forwarder
from tests.screening.memory.postgres import Postgres
from tests.screening.memory.records import a_record, finish
from tests.sipp.process import until

pytestmark = pytest.mark.network

WAIT_S = 20.0
SOON_S = 0.3


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Like a schema change that waits for a backup, or a transaction somebody left open."""
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE calls, alembic_version IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


def kept(memory: Memory) -> list[str]:
    query = select(calls.c.id).order_by(calls.c.id)
    return list(memory.submit(lambda connection: connection.execute(query).scalars().all()).result(WAIT_S))


def test_calls_during_a_table_lock_are_written_in_order_afterwards(
    postgres: Postgres, memory_of: MakeMemory
) -> None:
    memory = memory_of(url := postgres.create("locked"))
    with structlog.testing.capture_logs() as logs, locked(url):
        finish(memory, a_record("c1"))
        until(lambda: memory.outage, "it is noticed", within_s=WAIT_S)
        finish(memory, a_record("c2"))
    until(lambda: not memory.outage, "it is written", within_s=WAIT_S)
    assert logs[0]["problem"] == "canceling statement due to lock timeout"
    assert kept(memory) == ["c1", "c2"]


def test_starting_does_not_wait_for_a_table_lock(postgres: Postgres, memory_of: MakeMemory) -> None:
    memory_of(url := postgres.create("start")).close()
    with structlog.testing.capture_logs(), locked(url):
        began = time.monotonic()
        memory = memory_of(url)
        assert time.monotonic() - began < 2 * LOCK_TIMEOUT_S
        assert memory.outage
    until(lambda: not memory.outage, "it is there", within_s=WAIT_S)


def test_starting_does_not_wait_for_a_silent_server(
    postgres: Postgres, memory_of: MakeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "START_S", SOON_S)
    postgres.create("silent")
    with structlog.testing.capture_logs() as logs, Forwarder(postgres.folder, b"pg_advisory") as way:
        memory = memory_of(way.url("silent"))
        finish(memory, a_record())
        with pytest.raises(Unavailable, match="does not answer"):
            memory.submit(lambda connection: None).result(WAIT_S)
        way.release()
        until(lambda: not memory.outage, "it is there", within_s=WAIT_S)
        assert kept(memory) == ["c1"]
        memory.close()
    assert [line["event"] for line in logs] == [
        "database unavailable: calls go on, and are written later",
        "database written again",
    ]


def test_a_database_found_unusable_after_the_start_is_an_outage(
    postgres: Postgres, memory_of: MakeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`start` does not raise; the outage is logged and the process goes on."""
    memory_of(url := postgres.create("newer")).close()
    with psycopg.connect(url) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    monkeypatch.setattr(store, "START_S", SOON_S)
    with structlog.testing.capture_logs(), Forwarder(postgres.folder, b"version_num") as way:
        memory = memory_of(way.url("newer"))
        way.release()
        until(lambda: "a later version" in memory.outage, "it is noticed", within_s=WAIT_S)
        with pytest.raises(Unavailable, match="a later version"):
            kept(memory)
        memory.close()


async def test_queries_to_a_silent_server_time_out(
    postgres: Postgres, memory_of: MakeMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.create("asked")
    with structlog.testing.capture_logs() as logs, Forwarder(postgres.folder) as way:
        memory = memory_of(way.url("asked"))
        way.hold()
        monkeypatch.setattr(store, "ANSWER_S", SOON_S)
        with pytest.raises(Unavailable, match="does not answer"):
            await memory.ask(lambda connection: connection.execute(select(calls.c.id)).all())
        finish(memory, a_record())
        monkeypatch.setattr(store, "ANSWER_S", WAIT_S)
        with pytest.raises(Unavailable, match="does not answer"):
            await memory.ask(lambda connection: None)  # at once
        way.release()
        await asyncio.to_thread(until, lambda: not memory.outage, "it answers", within_s=WAIT_S)
        assert await asyncio.to_thread(kept, memory) == ["c1"]
        memory.close()
    assert [line["event"] for line in logs] == [
        "database unavailable: calls go on, and are written later",
        "database written again",
    ]


def test_tcp_keepalive_and_user_timeout_detect_a_lost_server_in_half_a_minute(postgres: Postgres) -> None:
    postgres.create("gone")
    with (
        Forwarder(postgres.folder) as way,
        Database(way.url("gone")).connect() as connection,
        # type: ignore[union-attr]
        socket.socket(fileno=connection.connection.driver_connection.fileno()) as ours,
    ):
        told = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)]
        found = [ours.getsockopt(*each) for each in told]
        unread_ms = ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        ours.detach()
    assert (found, unread_ms) == ([1, 10], 20_000)


def test_connection_parameters_in_the_url_override_the_defaults(postgres: Postgres) -> None:
    postgres.create("own")
    with (
        Forwarder(postgres.folder) as way,
        Database(way.url("own") + "?keepalives_idle=60").connect() as connection,
    ):
        # type: ignore[union-attr]
        assert connection.connection.driver_connection.info.get_parameters()["keepalives_idle"] == "60"
