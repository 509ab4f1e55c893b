# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads cases.toml; anything unknown in it is an error."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

from .errors import Usage
from .kernels import DEBIAN

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MODULE = re.compile(r"[A-Za-z0-9_-]+")
EXPECTATIONS = ("pass", "fail", "die")
MAX_VECTORS = 2048


@dataclasses.dataclass(frozen=True)
class Machine:
    """An emulated host; cases that name the same one share a boot."""

    name: str
    smp: int
    memory: int
    devices: dict[str, int]     # name: MSI-X vectors
    modules: tuple[str, ...]

    def address(self, device: str) -> str:
        """How the agent names a device: its vectors, and which of those that
        have as many."""
        vectors = self.devices[device]
        same = [name for name, n in self.devices.items() if n == vectors]
        return f"{vectors}.{same.index(device)}"


@dataclasses.dataclass(frozen=True)
class Case:
    """One program with arguments, and what is expected of it."""

    name: str
    shows: str
    program: str
    args: tuple[str, ...]
    machine: Machine
    devices: tuple[str, ...]    # of that machine, as the program counts them
    timeout: int
    kernels: tuple[str, ...]    # where ours (and any other QEMU) must pass
    stock: dict[str, str]       # kernel: what is expected of Debian's QEMU
    stock_says: str             # regex that stock's failed assertion matches
    guest: str = ""             # kernel of the guest that it boots, "" for none


@dataclasses.dataclass(frozen=True)
class Demo:
    """The main job's program."""

    program: str
    machine: Machine
    device: str
    rounds: int
    per_unmask: int             # interrupts
    per_unmask_stock: int       # the same for Debian's QEMU
    timeout: int


@dataclasses.dataclass(frozen=True)
class Suite:
    """All of cases.toml."""

    machines: dict[str, Machine]
    cases: tuple[Case, ...]
    preload: str                # the library that logs VFIO calls, "" for none
    demo: Demo | None


class _Table:
    """A table of the file, read key by key; what is left over is an error."""

    def __init__(self, file: Path, where: str, data: object) -> None:
        self.where = f"{file}: {where}"
        if not isinstance(data, dict):
            raise Usage(f"{self.where} must be a table")
        self.data: dict[str, Any] = dict(data)

    def error(self, text: str) -> Usage:
        return Usage(f"{self.where}: {text}")

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        if key not in self.data:
            if default is None:
                raise self.error(f"'{key}' is missing")
            return default
        value = self.data.pop(key)
        # bool is an int to Python, but not to a reader.
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(f"'{key}' must be of type {kind.__name__}")
        return value

    def number(self, key: str, low: int, high: int,
               default: int | None = None) -> int:
        value = self.take(key, int, default)
        if not low <= value <= high:
            raise self.error(f"'{key}' must be from {low} to {high}")
        return value

    def strings(self, key: str, default: list[str] | None = None,
                ) -> tuple[str, ...]:
        value = self.take(key, list, default)
        for item in value:
            if not isinstance(item, str):
                raise self.error(f"'{key}' must be a list of strings")
        if key != "args" and len(set(value)) != len(value):
            raise self.error(f"'{key}' names something twice")
        return tuple(value)

    def finish(self) -> None:
        if self.data:
            raise self.error("unknown key " + ", ".join(
                f"'{key}'" for key in sorted(self.data)))


def _name(table: _Table, name: str) -> str:
    if not NAME.fullmatch(name):
        raise table.error(f"'{name}' is no name (small letters, digits, -)")
    return name


def _machine(file: Path, name: str, data: object) -> Machine:
    table = _Table(file, f"machine '{name}'", data)
    _name(table, name)
    devices = table.take("devices", dict, {})
    for device, vectors in devices.items():
        _name(table, device)
        if (not isinstance(vectors, int) or isinstance(vectors, bool)
                or not 1 <= vectors <= MAX_VECTORS):
            raise table.error(f"device '{device}' must have from 1 to "
                              f"{MAX_VECTORS} vectors")
    machine = Machine(name, table.number("smp", 1, 64, 2),
                      table.number("memory", 512, 1 << 20, 3072),
                      dict(devices), table.strings("modules", ["vfio-pci"]))
    for module in machine.modules:
        if not MODULE.fullmatch(module):
            raise table.error(f"'{module}' is no module name")
    table.finish()
    return machine


def _on(table: _Table,
        machines: dict[str, Machine]) -> tuple[Machine, tuple[str, ...]]:
    name = table.take("machine", str)
    if name not in machines:
        raise table.error(f"there is no machine '{name}'")
    devices = table.strings("devices", [])
    for device in devices:
        if device not in machines[name].devices:
            raise table.error(f"machine '{name}' has no device '{device}'")
    return machines[name], devices


def _known(table: _Table, key: str, kernels: tuple[str, ...]) -> None:
    for kernel in kernels:
        if kernel not in DEBIAN:
            raise table.error(f"'{key}' has an unknown kernel '{kernel}'")


def _case(file: Path, data: object, machines: dict[str, Machine]) -> Case:
    table = _Table(file, "a case", data)
    name = table.take("name", str)
    table.where = f"{file}: case '{name}'"
    _name(table, name)
    machine, devices = _on(table, machines)
    shows = table.take("shows", str)
    if not shows or "\n" in shows:
        raise table.error("'shows' must be one line")
    kernels = table.strings("kernels", list(DEBIAN))
    _known(table, "kernels", kernels)
    stock = table.take("stock", dict, {})
    _known(table, "stock", tuple(stock))
    for kernel, expected in stock.items():
        if expected not in EXPECTATIONS:
            raise table.error(f"'stock' for {kernel} must be one of "
                              f"{', '.join(EXPECTATIONS)}")
    if not kernels and not stock:
        raise table.error("runs nowhere: no 'kernels' and no 'stock'")
    says = table.take("stock_says", str, "")
    if says and "fail" not in stock.values():
        raise table.error("'stock_says' without a stock that fails")
    try:
        re.compile(says)
    except re.error as error:
        raise table.error(f"'stock_says' is no regex: {error}") from error
    guest = table.take("guest", str, "")
    if guest:
        _known(table, "guest", (guest,))
    case = Case(name, shows, table.take("program", str),
                table.strings("args", []), machine, devices,
                table.number("timeout", 1, 24 * 3600, 120), kernels,
                dict(stock), says, guest)
    table.finish()
    return case


def _demo(file: Path, data: object, machines: dict[str, Machine]) -> Demo:
    table = _Table(file, "demo", data)
    machine, devices = _on(table, machines)
    if len(devices) != 1:
        raise table.error("'devices' must name one device")
    demo = Demo(table.take("program", str), machine, devices[0],
                table.number("rounds", 1, 1_000_000),
                table.number("per_unmask", 1, 1_000_000),
                table.number("per_unmask_stock", 1, 1_000_000),
                table.number("timeout", 1, 24 * 3600))
    table.finish()
    return demo


def load(file: Path) -> Suite:
    """The whole file, or a Usage error that says what is wrong with it."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Usage(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Usage(f"{file}: {error}") from error
    top = _Table(file, "top level", data)
    machines = {name: _machine(file, name, machine)
                for name, machine in top.take("machine", dict, {}).items()}
    cases = tuple(_case(file, case, machines)
                  for case in top.take("case", list, []))
    for case in cases:
        others = {other.guest for other in cases
                  if other.machine is case.machine and other.guest}
        if len(others) > 1:
            raise Usage(f"{file}: cases of machine '{case.machine.name}' have "
                        f"different guests: {', '.join(sorted(others))}")
    names = [case.name for case in cases]
    for name in names:
        if names.count(name) > 1:
            raise Usage(f"{file}: two cases are named '{name}'")
    demo = None
    if "demo" in top.data:
        demo = _demo(file, top.take("demo", dict), machines)
    preload = top.take("preload", str, "")
    top.finish()
    return Suite(machines, cases, preload, demo)
