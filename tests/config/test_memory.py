"""The database URL of the caller memory, and keeping its password secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic_core import PydanticCustomError

from proxy.config.memory import url
from proxy.config.paths import SettingsContext

SECRET = "postgresql://me:hidden@db.example.com/calls"


def context(folder: Path = Path()) -> SettingsContext:
    return SettingsContext(folder, {"DATABASE_URL": SECRET, "WRONG": "mysql://me:hidden@db/calls"})


@pytest.mark.parametrize(
    "text",
    [
        "off",
        "sqlite:///screendoor.db",
        "sqlite:////var/lib/s.db",
        "postgresql://me@db/calls",
        "postgres:///x",
    ],
)
def test_off_and_sqlite_or_postgresql_urls_without_a_password_are_accepted(text: str) -> None:
    assert url(text, context()) == text


def test_a_database_url_with_a_password_is_read_from_the_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{SECRET}\n", encoding="utf-8")
    assert url("env:DATABASE_URL", context()) == url("file:url", context(tmp_path)) == SECRET


@pytest.mark.parametrize(
    "wrong",
    [SECRET, "env:WRONG", "env:NOBODY", "mysql://me:hidden@db/calls", "sqlite:///", "screendoor.db", 1, ""],
)
def test_an_invalid_database_url_is_refused_without_showing_its_password(wrong: object) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        url(wrong, context())
    assert "hidden" not in f"{refused.value}{refused.value.context}"


def test_a_database_url_that_cannot_be_parsed_is_refused() -> None:
    with pytest.raises(PydanticCustomError):
        url("postgresql://[broken/calls", context())
