# SPDX-License-Identifier: GPL-2.0-or-later
"""A little of the Test Anything Protocol."""

from __future__ import annotations

import traceback
from collections.abc import Callable


class Skip(Exception):
    """The test cannot be done here; the reason is the text."""


class Tap:
    """Each test is a function; it passes unless it raises or returns faults."""

    def __init__(self) -> None:
        self.tests: list[tuple[str, Callable[[], list[str] | None]]] = []

    def add(self, name: str, test: Callable[[], list[str] | None]) -> None:
        self.tests.append((name, test))

    def run(self) -> int:
        print(f"1..{len(self.tests)}", flush=True)
        failed = 0
        for number, (name, test) in enumerate(self.tests, 1):
            # "#" starts a directive.
            name = name.replace("#", "")
            try:
                faults = test() or []
            except Skip as reason:
                print(f"ok {number} - {name} # SKIP {reason}", flush=True)
                continue
            except AssertionError as error:
                faults = [str(error) or traceback.format_exc()]
            except Exception:  # pylint: disable=broad-except
                # One broken test must not hide the others.
                faults = [traceback.format_exc()]
            failed += bool(faults)
            print(f"{'not ' if faults else ''}ok {number} - {name}")
            for fault in faults:
                for line in fault.rstrip().splitlines():
                    print(f"#   {line}")
            print(end="", flush=True)
        return 1 if failed else 0
