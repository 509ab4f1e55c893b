# SPDX-License-Identifier: GPL-2.0-or-later
"""Exit codes, and one exception for each that is not a result of a case."""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_BROKEN = 3
EXIT_SKIP = 77
EXIT_INTERRUPTED = 130


class LabError(Exception):
    """One line for the user, and the exit code it stands for."""

    code = EXIT_BROKEN


class Broken(LabError):
    """The lab itself does not work, so nothing was learnt about QEMU."""


class Usage(LabError):
    """The command line or a file that it names makes no sense."""

    code = EXIT_USAGE


class NothingToRun(LabError):
    """All is well, but the selection leaves nothing that could run."""

    code = EXIT_SKIP
