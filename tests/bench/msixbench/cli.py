# SPDX-License-Identifier: GPL-2.0-or-later
"""make bench."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import time
from pathlib import Path
from typing import Any

from vmlab import kernels, paths
from vmlab import options as common
from vmlab import plan as lab_plan
from vmlab.demo import version_of
from vmlab.errors import EXIT_FAILED, EXIT_OK, Broken, Usage
from vmlab.guard import guarded
from vmlab.kernels import Kernel
from vmlab.outer import Outer
from vmlab.progress import Progress
from vmlab.run import RunFolder

from . import plan, report, tables
from .collect import Collector, newer_qemu
from .report import View

SIZE_LIMIT = 512


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench", epilog=common.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Boots Linux 6.1 and 6.12 on an emulated host and measures "
                    "there what MSI-X takes\nwith Debian's QEMU, the patched "
                    "one, the newest of Debian's backports, and without\nany: "
                    "docs/performance.rst.")
    parser.add_argument("--quick", action="store_true",
                        help="one kernel, few rounds, small sizes")
    parser.add_argument("--kernel", action="append", metavar="NAME",
                        choices=list(kernels.DEBIAN),
                        help="only this kernel; may be repeated")
    parser.add_argument("--sizes", metavar="N,...",
                        help="numbers of vectors (default: 8,64,256)")
    parser.add_argument("--rounds", metavar="N", type=int,
                        help="how often it is all done (default: "
                             f"{plan.Extent.rounds})")
    parser.add_argument("--guests", metavar="N", type=int,
                        help="how many Linux guests each QEMU boots (default: "
                             f"{plan.Extent.guests})")
    parser.add_argument("--clock", choices=("counted", "real"),
                        default="counted",
                        help="how time passes on the emulated host: by "
                             "instructions, whatever else this machine does, "
                             "or as it does outside (default: %(default)s)")
    parser.add_argument("--show", metavar="FILE", type=Path, nargs="?",
                        const=Path(),
                        help="measure nothing; tables and page of a "
                             "report.json (default: the last one)")
    parser.add_argument("--rst", metavar="FILE", type=Path,
                        help="with --show: put the tables of a whole run into "
                             "this file, which is docs/performance.rst")
    parser.add_argument("--keep", action="store_true",
                        help="keep the run's folder also after success")
    common.add_host(parser)
    return parser


def _number(value: int | None, name: str, low: int) -> None:
    if value is not None and not low <= value <= 1000:
        raise Usage(f"--{name} must be from {low} to 1000")


def extent(options: argparse.Namespace) -> plan.Extent:
    """How much is measured."""
    found = plan.QUICK if options.quick else plan.Extent()
    _number(options.rounds, "rounds", 1)
    _number(options.guests, "guests", 0)
    changes: dict[str, Any] = {}
    if options.rounds is not None:
        changes["rounds"] = options.rounds
    if options.guests is not None:
        changes["guests"] = options.guests
    if options.kernel:
        changes["kernels"] = tuple(dict.fromkeys(options.kernel))
    if options.sizes:
        if not re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,4})*", options.sizes):
            raise Usage("--sizes must be numbers separated by commas")
        sizes = sorted({int(n) for n in options.sizes.split(",")})
        if not 8 <= sizes[0] or sizes[-1] > SIZE_LIMIT:
            raise Usage(f"--sizes must be from 8 to {SIZE_LIMIT}")
        changes["sizes"] = tuple(sizes)
    return dataclasses.replace(found, **changes)


def short(version: str) -> str:
    """7.2.22 of QEMU's version line."""
    match = re.search(r"version (\S+)", version)
    if not match:
        raise Broken(f"this is no QEMU's version: {version}")
    return match[1]


class Run:
    """One run, from what is built to the report."""

    def __init__(self, options: argparse.Namespace,
                 progress: Progress) -> None:
        self.options = options
        self.progress = progress
        self.extent = extent(options)
        self.build = paths.build_folder(options.build_dir)
        self.place = self.build / "bench"
        self.counted = options.clock == "counted"
        self.where: Outer = dataclasses.replace(common.host(options),
                                                counted=self.counted)
        if self.counted and self.where.accel != "tcg":
            raise Usage(f"--accel {self.where.accel} needs --clock real")
        self.scale = common.time_scale(options)
        # What is built, others' QEMU, kernels, boots, simulated, report
        self.steps = 5 + len(self.extent.kernels) * (
            2 if self.extent.guests else 1)
        self.step = 0
        self.ended_by: BaseException | None = None

    def next(self, text: str) -> None:
        self.step += 1
        self.progress.line(f"[{self.step}/{self.steps}] {text}")

    def qemus(self) -> tuple[dict[str, Path], dict[str, str]]:
        """Paths and versions of all QEMUs."""
        found = {plan.STOCK: paths.DEBIAN_QEMU,
                 plan.PATCHED: paths.patched_qemu(self.build)}
        for name, label in ((plan.STOCK, lab_plan.DEBIAN),
                            (plan.PATCHED, lab_plan.PATCHED)):
            lab_plan.require(lab_plan.Qemu(label, found[name]))
        for program in (plan.BASELINE_PROGRAM, plan.BENCH_PROGRAM,
                        plan.ADD_VECTORS_PROGRAM, plan.LOG_LIBRARY,
                        plan.HEAP_LIBRARY,
                        lab_plan.GUEST_PROGRAM):
            if not paths.in_build(program, self.build).is_file():
                raise Broken(f"{paths.in_build(program, self.build)} is "
                             "missing: it is not built yet, run make")
        self.next("the newest QEMU of Debian's backports")
        found[plan.NEWER] = newer_qemu(self.place, self.progress.status)
        self.progress.clear()
        versions = {}
        for who in plan.QEMUS:
            version = version_of(lab_plan.Qemu(who, found[who]))
            versions[who] = short(version)
            self.progress.line(f"      {who}: {version}")
        return found, versions

    def hosts(self) -> dict[str, Kernel]:
        self.next("host kernels")
        names = dict.fromkeys([*self.extent.kernels, plan.GUEST_KERNEL])
        found = {name: kernels.get(name, self.progress.status)
                 for name in names}
        self.progress.clear()
        for name in self.extent.kernels:
            self.progress.line(f"      {name}: {found[name].release}")
        return found

    def boots(self, collector: Collector, planner: plan.Planner,
              hosts: dict[str, Kernel]) -> None:
        for name in self.extent.kernels:
            host = hosts[name]
            self.next(f"a host with Linux {host.release}: "
                      f"{', '.join(map(str, self.extent.sizes))} vectors, "
                      f"{self.extent.rounds} rounds of all")
            for boot in planner.main(host):
                collector.boot(host, boot)
            guests = planner.guests(host, hosts[plan.GUEST_KERNEL])
            if guests:
                self.next(f"Linux guests on it: {self.extent.guests} rounds "
                          "of all")
                collector.boot(host, guests)
        self.next("the simulated host: "
                  f"{', '.join(map(str, self.extent.simulated))} vectors")
        collector.simulated(planner)

    def measure(self) -> dict[str, Any]:
        self.next("what is built")
        self.where.check()
        # Do not leave figures of an earlier run.
        for name in ("report.json", "index.html"):
            (self.place / name).unlink(missing_ok=True)
        qemus, versions = self.qemus()
        hosts = self.hosts()
        facts: dict[str, Any] = {
            "began": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "quick": self.options.quick, "complete": False,
            "clock": self.options.clock,
            "sizes": list(self.extent.sizes), "rounds": self.extent.rounds,
            "processors": os.cpu_count(), "load-before": os.getloadavg()[0],
            "qemus": versions,
            "kernels": {name: hosts[name].release
                        for name in self.extent.kernels},
        }
        folder = RunFolder(self.options.out or self.build / "lab",
                           self.options.keep)
        collector = Collector(self.extent, self.where, folder, self.scale,
                              self.progress)
        started = time.monotonic()
        try:
            self.boots(collector,
                       plan.Planner(self.extent, self.build, qemus,
                                    self.counted), hosts)
            facts["complete"] = True
        except (KeyboardInterrupt, Broken) as error:
            # The report is made in any case, and names what is missing.
            self.ended_by = error
        facts["minutes"] = round((time.monotonic() - started) / 60, 1)
        made = report.make(collector.figures, facts)
        report.write(made, self.place / "report.json")
        if folder.finish(not collector.figures.problems
                         and facts["complete"]):
            self.progress.line(f"      logs: {folder.path}")
        return made


def show(view: View, place: Path) -> None:
    """Tables to stdout, and the page."""
    # Imported here: only this needs matplotlib.
    from . import page  # pylint: disable=import-outside-toplevel
    for table in tables.all_tables(view):
        print(f"\n{tables.text(table)}")
    print()
    file = place / "index.html"
    temporary = file.with_suffix(".tmp")
    temporary.write_text(page.make(view), encoding="utf-8")
    temporary.rename(file)


def status(view: View) -> int:
    """What is missing, and the exit status."""
    for problem in view.report["problems"]:
        print(f"NOT MEASURED: {problem['kernel']}, {problem['who']}, "
              f"{problem['kind']}: {problem['reason']}")
    if not view.report["complete"]:
        print("NOT COMPLETE: the run was ended before its end")
    missed = [t for t in view.report["targets"] if t["verdict"] == "missed"]
    if missed:
        print(f"{len(missed)} of {len(view.report['targets'])} targets are "
              "missed (a matter of this machine, too; it fails nothing)")
    good = view.report["complete"] and not view.report["problems"]
    return EXIT_OK if good else EXIT_FAILED


def _bench(options: argparse.Namespace) -> int:
    progress = Progress()
    if options.rst and options.show is None:
        raise Usage("--rst goes with --show")
    if options.show is not None:
        place = paths.build_folder(options.build_dir) / "bench"
        file = place / "report.json" if options.show == Path() \
            else options.show
        try:
            view = View(report.read(file))
        except report.BadReport as error:
            raise Usage(str(error)) from error
        if options.rst:
            try:
                text = tables.into_rst(view, options.rst.read_text("utf-8"))
            except ValueError as error:
                raise Usage(f"{options.rst}: {error}") from error
            options.rst.write_text(text, encoding="utf-8")
            return EXIT_OK
        show(view, file.parent)
        return status(view)
    run = Run(options, progress)
    view = View(run.measure())
    run.next("tables, and the same with plots in "
             f"{run.place / 'index.html'}")
    show(view, run.place)
    result = status(view)
    if run.ended_by:
        raise run.ended_by
    return result


def main() -> int:
    """The bench."""
    options = _parser().parse_args()
    return guarded(lambda: _bench(options), "bench")
