# SPDX-License-Identifier: GPL-2.0-or-later
"""What the patched QEMU is to reach, and whether it does."""

from __future__ import annotations

import dataclasses
import statistics
from typing import TYPE_CHECKING

from . import plan, stats

if TYPE_CHECKING:
    from .report import View

HOLDS = "holds"
MISSED = "missed"
UNKNOWN = "not measured"


@dataclasses.dataclass(frozen=True)
class Target:
    """One comparison."""

    what: str
    where: str
    limit: float
    value: float | None
    verdict: str


def _target(what: str, where: str, limit: float,
            value: float | None) -> Target:
    if value is None:
        return Target(what, where, limit, None, UNKNOWN)
    return Target(what, where, limit, value,
                  HOLDS if value <= limit else MISSED)


def _flat(view: View, mode: str, kernel: str, who: str,
          vectors: int) -> float | None:
    """The last quarter of the new vectors beside the first."""
    curve = view.curve(mode, kernel, who, vectors)
    if not curve or len(curve) < 8:
        return None
    quarter = len(curve) // 4
    return stats.ratio(statistics.median(curve[-quarter:]),
                       statistics.median(curve[:quarter]))


MODES = {"qemu": "delivered by QEMU", "kvm": "with KVM",
         "guest": "seen by a Linux guest"}


def _new(view: View, kernel: str) -> list[Target]:
    limit = 1.3 if kernel == "6.12" else 3.0
    found = []
    for n in (n for n in view.sizes if n >= 64):
        for mode in ("qemu", "kvm"):
            value = view.median("new-sum", mode, kernel, plan.PATCHED, n)
            baseline = view.median("new-sum", mode, kernel, plan.BASELINE, n)
            found.append(_target(f"{n} new vectors in sum, to the baseline",
                                 f"{kernel}, {MODES[mode]}", limit,
                                 stats.ratio(value, baseline)))
    if kernel == "6.12" and max(view.sizes) >= 64:
        n = max(view.sizes)
        for mode in ("qemu", "kvm"):
            value = _flat(view, mode, kernel, plan.PATCHED, n)
            baseline = _flat(view, mode, kernel, plan.BASELINE, n)
            found.append(_target(
                f"the last quarter of {n} new vectors, to the first (the "
                f"baseline: {'?' if baseline is None else f'{baseline:.2f}'})",
                f"{kernel}, {MODES[mode]}", 1.25, value))
    return found


def _masks(view: View, kernel: str) -> list[Target]:
    found = []
    for question, words in (("mask", "mask and unmask"),
                            ("mask-often", "mask and unmask, often")):
        for mode in ("qemu", "kvm", "guest"):
            sizes = view.vectors("nothing", mode) or [0]
            n = sizes[-1]
            nothing = view.median("nothing", mode, kernel, plan.PATCHED, n)
            value = view.median(question, mode, kernel, plan.PATCHED, n)
            found.append(_target(
                f"{words}, to two accesses that do nothing",
                f"{kernel}, {MODES[mode]}, {n} in use", 1.1,
                stats.ratio(value, 2 * nothing if nothing else None)))
    return found


def _rest(view: View, kernel: str) -> list[Target]:
    found = []
    n = max(view.sizes)
    for mode in ("qemu", "kvm"):
        value = view.median("enable", mode, kernel, plan.PATCHED, n)
        baseline = view.median("enable", mode, kernel, plan.BASELINE, n)
        found.append(_target(f"enable with {n} unmasked, to the baseline",
                             f"{kernel}, {MODES[mode]}", 1.3,
                             stats.ratio(value, baseline)))
    for question, mode in (("latency", "qemu"), ("irqfd", "guest")):
        found.append(_target(
            "delivery, to stock", f"{kernel}, {MODES[mode]}", 1.05,
            stats.ratio(view.median(question, mode, kernel, plan.PATCHED, 0),
                        view.median(question, mode, kernel, plan.STOCK, 0))))
    return found


def judge(view: View) -> list[Target]:
    """All of them, for each kernel."""
    return [target for kernel in view.kernels
            for part in (_new, _masks, _rest)
            for target in part(view, kernel)]
