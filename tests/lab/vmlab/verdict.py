# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether an outcome is the expected one."""

from __future__ import annotations

import dataclasses
import re

from . import tap


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Good or not, and a line about it."""

    good: bool
    text: str
    broken: bool = False    # nothing was learnt about QEMU


def judge(expected: str, got: tap.Outcome, stock: bool,
          says: str = "") -> Verdict:
    """A test that must fail on stock proves something only if it fails by an
    assertion of its own: a crash or a timeout could have any cause.  Where it
    is the death of QEMU itself that our patches prevent, that is said."""
    who = "stock QEMU" if stock else "QEMU"
    if got.kind == tap.BROKEN:
        return Verdict(False, f"broken: {got.reason}", True)
    if expected == "pass":
        if got.kind == tap.PASS:
            return Verdict(True, "passed")
        if got.kind == tap.FAIL:
            return Verdict(False, got.reason)
        return Verdict(False, f"{got.kind}: {got.reason}")
    if got.kind == tap.PASS:
        return Verdict(False, f"{who} did not fail")
    if expected == "die":
        if got.kind == tap.DIED:
            return Verdict(True, f"died as expected: {got.reason}")
        return Verdict(False, f"{who} was to die, but: "
                       f"{got.kind}: {got.reason}")
    if got.kind != tap.FAIL:
        return Verdict(False, f"{who} was to fail an assertion, but: "
                       f"{got.kind}: {got.reason}")
    if says and not re.search(says, got.reason):
        return Verdict(False, f"{who} failed another assertion than the one "
                       f"expected ({says}): {got.reason}")
    return Verdict(True, f"failed as expected: {got.reason}")
