"""The fuzz targets stand on atheris, the version of which for these interpreters has no wheel in our lock."""

import sys

collect_ignore = ["test_fuzz.py"] if sys.version_info >= (3, 12) else []
