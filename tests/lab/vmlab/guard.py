# SPDX-License-Identifier: GPL-2.0-or-later
"""From exceptions to one line and an exit status."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable
from types import FrameType

from .errors import (EXIT_BROKEN, EXIT_INTERRUPTED, Broken, LabError,
                     NothingToRun)


def _terminated(number: int, _frame: FrameType | None) -> None:
    # Turned into an exception, so that the outer QEMU is ended on the way out.
    raise Broken(f"ended by {signal.Signals(number).name}")


def guarded(main: Callable[[], int], program: str) -> int:
    """Runs a program's main function and turns what goes wrong into a line
    and an exit status."""
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGHUP, _terminated)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Keeps the order of lines if stderr goes to the same file.
        sys.stdout.reconfigure(line_buffering=True)
    try:
        return main()
    except NothingToRun as error:
        print(f"{program}: nothing to run: {error}", file=sys.stderr)
        return error.code
    except LabError as error:
        kind = "broken: " if isinstance(error, Broken) else ""
        print(f"{program}: {kind}{error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print(f"\n{program}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as error:
        print(f"{program}: broken: {error}", file=sys.stderr)
    return EXIT_BROKEN


