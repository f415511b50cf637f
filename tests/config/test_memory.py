"""The database URL of the caller memory, and keeping its password secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic_core import PydanticCustomError

from proxy.config.memory import url
from proxy.config.paths import SettingsContext

SECRET = "postgresql://me:hidden@db.example.com/calls"


def where(folder: Path = Path()) -> SettingsContext:
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
def test_a_url_of_either_kind_stands_in_the_settings(text: str) -> None:
    assert url(text, where()) == text


def test_one_with_a_password_stands_in_the_environment_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{SECRET}\n", encoding="utf-8")
    assert url("env:DATABASE_URL", where()) == url("file:url", where(tmp_path)) == SECRET


@pytest.mark.parametrize(
    "wrong",
    [SECRET, "env:WRONG", "env:NOBODY", "mysql://me:hidden@db/calls", "sqlite:///", "screendoor.db", 1, ""],
)
def test_anything_else_is_refused_and_no_password_is_shown(wrong: object) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        url(wrong, where())
    assert "hidden" not in f"{refused.value}{refused.value.context}"


def test_a_url_that_nobody_can_read_is_refused() -> None:
    with pytest.raises(PydanticCustomError):
        url("postgresql://[broken/calls", where())
