"""Fixtures that run each memory test on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from screening.memory.database import Database
from screening.memory.store import Memory
from tests.screening.memory.postgres import Postgres

NAMES = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with Postgres(folder / "s") as server:
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/kept/screendoor.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create(f"t{next(NAMES)}")


MakeMemory = Callable[..., Memory]


@pytest.fixture
def memory_of() -> Iterator[MakeMemory]:
    """A factory of memories, which are closed after the test."""
    made: list[Memory] = []

    def make(url: str, *, start: bool = True, **told: object) -> Memory:
        # type: ignore[arg-type]
        memory = Memory(Database(url), process=str(told.pop("process", "p1")), **told)
        made.append(memory)
        if start:
            memory.start()
        return memory

    yield make
    for memory in made:
        memory.close()


@pytest.fixture
def memory(url: str, memory_of: MakeMemory) -> Memory:
    return memory_of(url)
