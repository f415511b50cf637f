"""Skips the fuzz targets from Python 3.12 on: our lock file has no wheel of atheris for it."""

import sys

collect_ignore = ["test_fuzz.py"] if sys.version_info >= (3, 12) else []
