# SPDX-License-Identifier: GPL-2.0-or-later
"""Results of cases, for people or as TAP."""

from __future__ import annotations

import sys

from .boot import Ended
from .plan import BootPlan, Job
from .progress import Progress
from .verdict import Verdict


class Report:
    """One result a job, in the order in which they come."""

    def __init__(self, total: int, as_tap: bool, progress: Progress) -> None:
        self.total = total
        self.as_tap = as_tap
        self.progress = progress
        self.passed = 0
        self.failed = 0
        self.broken = 0
        if as_tap:
            print("TAP version 13", f"1..{total}", sep="\n", flush=True)

    def result(self, boot: BootPlan, job: Job, verdict: Verdict,
               ended: Ended) -> None:
        self.passed += verdict.good
        self.failed += not verdict.good and not verdict.broken
        self.broken += verdict.broken
        assert job.case is not None
        name = f"{job.case.name} [{boot.name} {job.qemu.label}]"
        # A # would start a directive in TAP.
        text = verdict.text.replace("#", "-").strip()
        self.progress.clear()
        if self.as_tap:
            number = self.passed + self.failed + self.broken
            print(f"{'' if verdict.good else 'not '}ok {number} {name}")
            print(f"# {text}")
        else:
            print(f"{'ok  ' if verdict.good else 'FAIL'} {name}: {text}")
        if not verdict.good:
            mark = "# " if self.as_tap else "     "
            print(f"{mark}shows: {job.case.shows}")
            print(f"{mark}logs: {ended.folder}")
        sys.stdout.flush()

    def finish(self) -> None:
        self.progress.clear()
        mark = "# " if self.as_tap else ""
        left = self.total - self.passed - self.failed - self.broken
        text = f"{mark}{self.passed} passed, {self.failed} failed"
        if self.broken:
            text += f", {self.broken} broken"
        if left:
            text += f", {left} not run"
        print(text, flush=True)
