"""API authentication: bearer tokens, and rate limits on guesses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from structlog.testing import capture_logs

from proxy.transport.log_limit import LINES_PER_MINUTE
from proxy.web.api.access import FREE_GUESSES, GUESS_DELAY_S, WINDOW_S, Access, Token
from proxy.web.api.problem import Problem

pytestmark = pytest.mark.virtual

WRITER, READER = Token("me", "w" * 32, True), Token("dashboard", "r" * 32, False)


def access() -> Access:
    return Access([WRITER, READER], lambda: asyncio.get_running_loop().time())


def request(authorization: bytes | None, address: str = "192.0.2.1") -> Request:
    headers = [] if authorization is None else [(b"authorization", authorization)]
    return Request({"type": "http", "headers": headers, "client": (address, 5)})


async def refused(door: Access, authorization: bytes | None, address: str = "192.0.2.1") -> Any:
    with pytest.raises(Problem) as caught:
        await door.reader(request(authorization, address))
    return caught.value


async def test_a_valid_token_identifies_its_holder_and_a_read_token_may_not_write() -> None:
    door = access()
    assert await door.reader(request(b"Bearer " + b"w" * 32)) is WRITER
    assert await door.reader(request(b"bearer  " + b"r" * 32)) is READER
    assert await door.writer(request(b"Bearer " + b"w" * 32)) is WRITER
    with pytest.raises(Problem) as caught:
        await door.writer(request(b"Bearer " + b"r" * 32))
    assert caught.value.status_code == 403


@pytest.mark.parametrize("given", [None, b"", b"Basic d3c6", b"Bearer", b"Bearer  ", b"w" * 32])
async def test_a_request_without_a_bearer_token_is_401(given: bytes | None) -> None:
    problem = await refused(access(), given)
    assert (problem.status_code, problem.headers) == (401, {"WWW-Authenticate": 'Bearer realm="screendoor"'})


@given(st.binary(max_size=80))
async def test_any_other_token_is_401(guess: bytes) -> None:
    if guess.strip().decode("latin-1").strip() in ("w" * 32, "r" * 32):
        return
    assert (await refused(access(), b"Bearer " + guess)).status_code == 401


async def test_token_guesses_are_delayed_and_counted_while_valid_tokens_still_pass() -> None:
    door, clock = access(), asyncio.get_running_loop().time
    with capture_logs() as logs:
        for _ in range(FREE_GUESSES):
            assert (await refused(door, b"Bearer guess")).status_code == 401
        began = clock()
        problem = await refused(door, b"Bearer guess")
    assert (problem.status_code, problem.headers) == (429, {"Retry-After": "61"})
    assert clock() - began == GUESS_DELAY_S
    assert await door.reader(request(b"Bearer " + b"w" * 32)) is WRITER
    assert (await refused(door, b"Bearer guess", "192.0.2.2")).status_code == 401
    assert door.counts == {"wrong token": FREE_GUESSES + 2, "slowed": 1}
    assert [line["event"] for line in logs] == ["api token refused", "api tokens are guessed"]
    assert not any(
        "guess" in str(line.get(key)) for line in logs for key in line if key not in ("event", "guesses")
    )
    await asyncio.sleep(WINDOW_S)
    assert (await refused(door, b"Bearer guess")).status_code == 401


async def test_guesses_from_many_addresses_log_a_limited_number_of_lines() -> None:
    door = access()
    with capture_logs() as logs:
        for number in range(500):
            await refused(door, b"Bearer guess", f"2001:db8::{number:x}")
        assert len(logs) == LINES_PER_MINUTE
        await asyncio.sleep(61)
        await refused(door, b"Bearer guess", "192.0.2.1")
    assert len(logs) == LINES_PER_MINUTE + 1


async def test_the_number_of_remembered_addresses_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.web.api.access.MAX_ADDRESSES", 3)
    door = access()
    for n in range(10):
        await refused(door, b"Bearer guess", f"192.0.2.{n}")
        assert len(door._wrong) <= 3
