#!/usr/bin/env python3
"""Make a development CA and a server certificate: `python certs/make.py [DIR] [--host NAME ...]`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from proxy.transport.devcert import main

if __name__ == "__main__":
    sys.exit(main())
