# SPDX-License-Identifier: GPL-2.0-or-later
"""Medians and their spread."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Summary:
    """Of one figure that was measured several times."""

    count: int
    median: float
    low: float                  # a quarter of the values is below,
    high: float                 # a quarter above
    worst: float


def summary(values: Sequence[float]) -> Summary:
    """Of at least one value."""
    if not values:
        raise ValueError("no value to summarise")
    if any(not math.isfinite(value) for value in values):
        raise ValueError("a value is no number")
    low = high = float(values[0])
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(len(values), float(statistics.median(values)), low, high,
                   float(max(values)))


def ratio(value: float | None, base: float | None) -> float | None:
    """None where there is nothing to compare, or nothing that makes sense."""
    if value is None or base is None or base <= 0:
        return None
    return value / base
