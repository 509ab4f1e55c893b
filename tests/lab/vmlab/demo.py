# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job: stock and patched QEMU side by side on real kernels."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import textwrap
from pathlib import Path

from . import cases, figures, kernels, paths, plan
from . import options as common
from .boot import Boot, Ended, last_lines
from .errors import EXIT_FAILED, EXIT_OK, Broken, Usage
from .figures import BadFigures, Run
from .guard import guarded
from .kernels import Kernel
from .outer import Outer
from .plan import BootPlan, Job, Qemu
from .progress import Progress
from .run import RunFolder

STEPS = 6
FILE = "add-vectors.json"


class Steps:
    """Numbers the long steps."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.number = 0

    def next(self, text: str) -> None:
        self.number += 1
        self.progress.line(f"[{self.number}/{STEPS}] {text}")


def version_of(qemu: Qemu) -> str:
    """QEMU's own version string."""
    try:
        done = subprocess.run([qemu.path, "--version"], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              check=False)
    except OSError as error:
        raise Broken(f"{qemu.path}: {error.strerror}") from error
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Broken(f"{qemu.path} does not say its version: {why}")
    return lines[0]


def name_of(qemu: Qemu, version: str) -> str:
    """patched, or debian-7.2."""
    if not qemu.stock:
        return figures.PATCHED
    match = re.search(r"version (\d+\.\d+)", version)
    return f"debian-{match[1]}" if match else "debian"


class Demo:
    """Its settings, and what came out so far."""

    def __init__(self, demo: cases.Demo, preload: str, build: Path,
                 rounds: int, progress: Progress) -> None:
        self.demo = demo
        self.rounds = rounds
        self.progress = progress
        self.program = paths.in_build(demo.program, build)
        self.preload = paths.in_build(preload, build) if preload else None
        self.vectors = demo.machine.devices[demo.device]
        # Stock first, the patched one below it in the table.
        self.qemus = plan.qemus([plan.DEBIAN, plan.PATCHED], build)
        self.versions: dict[str, str] = {}
        self.runs: list[Run] = []
        self.troubles: list[str] = []

    def boot_plan(self, kernel: Kernel) -> BootPlan:
        jobs = [Job(f"{number:03d}-add-vectors-{qemu.label}",
                    (str(self.program), "--vectors", str(self.vectors),
                     "--rounds", str(self.rounds),
                     "--per-unmask",
                     str(self.demo.per_unmask_stock if qemu.stock
                         else self.demo.per_unmask),
                     "--json", "{out}/" + FILE),
                    qemu, (self.demo.machine.address(self.demo.device),),
                    self.demo.timeout, self.preload)
                for number, qemu in enumerate(self.qemus, start=1)]
        return BootPlan(kernel, self.demo.machine, tuple(jobs))

    def take(self, kernel: Kernel, job: Job, ended: Ended) -> None:
        version = self.versions[job.qemu.label]
        name = name_of(job.qemu, version)
        who = f"On {kernel.name}, {name}"
        if ended.status != 0:
            lines = last_lines(ended.folder / "stderr", 1)
            self.troubles.append(
                f"{who}: no figures, the program ended with status "
                f"{ended.status}" + (f": {lines[0]}" if lines else "")
                + f" (logs: {ended.folder})")
            return
        try:
            text = (ended.folder / FILE).read_text(encoding="utf-8")
            self.runs.append(figures.read(text, kernel.name, name, version,
                                          self.vectors, self.rounds))
        except (OSError, UnicodeDecodeError, BadFigures) as error:
            self.troubles.append(f"{who}: no figures: {error} "
                                 f"(logs: {ended.folder})")

    def boot(self, kernel: Kernel, where: Outer, folder: RunFolder,
             scale: float) -> None:
        boot = self.boot_plan(kernel)

        def listener(job: Job, ended: Ended | None) -> None:
            if ended is not None:
                self.take(kernel, job, ended)

        Boot(boot, where, folder.boot(boot.name), scale).run(
            self.progress.status, listener)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="demo", epilog=common.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Boots Linux 6.1 and 6.12 on an emulated host, passes a "
                    "device through to Debian's QEMU\nand to the patched one, "
                    "unmasks MSI-X vectors at run time, and compares what "
                    "arrives.")
    parser.add_argument("--rounds", metavar="N", type=int,
                        help="how often all vectors are unmasked (default: as "
                             "the cases file says)")
    parser.add_argument("--keep", action="store_true",
                        help="keep the run's folder also after success")
    common.add_host(parser)
    return parser


def _demo(options: argparse.Namespace) -> int:
    progress = Progress()
    steps = Steps(progress)
    build = paths.build_folder(options.build_dir)
    report = build / "demo" / "report.json"

    steps.next("what is built")
    where = common.host(options)
    scale = common.time_scale(options)
    suite = cases.load(options.cases)
    if suite.demo is None:
        raise Usage(f"{options.cases} says nothing about the demo")
    if options.rounds is not None and options.rounds < 1:
        raise Usage("--rounds must be at least 1")
    demo = Demo(suite.demo, suite.preload, build,
                options.rounds or suite.demo.rounds, progress)
    full = demo.rounds >= suite.demo.rounds
    # Do not leave figures of an earlier run.
    report.unlink(missing_ok=True)
    where.check()
    nowhere = Kernel("", "", Path(), Path())
    plan.check_programs([demo.boot_plan(nowhere)])
    for qemu in demo.qemus:
        demo.versions[qemu.label] = version_of(qemu)
        progress.line(f"      {name_of(qemu, demo.versions[qemu.label])}: "
                      f"{demo.versions[qemu.label]}")

    steps.next("host kernels")
    hosts = [kernels.get(name, progress.status) for name in kernels.DEBIAN]
    progress.clear()
    for host in hosts:
        progress.line(f"      {host.name}: {host.release}")

    folder = RunFolder(options.out or build / "lab", options.keep)
    good = False
    try:
        for host in hosts:
            steps.next(f"a host with Linux {host.release}: {demo.vectors} "
                       f"vectors, {demo.rounds} rounds, each QEMU")
            demo.boot(host, where, folder, scale)
        steps.next("figures")
        progress.clear()
        report.parent.mkdir(parents=True, exist_ok=True)
        temporary = report.with_suffix(".tmp")
        temporary.write_text(json.dumps(
            {"runs": [run.report() for run in demo.runs]}, indent=2) + "\n",
            encoding="utf-8")
        temporary.rename(report)
        print(f"\n{figures.table(demo.runs)}\n")
        for note in figures.notes(demo.runs, full):
            print(textwrap.fill(note, 79))
        steps.next(f"the same in {report}")
        dynamic = {host.name: host.behaves_as == "6.12" for host in hosts}
        troubles = demo.troubles + figures.failures(demo.runs, dynamic, full)
        for trouble in troubles:
            print(f"NOT SHOWN: {trouble}")
        good = not troubles
        if good:
            print(textwrap.fill(figures.shown(demo.runs), 79))
    finally:
        if folder.finish(good):
            progress.line(f"logs: {folder.path}")
    return EXIT_OK if good else EXIT_FAILED


def main() -> int:
    """The demo."""
    options = _parser().parse_args()
    return guarded(lambda: _demo(options), "demo")
