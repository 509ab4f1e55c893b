# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs on the emulated host: boots a Linux guest on the QEMU under test and
judges what vfio-msix-guest counts there.  Whoever else boots such a guest has
a Watch follow it.

Meanwhile info pic is asked who delivers each vector.  A guest that hangs, or
ends without a result, is reported as broken, not as a loss: an emulated
processor is the likelier cause.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from .boot import last_lines

# Long enough for a slow guest.
SILENT_LIMIT = 240.0
MONITOR_LIMIT = 120.0
END_LIMIT = 10.0
POLL = 0.3
MEMORY = 256
STATE = re.compile(r"^ +vector (\d+): .*\bstate=(\w+)", re.MULTILINE)
ASSIGNED = re.compile(r"\birqfd-assigned=(\d+)")


class GuestBroken(Exception):
    """Nothing was learnt about QEMU."""


class QemuFailed(Exception):
    """QEMU did not start, or did not answer."""


class QemuDied(Exception):
    """QEMU ended by a signal."""


@dataclasses.dataclass
class States:
    """What info pic has shown of the states of vectors."""

    told: bool = False          # this QEMU shows them
    assigned: int = 0
    most: int = 0               # in state irqfd at one time
    seen: set[int] = dataclasses.field(default_factory=set)

    def take(self, text: str) -> None:
        found = ASSIGNED.search(text)
        if not found:
            return
        self.told = True
        self.assigned = max(self.assigned, int(found[1]))
        kvm = {int(n) for n, state in STATE.findall(text) if state == "irqfd"}
        self.most = max(self.most, len(kvm))
        self.seen |= kvm

    def figures(self) -> dict[str, Any]:
        if not self.told:
            return {"irqfd-assigned": None}
        return {"irqfd-assigned": self.assigned, "kvm-most": self.most,
                "kvm-vectors": len(self.seen)}


@dataclasses.dataclass
class Course:
    """What the guest has reported."""

    sums: dict[str, Any] | None = None
    last: str = "it has not started"
    ended: str = ""             # what its init said at the end
    wants: str = ""             # what it asks for now
    rounds: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def take(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError as error:
            raise GuestBroken(
                f"the guest reported something unreadable: {line[:200]!r}"
            ) from error
        self.last = line
        if "sum" in event:
            self.sums = event
        elif "round" in event:
            self.rounds.append(event)
        elif "wants" in event:
            self.wants = str(event["wants"])
        elif event.get("guest", "up") != "up":
            self.ended = str(event["guest"])

    def result(self) -> dict[str, Any]:
        """The sums, if the guest came to its end as it should."""
        if self.ended != "status 0" or self.sums is None:
            raise GuestBroken(f"the guest could not measure: {self.ended}")
        return self.sums


def judge(sums: dict[str, Any], states: States) -> str:
    """What is wrong, "" if nothing is."""
    if not sums["raised"]:
        return "nothing was raised, so nothing could be lost"
    if sums["lost"]:
        return f"lost {sums['lost']} of {sums['raised']} interrupts"
    if sums["raised"] != sums["handled"]:
        return (f"raised {sums['raised']} interrupts, handled "
                f"{sums['handled']}")
    # Replays come after MSI-X was off.
    if sums["extra"] and not sums["disables"]:
        return (f"lost none, but delivered {sums['extra']} more than were "
                "raised")
    if not states.told:
        return "lost none, but info pic does not tell whether KVM delivered"
    if not states.assigned or not states.most:
        return "lost none, but no vector was seen with KVM"
    return ""


class Monitor:
    """As much of QMP as is needed."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes],
                 scale: float) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(MONITOR_LIMIT * scale)
        deadline = time.monotonic() + MONITOR_LIMIT * scale
        while True:
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        self.file = self.socket.makefile("rwb")
        self._read()
        self.command("qmp_capabilities")

    def _read(self) -> dict[str, Any]:
        line = self.file.readline()
        if not line:
            raise ConnectionError("QEMU closed it")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def command(self, name: str, **arguments: str) -> Any:
        """Its answer; events that come in between are of no interest."""
        request = {"execute": name, "arguments": arguments}
        self.file.write(json.dumps(request).encode() + b"\n")
        self.file.flush()
        while True:
            answer = self._read()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise QemuFailed(f"{name}: {answer['error']}")


class Lines:
    """Reads the lines that are appended to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = 0

    def read(self) -> list[str]:
        try:
            data = self.path.read_bytes()[self.at:]
        except FileNotFoundError:
            return []
        whole = data[:data.rfind(b"\n") + 1]
        self.at += len(whole)
        return [line for line in whole.decode("utf-8", "replace").splitlines()
                if line.strip()]


class Watch:
    """Follows a guest by what it reports, and by its vectors' states."""

    def __init__(self, out: Path, scale: float) -> None:
        self.console = out / "guest-console.log"
        self.lines = Lines(out / "guest.jsonl")
        self.limit = SILENT_LIMIT * scale
        self.deadline = time.monotonic() + self.limit
        self.course = Course()
        self.states = States()

    def broken(self, what: str) -> GuestBroken:
        """With what the guest said last, and its console."""
        lines = last_lines(self.console, 2)
        console = f"; its console: {' / '.join(lines)}" if lines else ""
        return GuestBroken(f"{what}; its last report: {self.course.last}"
                           + console)

    def read(self) -> None:
        """Takes what is new."""
        for line in self.lines.read():
            self.course.take(line)
            self.deadline = time.monotonic() + self.limit

    def check_alive(self) -> None:
        """Raises if it has been silent for too long."""
        if time.monotonic() > self.deadline:
            raise self.broken("the guest hangs: silent for "
                              f"{self.limit:.0f} s")


@dataclasses.dataclass
class Run:
    """One guest."""

    qemu: Path
    device: str                 # as vfio-pci's property
    guest: Path                 # the folder with its kernel and initramfs
    out: Path
    pci_id: str
    arguments: str              # of vfio-msix-guest, separated by commas
    scale: float = 1.0          # of all time limits

    def __post_init__(self) -> None:
        self.watch = Watch(self.out, self.scale)

    def command(self, monitor: Path) -> list[str]:
        """The QEMU under test.  The guest's vfio-pci wants an IOMMU, and that
        excludes a full in-kernel irqchip.  Two processors: one takes vectors
        into use while the other handles."""
        return [str(self.qemu), "-accel", "kvm", "-cpu", "host", "-smp", "2",
                "-m", str(MEMORY), "-machine", "q35,kernel-irqchip=split",
                "-nodefaults", "-no-user-config", "-display", "none",
                "-vga", "none", "-nic", "none", "-no-reboot",
                "-device", "intel-iommu,intremap=on,caching-mode=on",
                "-kernel", str(self.guest / "vmlinuz"),
                "-initrd", str(self.guest / "initramfs"),
                "-append", "console=ttyS0 intel_iommu=on panic=-1 quiet "
                f"lab.id={self.pci_id} lab.args={self.arguments}",
                "-serial", f"file:{self.out / 'guest-console.log'}",
                "-serial", f"file:{self.out / 'guest.jsonl'}",
                "-qmp", f"unix:{monitor},server=on,wait=off",
                "-device", f"vfio-pci,{self.device}"]

    def _look(self, monitor: Monitor) -> None:
        try:
            status = monitor.command("query-status")["status"]
            text = monitor.command("human-monitor-command",
                                   **{"command-line": "info pic"})
        except TimeoutError as error:
            raise QemuFailed("QEMU does not answer its monitor") from error
        except (ConnectionError, ValueError):
            # QEMU is about to end.
            return
        if status in ("internal-error", "guest-panicked"):
            raise self.watch.broken("the guest is not run any more "
                                    f"({status})")
        self.watch.states.take(text)

    def _follow(self, process: subprocess.Popen[bytes],
                monitor: Monitor) -> None:
        while True:
            # First, so that nothing it wrote before is missed.
            gone = process.poll() is not None
            self.watch.read()
            if gone:
                return
            if not self.watch.course.ended:
                self._look(monitor)
            self.watch.check_alive()
            time.sleep(POLL)

    def run(self) -> dict[str, Any]:
        """The guest's figures, or one of the exceptions above."""
        monitor = Path(os.environ.get("TMPDIR", "/tmp")) / "monitor"
        log = self.out / "qemu.log"
        with log.open("wb") as file:
            # pylint: disable-next=consider-using-with
            process = subprocess.Popen(self.command(monitor),
                                       stdin=subprocess.DEVNULL, stdout=file,
                                       stderr=file)
        try:
            try:
                self._follow(process, Monitor(monitor, process,
                                              self.scale))
            except (OSError, ValueError) as error:
                # The monitor breaks off before QEMU's end is seen.
                try:
                    process.wait(timeout=END_LIMIT * self.scale)
                except subprocess.TimeoutExpired:
                    raise QemuFailed(f"QEMU's monitor: {error}") from error
            status = process.wait()
        finally:
            process.kill()
            process.wait()
        if status < 0:
            raise QemuDied(f"signal {-status} ({signal.strsignal(-status)})")
        if status:
            why = last_lines(log, 1)
            raise QemuFailed(f"QEMU ended with status {status}"
                             + (f": {why[0]}" if why else ""))
        course = self.watch.course
        if not course.ended:
            raise self.watch.broken("the guest ended without a result")
        return {**course.result(), **self.watch.states.figures()}
