"""The virtual environment of the Python peers, separate from ours."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(os.environ.get("BENCH_VENV", ROOT / ".venv-bench")).absolute()
"""Made by `make bench` from bench/requirements.txt."""


def program(name: str) -> str:
    """Return the path of a program in it; AssertionError if it does not exist."""
    path = HERE / "bin" / name
    assert path.exists(), f"{path} is not there: `make bench` installs it"
    return str(path)


def version(package: str) -> str:
    """Return the version of a package in it; AssertionError if it is not installed."""
    for found in HERE.glob(f"lib/python*/site-packages/{package}-*.dist-info"):
        return found.name.removesuffix(".dist-info").rpartition("-")[2]
    raise AssertionError(f"{package} is not in {HERE}: `make bench` installs it")
