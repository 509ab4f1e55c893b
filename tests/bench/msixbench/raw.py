# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads what the measuring programs print; rejects what is incomplete."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

MOST_US = 600e6                 # nothing that is timed takes ten minutes


class BadFigures(Exception):
    """Figures that are missing or make no sense; none is ever filled in."""


@dataclasses.dataclass
class Times:
    """Of one operation with so many vectors in use."""

    us: list[float] = dataclasses.field(default_factory=list)
    wall_us: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Calls:
    """To the host, for one operation."""

    what: str
    vectors: int
    set_irqs: int
    commits: int
    irqfds: int
    eventfds: int
    host_vectors: int


@dataclasses.dataclass(frozen=True)
class Timeline:
    """Times in microseconds since the first vectors fired."""

    length: float
    old: int                                    # vectors in use from the start
    unmasks: tuple[tuple[float, float, int], ...]   # from, to, vector
    arrivals: tuple[tuple[float, int], ...]


def parse(text: str) -> dict[str, Any]:
    """A program's JSON object."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BadFigures(f"no JSON: {error}") from error
    if not isinstance(data, dict):
        raise BadFigures("no JSON object")
    return data


def number(value: Any, what: str, low: float = 0.0,
           high: float = math.inf) -> float:
    """A number in that range."""
    # bool is an int to Python.
    if (not isinstance(value, (int, float)) or isinstance(value, bool)
            or not math.isfinite(value) or not low <= value <= high):
        raise BadFigures(f"{what} is no sensible number: {value!r}")
    return float(value)


def count(value: Any, what: str, low: int = 0) -> int:
    """A whole number."""
    if not isinstance(value, int):
        raise BadFigures(f"{what} is no whole number: {value!r}")
    return int(number(value, what, low))


def _list(data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    if not isinstance(value, list) or not value:
        raise BadFigures(f"'{key}' is missing or empty")
    return value


def _object(value: Any, what: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict) or not set(keys) <= value.keys():
        raise BadFigures(f"{what} has not all of {', '.join(keys)}: {value!r}")
    return value


def dynamic(data: dict[str, Any], expected: bool) -> None:
    """The host must be what its kernel is known to be."""
    if data.get("dynamic") is not expected:
        raise BadFigures(f"'dynamic' is {data.get('dynamic')!r} instead of "
                         f"{expected}")


def times(data: dict[str, Any], wanted: dict[str, set[int]],
          ) -> dict[tuple[str, int], Times]:
    """By operation and vectors; all that are wanted must be there."""
    found: dict[tuple[str, int], Times] = {}
    for item in _list(data, "times"):
        _object(item, "a time", ("what", "vectors", "us", "wall_us"))
        key = (str(item["what"]), count(item["vectors"], "'vectors'"))
        mine = found.setdefault(key, Times())
        name = f"the time of {key[0]} with {key[1]} vectors"
        mine.us += [number(us, name, 0, MOST_US) for us in _list(item, "us")]
        mine.wall_us.append(number(item["wall_us"], name, 0, MOST_US))
    for what, sizes in wanted.items():
        missing = sizes - {n for w, n in found if w == what}
        if missing:
            raise BadFigures(f"no time of {what} with "
                             f"{', '.join(map(str, sorted(missing)))} vectors")
    # There must be a time for each vector.
    for (what, vectors), mine in found.items():
        if what == "add" and len(mine.us) % vectors:
            raise BadFigures(f"{len(mine.us)} times of {vectors} new vectors")
    return found


def memory(data: dict[str, Any], wanted: int) -> float:
    """Bytes for each vector in use beside the first."""
    item = _object(data.get("memory"), "memory", ("vectors", "one", "all"))
    vectors = count(item["vectors"], "'vectors'", 2)
    if vectors != wanted:
        raise BadFigures(f"memory of {vectors} vectors instead of {wanted}")
    one = count(item["one"], "'one'", 1)
    # A vector frees no memory: a negative figure is about something else.
    return (count(item["all"], "'all'", one) - one) / (vectors - 1)


def calls(data: dict[str, Any]) -> list[Calls]:
    """In the order in which they were made."""
    keys = tuple(field.name for field in dataclasses.fields(Calls))
    found = []
    for item in _list(data, "calls"):
        _object(item, "a count of calls", keys)
        found.append(Calls(str(item["what"]), *(
            # A simulated mediated device has no account of host vectors.
            count(item[key], f"'{key}'", -1 if key == "host_vectors" else
                  -10 if key == "eventfds" else 0)
            for key in keys[1:])))
    return found


def some_times(data: dict[str, Any], key: str) -> list[float]:
    """A plain list of times, not empty."""
    return [number(us, f"'{key}'", 0, MOST_US) for us in _list(data, key)]


def latencies(data: dict[str, Any], wanted: int) -> list[float]:
    """Of so many interrupts."""
    found = some_times(data, "latency_us")
    if len(found) != wanted:
        raise BadFigures(f"{len(found)} latencies instead of {wanted}")
    return found


def timeline(data: dict[str, Any]) -> Timeline:
    """With its times made to begin at 0."""
    item = _object(data.get("timeline"), "the timeline",
                   ("began", "ended", "old", "unmasks", "arrivals"))
    began = number(item["began"], "'began'")
    length = number(item["ended"], "'ended'", began) - began

    def moment(value: Any) -> float:
        return number(value, "a moment", began, began + length) - began

    try:
        unmasks = tuple((moment(start), moment(end), count(n, "a vector"))
                        for start, end, n in _list(item, "unmasks"))
        arrivals = tuple((moment(at), count(n, "a vector"))
                         for at, n in _list(item, "arrivals"))
    except (TypeError, ValueError) as error:
        raise BadFigures(f"the timeline is garbled: {error}") from error
    return Timeline(length, count(item["old"], "'old'", 1), unmasks, arrivals)
