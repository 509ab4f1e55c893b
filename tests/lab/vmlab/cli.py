# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of the lab."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from . import cases, kernels, outer, paths, plan, tap, verdict
from . import options as common
from .boot import Boot, Ended
from .errors import (EXIT_BROKEN, EXIT_FAILED, EXIT_OK, Broken, NothingToRun,
                     Usage)
from .guard import guarded
from .plan import BootPlan, Job
from .progress import Progress
from .report import Report
from .run import RunFolder
from .soak import Soak


# The default cases of soak.
SOAKED = "guest-*"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab", epilog=common.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Boots a real Linux kernel on an emulated machine, binds "
                    "a device to its vfio-pci,\nand runs test cases there.  "
                    "Each command has a --help of its own.")
    commands = parser.add_subparsers(dest="command", required=True,
                                     metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".",
            epilog=common.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter)

    lister = command("list", "show the cases")
    lister.add_argument("pattern", nargs="*", metavar="CASE",
                        help="name or pattern (default: all)")
    lister.add_argument("--cases", metavar="FILE", type=Path,
                        default=paths.CASES, help="another file of cases")

    runner = command("run", "run cases and judge them")
    runner.add_argument("pattern", nargs="*", metavar="CASE",
                        help="name or pattern (default: all)")
    runner.add_argument(
        "--qemu", action="append", metavar="patched|debian|PATH",
        help="QEMU under test; may be repeated (default: patched and debian)")
    runner.add_argument("--tap", action="store_true",
                        help="results as TAP on stdout")
    runner.add_argument("--dry-run", action="store_true",
                        help="show what would run, and how")
    runner.add_argument("--keep", action="store_true",
                        help="keep the run's folder also after success")
    common.add_kernels(runner)
    common.add_host(runner)

    soaker = command("soak", "keep cases going for a while, and add up")
    soaker.add_argument("pattern", nargs="*", metavar="CASE",
                        help=f"name or pattern (default: {SOAKED})")
    soaker.add_argument("--minutes", metavar="N", type=float, required=True,
                        help="for how long")
    soaker.add_argument(
        "--qemu", action="append", metavar="patched|debian|PATH",
        help="QEMU under test; may be repeated (default: patched)")
    soaker.add_argument("--keep", action="store_true",
                        help="keep the folders of what passed, too")
    common.add_kernels(soaker)
    common.add_host(soaker)

    shell = command("shell", "a prompt inside, with the devices bound")
    shell.add_argument("--machine", metavar="NAME", default="main",
                       help="machine of the cases file (default: %(default)s)")
    common.add_kernels(shell)
    common.add_host(shell)

    fetch = command("fetch", "get Debian's kernels, newer ones if there are")
    fetch.add_argument("--kernel", action="append", choices=kernels.DEBIAN,
                       help="this one; may be repeated (default: all)")
    fetch.add_argument("--deb", metavar="FILE", type=Path,
                       help="take it from this package instead of the mirror; "
                            "needs one --kernel")
    return parser


def _list(options: argparse.Namespace) -> int:
    suite = cases.load(options.cases)
    rows = [("CASE", "MACHINE", "KERNELS", "STOCK QEMU", "SHOWS")]
    for case in plan.select(suite, options.pattern):
        stock = ", ".join(f"{kernel}: {what}"
                          for kernel, what in case.stock.items())
        rows.append((case.name, case.machine.name, " ".join(case.kernels),
                     stock or "not run", case.shows))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width
                           in zip(row, widths)), row[4]]))
    return EXIT_OK


def _dry_run(plans: list[BootPlan], where: outer.Outer) -> int:
    for boot in plans:
        folder = Path("(run folder)", boot.name)
        line = where.command(boot.machine, boot.kernel, folder / "initramfs",
                             folder / "share", False)
        print(f"boot {boot.name}:\n  {shlex.join(line)}")
        for job in boot.jobs:
            print(f"  {job.name}: must {job.expected}, {job.timeout} s: "
                  f"{job.qemu.path}: {shlex.join(job.argv)}")
    return EXIT_OK


def _boot_all(plans: list[BootPlan], where: outer.Outer, folder: RunFolder,
              report: Report, scale: float) -> None:
    for boot in plans:
        def listener(job: Job, ended: Ended | None,
                     boot: BootPlan = boot) -> None:
            if ended is None:
                return
            got = tap.outcome(ended.stdout(), ended.status, ended.stderr())
            if got.kind == tap.NOT_RUN:
                raise Broken(f"{job.argv[0]} {got.reason}, see {ended.folder}")
            assert job.case is not None
            report.result(boot, job, verdict.judge(
                job.expected, got, job.qemu.stock, job.case.stock_says), ended)
        Boot(boot, where, folder.boot(boot.name), scale).run(
            report.progress.status, listener)


def _run_cases(options: argparse.Namespace) -> int:
    progress = Progress()
    build = paths.build_folder(options.build_dir)
    where = common.host(options)
    scale = common.time_scale(options)
    suite = cases.load(options.cases)
    chosen = plan.select(suite, options.pattern)
    under_test = plan.qemus(options.qemu, build)
    if not options.dry_run:
        where.check()
    guests = common.guest_kernels(chosen, progress, options.dry_run)
    found = common.wanted_kernels(options, list(kernels.DEBIAN), progress,
                                  options.dry_run)
    plans = plan.boots(chosen, suite.preload, found, under_test, build, guests)
    if options.dry_run:
        return _dry_run(plans, where)
    plan.check_programs(plans)

    folder = RunFolder(options.out or build / "lab", options.keep)
    report = Report(sum(len(boot.jobs) for boot in plans), options.tap,
                    progress)
    good = False
    try:
        _boot_all(plans, where, folder, report, scale)
        good = report.failed == report.broken == 0
    finally:
        report.finish()
        if folder.finish(good):
            progress.line(f"logs: {folder.path}")
    if report.broken and not report.failed:
        return EXIT_BROKEN
    return EXIT_OK if good else EXIT_FAILED


def _run(options: argparse.Namespace) -> int:
    if not options.tap:
        return _run_cases(options)
    # The reason for missing results must be in the TAP as well.
    try:
        return _run_cases(options)
    except NothingToRun as error:
        print(f"1..0 # SKIP {error}", flush=True)
        raise
    except (Broken, OSError) as error:
        first, *others = str(error).splitlines()
        for line in others:
            print(f"# {line.strip()}")
        print(f"Bail out! the lab is broken: {first}", flush=True)
        return EXIT_BROKEN


def _soak(options: argparse.Namespace) -> int:
    progress = Progress()
    if not 0 < options.minutes <= 100_000:
        raise Usage("--minutes must be from 0 to 100000")
    build = paths.build_folder(options.build_dir)
    where = common.host(options)
    scale = common.time_scale(options)
    suite = cases.load(options.cases)
    chosen = plan.select(suite, options.pattern or [SOAKED])
    under_test = plan.qemus(options.qemu or [plan.PATCHED], build)
    where.check()
    guests = common.guest_kernels(chosen, progress)
    found = common.wanted_kernels(options, list(kernels.DEBIAN), progress)
    plans = plan.boots(chosen, suite.preload, found, under_test, build, guests)
    plan.check_programs(plans)
    folder = RunFolder(options.out or build / "lab", options.keep)
    status = EXIT_BROKEN
    try:
        status = Soak(where, folder, scale, progress).run(plans,
                                                          options.minutes)
    finally:
        if folder.finish(status == EXIT_OK):
            progress.line(f"logs: {folder.path}")
    return status


def _shell(options: argparse.Namespace) -> int:
    progress = Progress()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Usage("shell needs a terminal")
    build = paths.build_folder(options.build_dir)
    where = common.host(options)
    scale = common.time_scale(options)
    suite = cases.load(options.cases)
    if options.machine not in suite.machines:
        raise Usage(f"there is no machine {options.machine} in {options.cases}")
    where.check()
    found = common.wanted_kernels(options, ["6.12"], progress)
    if len(found) != 1:
        raise Usage("shell takes one kernel")
    boot = BootPlan(found[0], suite.machines[options.machine], ())
    folder = RunFolder(options.out or build / "lab", False)
    progress.line(f"booting {boot.name}; leave the shell to power off")
    good = False
    try:
        Boot(boot, where, folder.boot(boot.name), scale).shell(
            paths.patched_qemu(build))
        good = True
    finally:
        folder.finish(good)
    return EXIT_OK


def _fetch(options: argparse.Namespace) -> int:
    progress = Progress()
    if options.deb and len(options.kernel or []) != 1:
        raise Usage("--deb needs one --kernel")
    for name in options.kernel or kernels.DEBIAN:
        if options.deb:
            kernel = kernels.unpack(name, options.deb)
        else:
            kernel = kernels.fetch(name, progress.status)
        progress.clear()
        print(f"{name}: {kernel.release}: {kernel.image.parent}")
    return EXIT_OK


def main() -> int:
    """The lab."""
    options = _parser().parse_args()
    commands = {"list": _list, "run": _run, "soak": _soak, "shell": _shell,
                "fetch": _fetch}
    return guarded(lambda: commands[options.command](options), "lab")
