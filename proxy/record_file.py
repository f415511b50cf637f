"""The file that the records of calls are appended to: whole lines, or nothing."""

from __future__ import annotations

import os
from pathlib import Path


class RecordFile:
    """Open for appending, its folder made if need be; raises OSError. As much of a TextIO as is needed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def write(self, text: str, /) -> int:
        """Append all of it; where the disk is full, raise OSError and leave nothing of it behind."""
        # What is no UTF-8 on the wire stands as "\udcff" in the record, which is good JSON.
        left = memoryview(text.encode("utf-8", "backslashreplace"))
        before = os.fstat(self._file.fileno()).st_size
        try:
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError:
            if os.fstat(self._file.fileno()).st_size > before:
                self._file.truncate(before)
            raise
        return len(text)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Take no more."""
        self._file.close()
