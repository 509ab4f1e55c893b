# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that several commands have: which host is emulated, and how."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from . import cases, kernels, outer, paths
from .errors import Usage
from .progress import Progress

EPILOG = """\
environment:
  VFIO_MSIX_BUILD           the build folder, as --build-dir
  VFIO_MSIX_CACHE           folder for kernels and downloads
                            (${XDG_CACHE_HOME:-~/.cache}/qemu-vfio-msix)
  VFIO_MSIX_LAB_OUTER       the outer QEMU, as --outer
  VFIO_MSIX_LAB_ACCEL       its accelerator, as --accel
  VFIO_MSIX_LAB_TIME_SCALE  factor for all time limits, as --time-scale
  VFIO_MSIX_TEST_SEED, VFIO_MSIX_TEST_OPS
                            passed on to the programs: the random tests'

exit status:
  0    everything was as expected
  1    a case was not
  2    wrong usage
  3    the lab itself is broken, so that nothing was learnt
  77   nothing could run, for the reason given
  130  interrupted
"""


def add_host(parser: argparse.ArgumentParser) -> None:
    """How a host is emulated."""
    group = parser.add_argument_group("the emulated host")
    group.add_argument(
        "--outer", metavar="QEMU", type=Path,
        default=os.environ.get("VFIO_MSIX_LAB_OUTER"),
        help="QEMU that emulates the host (default: build/qemu's)")
    group.add_argument(
        "--accel", choices=outer.ACCELERATORS,
        default=os.environ.get("VFIO_MSIX_LAB_ACCEL") or "tcg",
        help="its accelerator (default: tcg, which runs anywhere)")
    group.add_argument(
        "--device", metavar="MODEL", default=outer.DEVICE,
        help="device model to pass through (default: %(default)s)")
    group.add_argument(
        "--device-id", metavar="VENDOR:DEVICE", default=outer.DEVICE_ID,
        help="its PCI id (default: %(default)s)")
    group.add_argument(
        "--time-scale", metavar="FACTOR",
        default=os.environ.get("VFIO_MSIX_LAB_TIME_SCALE") or "1",
        help="factor for all time limits, for a very slow machine")
    group.add_argument(
        "--out", metavar="DIR", type=Path,
        help="where to put the folder of the run (default: lab in the build "
             "folder)")
    group.add_argument(
        "--build-dir", metavar="DIR",
        help="the build folder with our QEMU and the test programs (default: "
             "build)")
    group.add_argument(
        "--cases", metavar="FILE", type=Path, default=paths.CASES,
        help="another file of cases (default: tests/lab/cases.toml)")


def add_kernels(parser: argparse.ArgumentParser) -> None:
    """Which kernels the host has."""
    group = parser.add_argument_group("its kernel")
    group.add_argument(
        "--kernel", "--kernel-image", action="append", metavar="NAME|FILE",
        help=f"a Debian kernel ({', '.join(kernels.DEBIAN)}), or an image of "
             "your own with --modules; may be repeated")
    group.add_argument(
        "--modules", action="append", metavar="DIR", type=Path,
        help="modules of the kernel image, as modules_install leaves them; "
             "one for each image")
    group.add_argument(
        "--kernel-name", action="append", metavar="NAME",
        help="what to call the kernel image (default: its release); the name "
             "of a Debian kernel also says that it behaves as that one does")


def time_scale(options: argparse.Namespace) -> float:
    """The factor for time limits."""
    try:
        scale = float(options.time_scale)
    except ValueError:
        scale = 0.0
    if not 0.01 <= scale <= 1000:
        raise Usage("the time scale must be a number from 0.01 to 1000")
    return scale


def host(options: argparse.Namespace) -> outer.Outer:
    """The emulated host that the options describe; not yet whether its QEMU
    is there."""
    # argparse does not check a default that comes from the environment.
    if options.accel not in outer.ACCELERATORS:
        raise Usage(f"no accelerator {options.accel}: choose from "
                    f"{', '.join(outer.ACCELERATORS)}")
    if not re.fullmatch("[0-9a-f]{4}:[0-9a-f]{4}", options.device_id):
        raise Usage(f"--device-id must look like {outer.DEVICE_ID}")
    if "{vectors}" not in options.device:
        raise Usage("--device needs {vectors} where their number belongs")
    build = paths.build_folder(options.build_dir)
    return outer.Outer(options.outer or paths.patched_qemu(build),
                       options.accel, options.device,
                       options.device_id)


def debian_kernel(name: str, progress: Progress,
                  dry_run: bool) -> kernels.Kernel:
    """One of Debian's; for a dry run nothing is fetched."""
    if dry_run and not kernels.cached(name):
        nowhere = Path("(to be fetched)")
        return kernels.Kernel(name, name, nowhere, nowhere)
    return kernels.get(name, progress.status)


def guest_kernels(chosen: list[cases.Case], progress: Progress,
                  dry_run: bool = False) -> dict[str, kernels.Kernel]:
    """Those of the guests that these cases boot."""
    return {name: debian_kernel(name, progress, dry_run)
            for name in sorted({case.guest for case in chosen} - {""})}


def wanted_kernels(options: argparse.Namespace, default: list[str],
                   progress: Progress,
                   dry_run: bool = False) -> list[kernels.Kernel]:
    """Debian's by name, others by image file with their modules."""
    names = options.kernel or default
    images = [name for name in names if name not in kernels.DEBIAN]
    modules = options.modules or []
    labels = options.kernel_name or []
    for image in images:
        if not Path(image).is_file():
            raise Usage(f"no kernel named {image}: choose from "
                        f"{', '.join(kernels.DEBIAN)}, or give an image file")
    if len(modules) != len(images):
        raise Usage(f"{len(images)} kernel images, but {len(modules)} "
                    "--modules")
    if labels and len(labels) != len(images):
        raise Usage("--kernel-name goes with each kernel image, or with none")
    for label in labels:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", label):
            raise Usage(f"'{label}' is no name for a kernel")
    found = []
    for name in names:
        if name not in kernels.DEBIAN:
            at = images.index(name)
            found.append(kernels.own(Path(name), modules[at],
                                     labels[at] if labels else None))
        else:
            found.append(debian_kernel(name, progress, dry_run))
    if len({kernel.name for kernel in found}) != len(found):
        raise Usage("two kernels of the same name (see --kernel-name)")
    return found
