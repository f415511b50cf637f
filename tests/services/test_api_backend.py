"""The API of the whole application, and its absence where it is off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from proxy.app import App
from proxy.config import parse
from tests.test_app import SETTINGS

pytestmark = pytest.mark.network

TOKEN = "t" * 32


def settings_text(folder: Path) -> str:
    return SETTINGS.replace("PORT", "0").replace("FOLDER", str(folder))


async def test_the_application_serves_the_api_if_a_token_is_configured(tmp_path: Path) -> None:
    text = settings_text(tmp_path) + 'api = { tokens = ["env:TOKEN"] }\n'
    settings = parse(text, {"TOKEN": TOKEN}, file="test.toml", folder=tmp_path)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(trust_env=False) as client:
        async with App(settings) as app:
            base = f"http://127.0.0.1:{app.http_port}"
            assert (await client.get(f"{base}/api/v1/calls")).status_code == 401
            kept = await client.get(f"{base}/api/v1/calls", headers=bearer)
            assert kept.json() == {"items": [], "next": None}
            entry = {"number": "+14155550100"}
            made = await client.post(f"{base}/api/v1/lists/block", json=entry, headers=bearer)
            assert made.status_code == 201
            tried = await client.post(f"{base}/api/v1/try", json=entry, headers=bearer)
            assert tried.json()["action"] == "reject"
            metrics = (await client.get(f"{base}/metrics")).text
            assert 'screendoor_api_refused_total{why="no token"} 1.0' in metrics
            asked = client.build_request("GET", f"{base}/api/v1/events", headers=bearer)
            stream = await client.send(asked, stream=True)
        assert "event: end" in [line async for line in stream.aiter_lines()]


async def test_without_a_token_the_api_paths_are_404(tmp_path: Path) -> None:
    settings = parse(settings_text(tmp_path), {}, file="test.toml", folder=tmp_path)
    async with App(settings) as app, httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{app.http_port}/api/v1/openapi.json")
        assert answer.status_code == 404


def test_importing_the_application_does_not_import_fastapi_or_sqlalchemy() -> None:
    code = (
        "import sys, proxy.app, proxy.cli; sys.exit('fastapi' in sys.modules or 'sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
