# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs on the emulated host: a domain from its start to its end, as somebody
with virsh sees it, and what has to hold on the way."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import guest, outer, paths
from .domain import Domain
from .hostdev import HostDevice
from .libvirtd import Libvirt, VirshFailed, confinement

# The host's driver of the device before and after the domain: one that takes
# any device whose ID it is given.
HOST_DRIVER = "uio_pci_generic"
# Long enough for a slow host.
LIMIT = 120.0
POLL = 0.5
# Virsh is slow on an emulated processor, and takes CPU time from the guest.
LOOK = 2.0
# Resizes to wait for: by then some vectors were in use.
LEAST_RESIZES = 3
COUNT = re.compile(r"\b([a-z-]+)=(\d+)")
# Of the figures of the guest, those that are added up.
SUMS = ("raised", "handled", "lost", "dropped", "disables", "extra", "late",
        "masks", "irqfd-assigned")


class Failed(Exception):
    """A test did, and those after it make no sense."""


class Points:
    """TAP, up to the first failure."""

    def __init__(self, planned: int) -> None:
        self.number = 0
        print(f"1..{planned}", flush=True)

    def point(self, what: str, wrong: str = "") -> None:
        self.number += 1
        if wrong:
            print(f"not ok {self.number} {what}: {wrong}", flush=True)
            raise Failed(wrong)
        print(f"ok {self.number} {what}", flush=True)


def counts(text: str) -> dict[str, int]:
    """The device's line about MSI-X in info pic."""
    for line in text.splitlines():
        if line.strip().startswith("msix:"):
            return {name: int(n) for name, n in COUNT.findall(line)}
    return {}


def judge_override(seen: dict[str, int]) -> str:
    """Whether both properties show, "" if so."""
    if not seen:
        return "info pic says nothing about the device's MSI-X"
    if seen.get("host-dynamic"):
        return "host-dynamic=1 in spite of x-msix-dynamic=off"
    if seen.get("resizes", 0) < LEAST_RESIZES:
        return "too few vectors were added to know anything about replays"
    if seen.get("replays"):
        return f"replays={seen['replays']} in spite of x-msix-replay=off"
    return ""


class Case:
    """One domain."""

    def __init__(self, qemu: Path, bdf: str, images: Path, out: Path,
                 arguments: list[str], scale: float) -> None:
        self.qemu = qemu
        self.device = HostDevice(bdf)
        self.images = images
        self.out = out
        self.arguments = arguments
        self.scale = scale
        self.libvirt = Libvirt(scale)
        self.domain = Domain()
        self.name = self.domain.name
        self.place = Path("/var/lib/libvirt/lab")
        self.device_xml = self.place / "device.xml"

    #
    # Setting up
    #

    def _prepare(self, override: bool) -> Path:
        """What the XML names, where QEMU's user may read it."""
        domain = self.domain
        self.place.mkdir(mode=0o755)
        if self.qemu == paths.DEBIAN_QEMU:
            domain.use_emulator(self.qemu)
        elif self.qemu != domain.emulator:  # else it is that of the package
            domain.emulator.unlink(missing_ok=True)
            shutil.copyfile(self.qemu, domain.emulator)
            domain.emulator.chmod(0o755)
        boot = Path("/var/lib/libvirt/boot")
        for name in ("vmlinuz", "initramfs"):
            shutil.copyfile(self.images / name, boot / name)
        with domain.disk.open("wb") as disk:
            disk.truncate(1 << 20)
        vendor, _, model = outer.DEVICE_ID.partition(":")
        domain.boot_guest(
            boot / "vmlinuz", boot / "initramfs",
            "console=ttyS0 intel_iommu=on panic=-1 quiet lab.plug=1 "
            f"lab.id=0x{vendor}:0x{model} lab.args={','.join(self.arguments)}")
        domain.report_to(self.place / "guest-console.log",
                         self.place / "guest.jsonl")
        domain.add_iommu()
        domain.use_device(self.device.bdf)
        if override:
            domain.use_override()
        domain.write_device(self.device_xml)
        file = self.out / "domain.xml"
        domain.write(file)
        return file

    #
    # Checks
    #

    def _wait(self, condition: Callable[[], str]) -> str:
        """Until nothing is wrong; what still is after a long time."""
        deadline = time.monotonic() + LIMIT * self.scale
        while (wrong := condition()) and time.monotonic() < deadline:
            time.sleep(POLL)
        return wrong

    def _whose(self, driver: str) -> str:
        if self.device.driver != driver:
            return (f"{self.device.bdf} is bound to "
                    f"{self.device.driver or 'no driver'}, not {driver}")
        return ""

    def _back(self) -> str:
        """Whether the device is the host's, as it was."""
        if wrong := self._whose(HOST_DRIVER):
            return wrong
        if self.device.override:
            return f"its driver_override is left at {self.device.override}"
        if self.device.msix_enabled:
            return "its MSI-X is left enabled"
        return ""

    def _confined(self, pid: int) -> str:
        qemu, own = Path("/proc") / str(pid), Path("/proc/self")
        if (qemu / "ns" / "mnt").readlink() == (own / "ns" / "mnt").readlink():
            return "QEMU has no mount namespace of its own"
        if (qemu / "cgroup").read_text() == (own / "cgroup").read_text():
            return "QEMU has no control group of its own"
        threads = []
        for thread in (qemu / "task").iterdir():
            # A thread may end meanwhile.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                threads.append((thread / "status").read_text())
        return confinement((qemu / "cmdline").read_text().split("\0"),
                           threads)

    def _emulator(self, pid: int) -> str:
        running = os.readlink(f"/proc/{pid}/exe")
        if running != str(self.domain.emulator):
            return f"{running} runs"
        return ""

    def _info_pic(self) -> str:
        return self.libvirt.virsh("qemu-monitor-command", self.name, "--hmp",
                                  "info pic")

    def _follow(self, watch: guest.Watch, wanted: str) -> None:
        """Until the guest asks for something."""
        look_at = 0.0
        while watch.course.wants != wanted:
            if time.monotonic() >= look_at:
                self._look(watch)
                look_at = time.monotonic() + LOOK
            self._read(watch)
            time.sleep(POLL)

    @staticmethod
    def _read(watch: guest.Watch) -> None:
        watch.read()
        if watch.course.ended:
            raise watch.broken(
                f"the guest could not measure: {watch.course.ended}")
        watch.check_alive()

    def _look(self, watch: guest.Watch) -> None:
        try:
            watch.states.take(self._info_pic())
        except VirshFailed as error:
            if self.name in self.libvirt.virsh("list", "--name").split():
                raise
            watch.read()
            raise watch.broken(
                f"the domain is gone ({error}; its log: "
                f"{self.libvirt.last_words(self.name)})") from error

    def _measure(self, points: Points, watch: guest.Watch, wanted: str,
                 what: str) -> dict[str, Any]:
        """One run of vfio-msix-guest, after which it asks for something."""
        watch.course.sums = None
        watch.states = guest.States()
        self._follow(watch, wanted)
        if watch.course.sums is None:
            raise watch.broken("the guest has no result")
        figures = {**watch.course.sums, **watch.states.figures()}
        print(f"# {json.dumps(figures)}")
        points.point(what, guest.judge(figures, watch.states))
        return figures

    #
    # The cases
    #

    def _start(self, points: Points, override: bool) -> guest.Watch:
        file = self._prepare(override)
        self.device.give_to_host(HOST_DRIVER)
        if wrong := self._back():
            raise guest.GuestBroken(wrong)
        watch = guest.Watch(self.place, self.scale)
        self.libvirt.virsh("create", str(file), "--validate")
        pid = self.libvirt.pid(self.name)
        points.point(f"{self.domain.emulator} runs", self._emulator(pid))
        points.point("the device is with vfio-pci", self._whose("vfio-pci"))
        points.point("QEMU is confined", self._confined(pid))
        return watch

    def _end(self, points: Points) -> None:
        pid = self.libvirt.pid(self.name)
        self.libvirt.virsh("destroy", self.name)
        points.point("QEMU is gone", self._wait(
            lambda: f"process {pid} is there"
            if Path(f"/proc/{pid}").exists() else ""))
        points.point("the device is back on the host", self._wait(self._back))

    def _play(self) -> None:
        points = Points(10)
        watch = self._start(points, override=False)
        first = self._measure(points, watch, "detach", "nothing was lost")

        self.libvirt.virsh("detach-device", self.name, str(self.device_xml),
                           "--live")
        self._follow(watch, "attach")
        points.point("detached, the device is back on the host",
                     self._wait(self._back))
        self.libvirt.virsh("attach-device", self.name, str(self.device_xml),
                           "--live")
        points.point("attached, it is with vfio-pci again",
                     self._whose("vfio-pci"))
        second = self._measure(points, watch, "destroy",
                               "nothing was lost then")
        figures = {name: first[name] + second[name] for name in SUMS}
        (self.out / "figures.json").write_text(json.dumps(figures) + "\n",
                                               encoding="utf-8")
        points.point("MSI-X is in use at the end", self._wait(
            lambda: "" if self.device.msix_enabled else "it is not"))
        self._end(points)

    def _play_override(self) -> None:
        points = Points(6)
        watch = self._start(points, override=True)
        # Losses without replays are not judged, so do not wait for the end.
        told: dict[str, int] = {}
        while (told.get("resizes", 0) < LEAST_RESIZES
               and not watch.course.wants):
            self._read(watch)
            time.sleep(POLL)
            told = counts(self._info_pic())
        print(f"# {json.dumps(told)}")
        points.point("the properties of the XML are in effect",
                     judge_override(told))
        self._end(points)

    def run(self, override: bool) -> None:
        """Raises what went wrong."""
        try:
            self.libvirt.start()
            if override:
                self._play_override()
            else:
                self._play()
        finally:
            with contextlib.suppress(VirshFailed, guest.GuestBroken):
                self.libvirt.virsh("destroy", self.name)
            self.libvirt.stop(self.out / "libvirt")
            if self.place.is_dir():
                shutil.copytree(self.place, self.out, dirs_exist_ok=True)
            self.device.give_to_vfio()
