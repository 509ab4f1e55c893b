# SPDX-License-Identifier: GPL-2.0-or-later
"""What is going on: one rolling line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO


class Progress:
    """Writes to stderr: stdout belongs to results."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.rolling = self.stream.isatty()
        self.shown = ""
        self.since = 0.0

    def status(self, text: str) -> None:
        """What is being done now.  Called again and again with the same text
        while it lasts; on a terminal the seconds go up."""
        if text != self.shown:
            self.shown = text
            self.since = time.monotonic()
            if not self.rolling:
                print(text, file=self.stream, flush=True)
                return
        if self.rolling:
            seconds = int(time.monotonic() - self.since)
            line = f"{text} ({seconds} s)" if seconds >= 2 else text
            columns = shutil.get_terminal_size().columns
            print(f"\r\033[K{line[:columns - 1]}", end="", file=self.stream,
                  flush=True)

    def clear(self) -> None:
        """Room for a line that is to stay."""
        if self.rolling and self.shown:
            print("\r\033[K", end="", file=self.stream, flush=True)

    def line(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        print(text, file=self.stream, flush=True)
