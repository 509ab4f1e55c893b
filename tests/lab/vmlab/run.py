# SPDX-License-Identifier: GPL-2.0-or-later
"""A run: several boots, one folder for all that they leave behind."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from .errors import Broken


class RunFolder:
    """Removed at the end unless something went wrong or it is to be kept."""

    def __init__(self, base: Path, keep: bool) -> None:
        self.keep = keep
        base = base.absolute()
        stamp = time.strftime("%Y%m%d-%H%M%S")
        self.path = base / f"run-{stamp}-{os.getpid()}"
        try:
            self.path.mkdir(parents=True)
        except OSError as error:
            raise Broken(f"cannot make {self.path}: {error.strerror} "
                         "(another place: --out DIR)") from error

    def boot(self, name: str) -> Path:
        return self.path / name

    def finish(self, good: bool) -> bool:
        """Returns whether the folder is still there."""
        if good and not self.keep:
            shutil.rmtree(self.path)
            return False
        return True
