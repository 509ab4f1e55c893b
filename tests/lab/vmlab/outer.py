# SPDX-License-Identifier: GPL-2.0-or-later
"""The outer QEMU: its command line for an emulated host."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from . import paths
from .cases import Machine
from .errors import Broken
from .kernels import Kernel

DEVICE = "msix-testdev,vectors={vectors}"
DEVICE_ID = "1234:4d58"
ACCELERATORS = ("tcg", "kvm")


@dataclasses.dataclass(frozen=True)
class Outer:
    """How hosts are emulated, the same for all boots of a run."""

    qemu: Path
    accel: str = "tcg"
    device: str = DEVICE        # -device for one of {vectors} MSI-X vectors
    device_id: str = DEVICE_ID
    counted: bool = False       # time passes by instructions, not by a clock

    def check(self) -> None:
        """It must be there; whether it runs shows soon enough."""
        if not shutil.which(self.qemu):
            raise Broken(f"the outer QEMU {self.qemu} is missing (run make, or "
                         "choose another with --outer)")

    def _machine(self) -> list[str]:
        if self.accel == "kvm":
            # Interrupt remapping excludes a full in-kernel irqchip.
            return ["-accel", "kvm", "-machine", "q35,kernel-irqchip=split",
                    "-cpu", "host"]
        # EPYC is a model whose nested virtualisation TCG can emulate; of the
        # features that it cannot, none is missed, and check=off says nothing.
        # 4 ns an instruction, one processor at a time: what takes how long
        # depends on nothing outside.
        tcg = (["-accel", "tcg,thread=single", "-icount", "shift=2"]
               if self.counted else ["-accel", "tcg"])
        return [*tcg, "-machine", "q35,kernel-irqchip=off",
                "-cpu", "EPYC,+svm,check=off"]

    def command(self, machine: Machine, kernel: Kernel, initramfs: Path,
                share: Path, interactive: bool) -> list[str]:
        """The whole command line."""
        # Interrupt remapping is what makes vfio-pci accept the devices; the
        # address width is what QEMU 10 inside asks for.
        line = [str(self.qemu), *self._machine(), "-nodefaults",
                "-smp", str(machine.smp), "-m", str(machine.memory),
                "-display", "none", "-vga", "none", "-nic", "none",
                # A panic is a reset because of panic=-1, and so the end.
                "-no-reboot", "-no-user-config",
                "-device", "intel-iommu,intremap=on,aw-bits=48"]
        append = ("console=ttyS0 intel_iommu=on iommu=on panic=-1 "
                  # Lets a second process map a bound device's BAR (sysfs).
                  "iomem=relaxed "
                  # Else the kernel counts ticks for some milliseconds, and
                  # panics if this machine had no time to emulate them.
                  "no_timer_check quiet")
        if self.counted:
            # Linux 6.1 waits for good for a second one while it boots, where
            # one runs at a time.  Jobs can switch it on.
            append += " maxcpus=1"
        line += ["-kernel", str(kernel.image), "-initrd", str(initramfs),
                 "-append", append]
        for tag, path, readonly in (
                ("root", Path("/"), True), ("tree", paths.TREE, True),
                ("modules", kernel.modules, True), ("results", share, False)):
            # remap: the machine's / has several file systems below it.
            line += ["-virtfs", f"local,path={comma(path)},mount_tag={tag},"
                     "security_model=none,multidevs=remap"
                     + (",readonly=on" if readonly else "")]
        for vectors in machine.devices.values():
            line += ["-device", self.device.replace("{vectors}", str(vectors))]
        console = f"logfile={comma(share.parent / 'console.log')}"
        if interactive:
            line += ["-chardev", f"stdio,id=console,signal=off,{console}"]
        else:
            line += ["-chardev", f"null,id=console,{console}"]
        return [*line, "-serial", "chardev:console", "-monitor", "none"]


def comma(path: Path) -> str:
    """QEMU's option syntax doubles a comma that is meant."""
    return str(path).replace(",", ",,")
