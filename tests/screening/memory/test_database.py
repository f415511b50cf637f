"""Opening, creating, migrating and refusing databases."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select, text

from screening.memory import migrations
from screening.memory.database import Database
from screening.memory.errors import Unavailable, Unusable
from screening.memory.schema import calls, metadata, voicemails
from tests.screening.memory.postgres import Postgres
from tests.screening.memory.records import AT

pytestmark = pytest.mark.network


def test_the_migrations_create_exactly_the_schema(url: str) -> None:
    with Database(url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_revisions_match_those_found_by_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.HERE))
    script = ScriptDirectory.from_config(config)
    assert [each.revision for each in script.walk_revisions()][::-1] == migrations.revisions()


def test_reopening_a_current_database_keeps_its_data(url: str) -> None:
    database = Database(url)
    row = {"id": "c1", "state": "over", "began": AT, "dialed": "*"}
    with database.connect() as connection, connection.begin():
        connection.execute(insert(calls), row)
    with database.connect() as connection, connection.begin():
        assert connection.execute(select(calls.c.began)).scalar_one() == AT


def test_a_read_transaction_neither_blocks_nor_waits_for_a_writer(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/s.db")
    row = {"id": "c1", "state": "over", "began": AT, "dialed": "*"}
    with database.transaction() as writes:
        writes.execute(insert(calls), row)
    with database.transaction(read_only=True) as reads:
        assert len(reads.execute(select(calls)).all()) == 1
        with database.transaction() as writes:
            writes.execute(insert(calls), row | {"id": "c2"})
            with database.transaction(read_only=True) as others:
                assert len(others.execute(select(calls)).all()) == 1
        assert len(reads.execute(select(calls)).all()) == 1, "as it was"
    with database.transaction(read_only=True) as reads:
        assert len(reads.execute(select(calls)).all()) == 2


def test_migrating_a_database_already_migrated_changes_nothing(url: str) -> None:
    with Database(url).connect() as connection:
        assert migrations.is_up_to_date(connection, "it")
        migrations.bring_up_to_date(connection, "it")
        assert migrations.is_up_to_date(connection, "it")


@pytest.mark.parametrize("at_once", [1, 4])
def test_data_of_the_first_schema_survives_migration_even_concurrently(url: str, at_once: int) -> None:
    database = Database(url)
    row = {"id": "c1", "state": "over", "began": AT, "dialed": "*"}
    message = {"call": "c1", "file": "/m/c1.wav", "seconds": 2.0, "left_at": AT}
    with database.transaction() as connection:
        connection.execute(insert(calls), row)
        connection.execute(insert(voicemails), message)
        connection.execute(text("alter table voicemails drop column message"))
        connection.execute(text("alter table entries drop column calls"))
        connection.execute(text("drop table wire"))
        connection.execute(text("drop index calls_by_cost"))
        connection.execute(text("update alembic_version set version_num = '0001'"))

    def opened(_: int) -> list[tuple[object, ...]]:
        kept = select(calls.c.id, voicemails.c.seconds, voicemails.c.message)
        with Database(url).transaction(read_only=True) as connection:
            joined = connection.execute(kept.join(voicemails, voicemails.c.call == calls.c.id))
            return [tuple(row) for row in joined]

    with ThreadPoolExecutor(at_once) as threads:
        assert list(threads.map(opened, range(at_once))) == [[("c1", 2.0, None)]] * at_once
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_several_databases_can_be_created_concurrently(tmp_path: Path) -> None:
    def made(n: int) -> list[object]:
        with Database(f"sqlite:///{tmp_path}/{n}.db").connect() as connection:
            return list(connection.execute(select(calls)))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(made, range(8))) == [[]] * 8


def test_a_schema_of_a_later_version_is_refused_with_an_explanation(url: str) -> None:
    database = Database(url)
    with database.connect() as connection, connection.begin():
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(Unusable, match=r"a later version of Screendoor \(its schema is 9999, .* to 0004\)"):
        database.connect()


def test_the_database_file_has_mode_0600_and_its_folder_0700(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path}/kept/s.db").connect().close()
    assert os.stat(tmp_path / "kept").st_mode & 0o777 == 0o700
    assert os.stat(tmp_path / "kept" / "s.db").st_mode & 0o777 == 0o600


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(b"this is a letter, not a database " * 1000)
    with pytest.raises(Unusable, match="file is not a database"):
        Database(f"sqlite:///{tmp_path}/s.db").connect()


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, why in (("file/s.db", "Not a directory|File exists"), (".", "Is a directory")):
        with pytest.raises(Unusable, match=why):
            Database(f"sqlite:///{tmp_path}/{place}").connect()


@pytest.mark.parametrize("wrong", ["mysql://x/y", "nonsense"])
def test_a_url_with_an_unsupported_scheme_is_refused(wrong: str) -> None:
    with pytest.raises(Unusable):
        Database(wrong)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_server_with_an_encoding_other_than_utf8_is_refused(postgres: Postgres, encoding: str) -> None:
    """SQL_ASCII is the encoding of servers that were set up without a locale."""
    url = postgres.create(f"of_{encoding.lower()}", "-E", encoding, "-T", "template0", "--locale=C")
    with pytest.raises(Unusable, match=f"keeps text as {encoding}, UTF8 is needed: CREATE DATABASE"):
        Database(url).connect()


def test_text_is_stored_as_utf8_whatever_pgclientencoding_says(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    row = {"id": "c1", "state": "over", "began": AT, "dialed": "*", "caller_name": "Łukasz 李"}
    with Database(url).transaction() as connection:
        connection.execute(insert(calls), row)
        assert connection.execute(select(calls.c.caller_name)).scalar_one() == "Łukasz 李"


def test_an_unreachable_server_is_unavailable_and_no_password_is_shown(tmp_path: Path) -> None:
    database = Database(f"postgresql://me:hidden@/x?host={tmp_path}")
    with pytest.raises(Unavailable, match="No such file") as away:
        database.connect()
    assert "hidden" not in f"{away.value}{database.name}"
