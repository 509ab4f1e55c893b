# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's own logic, as far as it needs no boot.  Run by selftest."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from vmlab import (boot, cases, cli, figures, guest, initramfs, kernels,
                   modules, outer, paths, plan, progress, run, soak, tap,
                   verdict)
from vmlab.errors import Broken, NothingToRun, Usage

ABORT = 134
SEGFAULT = 139
HEAD = "# random seed: R02S0\n# Start of x86_64 tests\n"
PASSED = HEAD + "ok 1 /x86_64/vfio-msix/add-vectors\n# End of x86_64 tests\n1..1\n"
ASSERTED = (HEAD + "Bail out! ERROR:../tests/qtest/vfio-msix-test.c:12:"
            "test_grow: assertion failed (a.lost == 0): (3 == 0)\n")


class TapTest(unittest.TestCase):
    """From output and exit status to an outcome."""

    def expect(self, kind: str, text: str, status: int) -> tap.Outcome:
        got = tap.outcome(text, status)
        self.assertEqual(got.kind, kind, got.reason)
        return got

    def test_pass(self) -> None:
        self.expect(tap.PASS, PASSED, 0)

    def test_pass_with_plan_first(self) -> None:
        self.expect(tap.PASS, "1..2\nok 1 a\nok 2 b\n", 0)

    def test_one_that_skips_itself(self) -> None:
        """Who passes beside it does not make up for it."""
        for text in ("1..2\nok 1 a\nok 2 b # SKIP not here\n",
                     "ok 1 b # SKIP not here\nok 2 a\n1..2\n"):
            got = self.expect(tap.SKIP, text, 0)
            self.assertEqual(got.reason, "1 of 2 tests: not here")

    def test_skipped_by_request(self) -> None:
        """As GLib says it of what -s names."""
        asked = "ok 1 a # SKIP by request (-s option)\n"
        self.expect(tap.PASS, f"1..2\n{asked}ok 2 b\n", 0)
        got = self.expect(tap.SKIP, f"1..2\n{asked}ok 2 b # SKIP not here\n",
                          0)
        self.assertEqual(got.reason, "not here")
        self.expect(tap.NO_RESULT, f"1..1\n{asked}", 0)

    def test_failed_assertion(self) -> None:
        got = self.expect(tap.FAIL, ASSERTED, ABORT)
        self.assertIn("a.lost == 0", got.reason)

    def test_failed_assertion_with_domain(self) -> None:
        self.expect(tap.FAIL, ASSERTED.replace("ERROR", "qtest:ERROR"), ABORT)

    def test_g_test_fail(self) -> None:
        self.expect(tap.FAIL, HEAD + "not ok 1 /a\nBail out!\n", ABORT)
        self.expect(tap.FAIL, HEAD + "not ok 1 /a\n1..1\n", 1)

    def test_qemu_dies(self) -> None:
        said = ("Broken pipe\n../tests/qtest/libqtest.c:188: kill_qemu() "
                "detected QEMU death from signal 11 (Segmentation fault)\n")
        got = tap.outcome(HEAD, ABORT, said)
        self.assertEqual(got.kind, tap.DIED)
        self.assertIn("Segmentation fault", got.reason)
        self.assertEqual(tap.outcome(HEAD, ABORT, "abort").kind, tap.CRASH)
        self.assertEqual(tap.outcome(HEAD, SEGFAULT, said).kind, tap.CRASH)
        self.assertEqual(tap.outcome(ASSERTED, ABORT, said).kind, tap.FAIL)

    def test_qemu_does_not_start(self) -> None:
        for file in ("../tests/qtest/libqtest.c", "tests/qtest/libqos/pci.c"):
            text = ASSERTED.replace("../tests/qtest/vfio-msix-test.c", file)
            self.expect(tap.CRASH, text, ABORT)

    def test_verdicts_in_the_harness(self) -> None:
        """They are the tests' own, and must be there."""
        qtest = paths.TREE / "tests" / "qtest"
        for name in tap.VERDICTS:
            found = [file for file in (qtest / "libqos").glob("*.c")
                     if re.search(rf"^\w.*\b{name}\(",
                                  file.read_text(encoding="utf-8"), re.M)]
            self.assertEqual(len(found), 1, name)
            text = ASSERTED.replace("vfio-msix-test.c",
                                    f"libqos/{found[0].name}")
            self.expect(tap.FAIL, text.replace("test_grow", name), ABORT)
            self.expect(tap.CRASH, text.replace("test_grow", f"{name}_not"),
                        ABORT)

    def test_crash(self) -> None:
        got = self.expect(tap.CRASH, HEAD, SEGFAULT)
        self.assertIn("SIGSEGV", got.reason)
        self.expect(tap.CRASH, HEAD, ABORT)
        self.expect(tap.CRASH, "usage: ...\n", 2)

    def test_crash_after_failed_assertion(self) -> None:
        self.expect(tap.CRASH, ASSERTED, SEGFAULT)

    def test_crash_after_pass(self) -> None:
        self.expect(tap.CRASH, PASSED, SEGFAULT)

    def test_g_error_is_no_assertion(self) -> None:
        self.expect(tap.CRASH, HEAD + "Bail out! FATAL-ERROR: boom\n", 133)
        self.expect(tap.CRASH, HEAD + "Bail out! FATAL-ERROR:a.c:1:boom\n",
                    ABORT)

    def test_timeout(self) -> None:
        self.expect(tap.TIMEOUT, HEAD, 124)
        self.expect(tap.TIMEOUT, ASSERTED, 124)

    def test_not_started(self) -> None:
        for status in (125, 126, 127):
            self.expect(tap.NOT_RUN, "", status)

    def test_broken(self) -> None:
        text = "1..1\nBail out! broken: the guest stands still\n"
        got = self.expect(tap.BROKEN, text, 3)
        self.assertEqual(got.reason, "the guest stands still")
        self.expect(tap.CRASH, text, 2)
        self.expect(tap.CRASH, "1..1\nBail out! something else\n", 3)

    def test_failure_but_status_0(self) -> None:
        self.expect(tap.CRASH, "not ok 1 a\n1..1\n", 0)

    def test_skip(self) -> None:
        got = self.expect(tap.SKIP, "ok 1 a # SKIP no device\n1..1\n", 0)
        self.assertEqual(got.reason, "no device")

    def test_no_result(self) -> None:
        self.expect(tap.NO_RESULT, HEAD + "1..0\n", 0)
        self.assertIn("no TAP plan", self.expect(tap.NO_RESULT, HEAD, 0).reason)
        self.expect(tap.NO_RESULT, "1..2\nok 1 a\n", 0)


class VerdictTest(unittest.TestCase):
    """Whether an outcome is the expected one."""

    FAILED = tap.Outcome(tap.FAIL, "assertion failed (lost == 0): (3 == 0)")

    def test_pass(self) -> None:
        for stock in (True, False):
            self.assertTrue(verdict.judge("pass", tap.Outcome(tap.PASS),
                                          stock).good)

    def test_anything_else_is_no_pass(self) -> None:
        for kind in (tap.FAIL, tap.SKIP, tap.TIMEOUT, tap.CRASH,
                     tap.NO_RESULT, tap.DIED):
            self.assertFalse(verdict.judge("pass", tap.Outcome(kind),
                                           False).good, kind)

    def test_expected_failure(self) -> None:
        self.assertTrue(verdict.judge("fail", self.FAILED, True).good)

    def test_stock_that_passes(self) -> None:
        got = verdict.judge("fail", tap.Outcome(tap.PASS), True)
        self.assertFalse(got.good)
        self.assertEqual(got.text, "stock QEMU did not fail")

    def test_only_an_assertion_is_the_expected_failure(self) -> None:
        for kind in (tap.SKIP, tap.TIMEOUT, tap.CRASH, tap.NO_RESULT,
                     tap.DIED):
            self.assertFalse(verdict.judge("fail", tap.Outcome(kind, "x"),
                                           True).good, kind)

    def test_expected_death(self) -> None:
        died = tap.Outcome(tap.DIED, "signal 11 (Segmentation fault)")
        self.assertTrue(verdict.judge("die", died, True).good)
        for kind in (tap.PASS, tap.FAIL, tap.SKIP, tap.TIMEOUT, tap.CRASH):
            self.assertFalse(verdict.judge("die", tap.Outcome(kind, "x"),
                                           True).good, kind)

    def test_broken_is_neither(self) -> None:
        for expected in cases.EXPECTATIONS:
            got = verdict.judge(expected, tap.Outcome(tap.BROKEN, "x"), True)
            self.assertFalse(got.good, expected)
            self.assertTrue(got.broken, expected)
        self.assertFalse(verdict.judge("pass", self.FAILED, False).broken)

    def test_which_assertion(self) -> None:
        self.assertTrue(verdict.judge("fail", self.FAILED, True, "lost ==")
                        .good)
        self.assertFalse(verdict.judge("fail", self.FAILED, True, "extra ==")
                         .good)


SUITE = """
preload = "build/log.so"
[machine.main]
devices = { small = 64, other = 64, large = 640 }
[demo]
machine = "main"
devices = ["small"]
program = "build/adds"
rounds = 2
per_unmask = 5
per_unmask_stock = 5
timeout = 10
[[case]]
name = "both"
shows = "runs everywhere"
program = "build/test"
machine = "main"
devices = ["other", "large"]
[[case]]
name = "fix"
shows = "is about the fix"
program = "build/test"
args = ["--tap"]
machine = "main"
devices = ["small"]
kernels = ["6.12"]
stock = { "6.1" = "fail", "6.12" = "fail" }
"""


def load(text: str) -> cases.Suite:
    """A suite from a text."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.toml"
        file.write_text(text, encoding="utf-8")
        return cases.load(file)


class CasesTest(unittest.TestCase):
    """What cases.toml may say."""

    def rejected(self, text: str, why: str) -> None:
        with self.assertRaises(Usage) as caught:
            load(text)
        self.assertIn(why, str(caught.exception))

    def test_the_real_one(self) -> None:
        suite = cases.load(paths.CASES)
        self.assertGreater(len(suite.cases), 5)
        self.assertIsNotNone(suite.demo)

    def test_what_stock_fails(self) -> None:
        """Any failed assertion would prove nothing, and lines move."""
        for case in cases.load(paths.CASES).cases:
            if "fail" in case.stock.values():
                self.assertTrue(case.stock_says, case.name)
                self.assertNotRegex(case.stock_says, r":\d", case.name)

    def test_defaults(self) -> None:
        suite = load(SUITE)
        self.assertEqual(suite.cases[0].kernels, ("6.1", "6.12"))
        self.assertEqual(suite.cases[0].stock, {})
        self.assertEqual(suite.machines["main"].modules, ("vfio-pci",))
        self.assertEqual(suite.preload, "build/log.so")

    def test_addresses(self) -> None:
        machine = load(SUITE).machines["main"]
        self.assertEqual([machine.address(name) for name in machine.devices],
                         ["64.0", "64.1", "640.0"])

    def test_unknown_keys(self) -> None:
        self.rejected("colour = 1\n" + SUITE, "unknown key 'colour'")
        self.rejected(SUITE + 'colour = "red"\n',
                     "case 'fix': unknown key 'colour'")
        self.rejected(SUITE.replace("devices = {", "cpus = 3\ndevices = {"),
                     "machine 'main': unknown key 'cpus'")
        self.rejected(SUITE.replace("rounds", "runs = 1\nrounds"),
                     "demo: unknown key 'runs'")

    def test_duplicate_names(self) -> None:
        self.rejected(SUITE.replace('"both"', '"fix"'),
                     "two cases are named 'fix'")
        self.rejected(SUITE + "[machine.main]\n", "main")

    def test_missing_keys(self) -> None:
        self.rejected(SUITE.replace('shows = "is about the fix"\n', ""),
                     "case 'fix': 'shows' is missing")
        self.rejected(SUITE.replace('name = "fix"\n', ""), "'name' is missing")

    def test_wrong_values(self) -> None:
        fix = 'devices = ["small"]\nkernels'
        for before, after, why in (
                ('"fix"', '"The Fix"', "is no name"),
                ('["6.12"]', '["5.10"]', "unknown kernel '5.10'"),
                ('["6.12"]', '["6.12", "6.12"]', "something twice"),
                ('["6.12"]', '"6.12"', "must be of type list"),
                ('"6.1" = "fail"', '"6.1" = "crash"', "must be one of"),
                ('"6.1" = "fail"', '"5.10" = "fail"', "unknown kernel"),
                (fix, fix.replace("small", "tiny"), "no device 'tiny'"),
                ('["--tap"]', '["--tap", 3]', "list of strings"),
                ("large = 640", "large = 4096", "from 1 to 2048"),
                ("large = 640", "large = true", "from 1 to 2048"),
                ("rounds = 2", "rounds = 0", "'rounds' must be from"),
                ("rounds = 2", "rounds = true", "must be of type int"),
                ('shows = "runs everywhere"', 'shows = "a\\nb"', "one line"),
                (fix, 'guest = "5.10"\n' + fix, "unknown kernel '5.10'"),
                ('program = "build/test"\nargs',
                 'stock_says = "("\nprogram = "build/test"\nargs', "no regex"),
        ):
            with self.subTest(after=after):
                self.assertIn(before, SUITE)
                self.rejected(SUITE.replace(before, after), why)

    def test_contradictions(self) -> None:
        self.rejected(SUITE.replace('machine = "main"\ndevices = ["other"',
                                   'machine = "x"\ndevices = ["other"'),
                     "no machine 'x'")
        self.rejected(SUITE.replace('shows = "runs everywhere"',
                                   'shows = "runs"\nstock_says = "lost"'),
                     "without a stock that fails")
        self.rejected(SUITE.replace('shows = "runs everywhere"',
                                   'shows = "runs"\nkernels = []'),
                     "runs nowhere")
        self.rejected(SUITE.replace("[[case]]", '[[case]]\nguest = "6.1"', 1)
                     + 'guest = "6.12"\n', "different guests: 6.1, 6.12")

    def test_no_toml(self) -> None:
        self.rejected("[[case", "cases.toml")


def kernel(name: str, release: str) -> kernels.Kernel:
    """A kernel that nobody will boot."""
    return kernels.Kernel(name, release, Path("/k/vmlinuz"), Path("/k/m"))


K61 = kernel("6.1", "6.1.0-1-amd64")
K612 = kernel("6.12", "6.12.1+deb12-amd64")
BUILD = Path("/b")
QEMUS = plan.qemus(None, BUILD)


class PlanTest(unittest.TestCase):
    """What runs where."""

    def plan(self, hosts: list[kernels.Kernel], under_test: list[plan.Qemu],
             *patterns: str) -> list[plan.BootPlan]:
        suite = load(SUITE)
        return plan.boots(plan.select(suite, list(patterns)), suite.preload,
                          hosts, under_test, BUILD)

    def test_one_boot_a_kernel(self) -> None:
        boots = self.plan([K61, K612], QEMUS)
        self.assertEqual([b.name for b in boots], ["6.1-main", "6.12-main"])
        self.assertEqual(
            [[(j.name, j.expected) for j in b.jobs] for b in boots],
            [[("001-both-patched", "pass"), ("002-fix-debian", "fail")],
             [("001-both-patched", "pass"), ("002-fix-patched", "pass"),
              ("003-fix-debian", "fail")]])

    def test_job(self) -> None:
        job = self.plan([K612], QEMUS, "both")[0].jobs[0]
        self.assertEqual(job.argv, ("/b/test",))
        self.assertEqual(job.devices, ("64.1", "640.0"))
        self.assertEqual(job.preload, Path("/b/log.so"))

    def test_other_kernels_behave_as_a_known_one(self) -> None:
        for name, release, known in (
                ("6.4", "6.4.9", "6.1"), ("6.5", "6.5.0", "6.12"),
                ("mine", "7.0.1-mine", "6.12"), ("5.15", "5.15.2", "6.1"),
                ("6.12", "6.4.0-with-backports", "6.12")):
            self.assertEqual(kernel(name, release).behaves_as, known, release)

    def test_another_qemu_must_pass(self) -> None:
        other = plan.qemus(["/opt/q/qemu"], BUILD)
        self.assertEqual(other[0].label, "opt-q-qemu")
        jobs = self.plan([K61, K612], other)[1].jobs
        self.assertEqual([j.expected for j in jobs], ["pass", "pass"])

    def test_wrong_selections(self) -> None:
        with self.assertRaises(Usage):
            self.plan([K61], QEMUS, "nothing*")
        with self.assertRaises(Usage):
            plan.qemus(["stok"], BUILD)
        with self.assertRaises(NothingToRun):
            self.plan([K61], QEMUS[:1], "fix")

    def test_missing_programs(self) -> None:
        with self.assertRaises(Broken) as caught:
            plan.check_programs(self.plan([K61], QEMUS, "both"))
        self.assertIn("/b/qemu/qemu-system-x86_64", str(caught.exception))
        here = Path(__file__)
        machine = load(SUITE).machines["main"]
        for program, preload, missing in (
                (Path("/b/test"), None, "/b/test is missing"),
                (here, Path("/b/log.so"), "/b/log.so is missing"),
                (here, here, "")):
            job = plan.Job("001-x", (str(program),),
                           plan.Qemu("patched", here), (), 1, preload)
            boots = [plan.BootPlan(K61, machine, (job,))]
            if missing:
                with self.assertRaises(Broken) as caught:
                    plan.check_programs(boots)
                self.assertIn(missing, str(caught.exception))
            else:
                plan.check_programs(boots)

    def test_guest(self) -> None:
        suite = load(SUITE + 'guest = "6.12"\n')
        plans = plan.boots(list(suite.cases), "", [K61, K612], QEMUS, BUILD,
                           {"6.12": K612})
        for one in plans:
            self.assertEqual(one.guest, plan.Guest(
                K612, BUILD / "tests/lab/guest/vfio-msix-guest"))
            self.assertEqual(
                ["LAB_GUEST=/in/plan/guest" in job.command("/in")
                 for job in one.jobs],
                [job.case is suite.cases[1] for job in one.jobs])
        self.assertIn("LAB_TIME_SCALE=3.5",
                      plans[1].jobs[-1].command("/in", 3.5))
        self.assertIsNone(self.plan([K612], QEMUS)[0].guest)

    def test_command_is_quoted(self) -> None:
        job = plan.Job("001-x", ("/bin/echo", "a b", "$HOME", "{out}/f"),
                       plan.Qemu("patched", Path("/a dir/qemu")), (), 1)
        done = subprocess.run(["sh"], input=job.command("/o"), text=True,
                              capture_output=True, check=True)
        self.assertEqual(done.stdout, "a b $HOME /o/jobs/001-x/f\n")

    def test_settings_of_tests(self) -> None:
        """They go along, whatever is in them; those that are not set do not."""
        job = plan.Job("001-x", ("/usr/bin/env",),
                       plan.Qemu("patched", Path("/q")), (), 1)
        for value in ("7", "a 'b' $HOME"):
            with mock.patch.dict(os.environ, VFIO_MSIX_TEST_SEED=value):
                script = job.command("/o")
            done = subprocess.run(["sh"], input=script, text=True,
                                  capture_output=True, check=True)
            self.assertIn(f"VFIO_MSIX_TEST_SEED={value}",
                          done.stdout.splitlines())
            self.assertNotIn("VFIO_MSIX_TEST_OPS", done.stdout)


class OuterTest(unittest.TestCase):
    """The outer QEMU's command line."""

    def command(self, where: outer.Outer) -> str:
        machine = load(SUITE).machines["main"]
        return " ".join(where.command(machine, K61, Path("/i.img"),
                                      Path("/r,un/share"), False))

    def test_devices(self) -> None:
        line = self.command(outer.Outer(Path("/q")))
        for vectors in (64, 640):
            self.assertIn(f"-device msix-testdev,vectors={vectors}", line)
        self.assertEqual(line.count("readonly=on"), 3)
        self.assertIn("/r,,un/share,mount_tag=results", line)

    def test_accelerators(self) -> None:
        self.assertIn("-accel tcg", self.command(outer.Outer(Path("/q"))))
        self.assertIn("kernel-irqchip=split",
                      self.command(outer.Outer(Path("/q"), "kvm")))

    def test_missing(self) -> None:
        with self.assertRaises(Broken):
            outer.Outer(Path("/nowhere/qemu")).check()


GOOD: dict[str, Any] = {
    "dynamic": True, "vectors": 64, "rounds": 2, "raised": 101000,
    "raised_adding": 100500, "raised_off": 9, "delivered": 100990, "late": 1,
    "lost": 10, "extra": 0, "teardowns": 126, "teardowns_most": 63,
    "set_irqs": 64, "eventfds": 1.0, "mask_set_irqs": 0,
    "unmask_us": {"median": 120.5, "max": 900}}


class FiguresTest(unittest.TestCase):
    """Reading the figures of vfio-msix-add-vectors."""

    def read(self, data: object) -> figures.Run:
        return figures.read(json.dumps(data), "6.12", "patched", "v", 64, 2)

    def test_good(self) -> None:
        run = self.read(GOOD)
        self.assertEqual(run.lost, 10)
        self.assertEqual(run.report(), {
            "kernel": "6.12", "dynamic": True, "qemu": "patched",
            "version": "v", "vectors": 64, "rounds": 2, "raised": 101000,
            "raised_adding": 100500, "raised_off": 9, "delivered": 100990,
            "late": 1, "lost": 10, "extra": 0, "teardowns": 126,
            "teardowns_most": 63, "set_irqs": 64,
            "eventfds": 1.0, "mask_set_irqs": 0.0,
            "unmask_us": {"median": 120.5, "max": 900.0}})

    def test_missing(self) -> None:
        for key in GOOD:
            data = copy.deepcopy(GOOD)
            del data[key]
            with self.subTest(key=key), self.assertRaises(figures.BadFigures):
                self.read(data)

    def test_malformed(self) -> None:
        for key, value in (
                ("lost", None), ("lost", "0"), ("lost", -1), ("lost", 0.0),
                ("lost", True), ("set_irqs", None), ("dynamic", 1),
                ("eventfds", None), ("mask_set_irqs", "0"),
                ("unmask_us", 5), ("unmask_us", {"median": 1}),
                ("unmask_us", {"median": None, "max": 1}),
                ("unmask_us", {"median": 5, "max": 1}),
                ("unmask_us", {"median": float("nan"), "max": 1}),
                ("vectors", 63), ("rounds", 1), ("lost", 101001),
                ("delivered", 101000), ("delivered", 100989),
                ("raised_adding", 101001),
                ("raised_off", 101001), ("teardowns", 62),
                ("teardowns", 127)):
            with self.subTest(key=key, value=value), \
                    self.assertRaises(figures.BadFigures):
                self.read({**GOOD, key: value})
        # What was extra is in neither.
        with self.assertRaises(figures.BadFigures):
            self.read({**GOOD, "delivered": 101000, "extra": 10})

    def test_no_object(self) -> None:
        for text in ("", "[]", "{", "null"):
            with self.subTest(text=text), \
                    self.assertRaises(figures.BadFigures):
                figures.read(text, "6.12", "patched", "v", 64, 2)


class ClaimTest(unittest.TestCase):
    """What the demo's figures must show."""

    KERNELS = {"6.1": False, "6.12": True}

    def runs(self, **changes: dict[str, Any]) -> list[figures.Run]:
        """The four runs; changes by k61_stock, k612_ours and so on."""
        found = []
        for name, dynamic in self.KERNELS.items():
            for qemu, key in (("debian-7.2", "stock"), ("patched", "ours")):
                data = {**GOOD, "dynamic": dynamic}
                if key == "stock":
                    data |= {"eventfds": 2.0, "mask_set_irqs": 2.0}
                if key == "ours":
                    data |= {"lost": 0, "delivered": 101000}
                    data |= ({"raised_off": 0, "teardowns": 0,
                              "teardowns_most": 0} if dynamic else
                             {"extra": 64 * 14, "teardowns": 14,
                              "teardowns_most": 7})
                label = f"k{name.replace('.', '')}_{key}"
                data |= changes.get(label, {})
                if data.get("absent"):
                    continue
                found.append(figures.read(json.dumps(data), name, qemu, "v",
                                          data["vectors"], 2))
        return found

    def failing(self, why: str, full: bool = True,
                **changes: dict[str, Any]) -> None:
        found = figures.failures(self.runs(**changes), self.KERNELS, full)
        self.assertEqual(len(found), 1, found)
        self.assertIn(why, found[0])

    def test_shown(self) -> None:
        self.assertEqual(figures.failures(self.runs(), self.KERNELS, True), [])
        self.assertIn("none of 100500 on Linux 6.1 and none of 100500 on "
                      "Linux 6.12", figures.shown(self.runs()))

    def test_stock_that_loses_nothing(self) -> None:
        for key in ("k61_stock", "k612_stock"):
            self.failing("stock QEMU lost nothing",
                         **{key: {"lost": 0, "delivered": 101000}})

    def test_ours_that_loses(self) -> None:
        for key in ("k61_ours", "k612_ours"):
            self.failing("patched QEMU lost 1 of",
                         **{key: {"lost": 1, "delivered": 100999}})

    def test_ours_that_tears_down(self) -> None:
        self.failing("MSI-X off 2 times", k612_ours={"teardowns": 2,
                                                     "teardowns_most": 1})
        # one round that does is enough
        self.failing("MSI-X off 8 times", k61_ours={"teardowns_most": 8})

    def test_ours_with_calls_for_masks(self) -> None:
        self.failing("2.0 eventfds", k61_ours={"eventfds": 2.0})
        self.failing("0.25 times for a mask",
                     k612_ours={"mask_set_irqs": 0.25})
        self.failing("no more eventfds", k612_stock={"eventfds": 1.0})
        self.failing("no calls for a mask", k61_stock={"mask_set_irqs": 0})

    def test_teardowns_allowed(self) -> None:
        for vectors, times in ((64, 7), (65, 8), (2048, 12)):
            self.assertEqual(figures.teardowns_allowed(vectors), times)

    def test_ours_with_too_many_extra(self) -> None:
        self.failing("897 extra", k61_ours={"extra": 897})
        self.failing("1 extra", k612_ours={"extra": 1})

    def test_ours_with_little_to_lose(self) -> None:
        few = {"raised_adding": 99_999}
        for key in ("k61_ours", "k612_ours"):
            self.failing("met 99999 interrupts", **{key: few})
        self.failing("no interrupt while MSI-X was off",
                     k61_ours={"raised_off": 0})
        # which is no wonder in fewer rounds
        runs = self.runs(k61_ours={**few, "raised_off": 0}, k612_ours=few)
        self.assertEqual(figures.failures(runs, self.KERNELS, False), [])
        self.assertIn("not asked for", figures.notes(runs, False)[-1])

    def test_absent(self) -> None:
        for key in ("k61_stock", "k61_ours", "k612_stock", "k612_ours"):
            self.failing("no figures of", **{key: {"absent": True}})

    def test_wrong_host(self) -> None:
        self.failing("not dynamic", k612_stock={"dynamic": False})

    def test_too_few(self) -> None:
        self.failing("only 8 vectors", k612_stock={"vectors": 8})
        self.failing("no interrupt was raised", False,
                     k612_ours={"raised": 0, "raised_adding": 0,
                                "delivered": 0})

    def test_table_and_notes(self) -> None:
        runs = self.runs()
        text = figures.table(runs)
        self.assertEqual(len(text.splitlines()), 3 + 4)
        self.assertEqual(len(figures.notes(runs, True)), 2)


class EventsTest(unittest.TestCase):
    """Reading lines that are appended to a file."""

    def test_partial_lines(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "events"
            with path.open("w", encoding="utf-8") as file:
                events = boot.Events(path)
                self.addCleanup(events.close)
                seen = []
                for text in ('{"event":', '"ready"}\n{"event":"do', 'ne"}\n'):
                    file.write(text)
                    file.flush()
                    seen.append([e["event"] for e in events.read()])
        self.assertEqual(seen, [[], ["ready"], ["done"]])

    def test_garbage(self) -> None:
        for text in ("hello\n", "[]\n"):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "events"
                path.write_text(text, encoding="utf-8")
                events = boot.Events(path)
                self.addCleanup(events.close)
                with self.assertRaises(Broken):
                    events.read()


class BootTest(unittest.TestCase):
    """How the end of an outer QEMU is understood.  A script plays its part:
    it is given the results share's events file."""

    def run_with(self, script: str) -> list[tuple[str, int | None]]:
        seen: list[tuple[str, int | None]] = []
        with tempfile.TemporaryDirectory() as folder:
            fake = Path(folder) / "qemu"
            fake.write_text(
                f"#!/bin/sh\nout={folder}/boot/share\n"
                'say() { echo "$1" >>"$out/events.jsonl"; }\n'
                + script, encoding="utf-8")
            fake.chmod(0o755)
            job = plan.Job("001-x-patched", ("/bin/true",),
                           plan.Qemu("patched", fake), (), 1)
            machine = load(SUITE).machines["main"]
            one = boot.Boot(plan.BootPlan(K61, machine, (job,)),
                            outer.Outer(fake), Path(folder) / "boot", 1.0)
            with mock.patch.object(initramfs, "build"):
                one.run(lambda _: None, lambda job, ended: seen.append(
                    (job.name, ended.status if ended else None)))
        return seen

    READY = 'say \'{"event":"ready","release":"6.1.0-1-amd64"}\'\n'
    JOB = ('say \'{"event":"start","job":"001-x-patched"}\'\n'
           'say \'{"event":"end","job":"001-x-patched","status":7}\'\n')
    DONE = 'say \'{"event":"done"}\'\n'

    def broken(self, script: str, why: str) -> None:
        with self.assertRaises(Broken) as caught:
            self.run_with(script)
        self.assertIn(why, str(caught.exception))

    def test_good(self) -> None:
        self.assertEqual(self.run_with(self.READY + self.JOB + self.DONE),
                         [("001-x-patched", None), ("001-x-patched", 7)])

    def test_ends_early(self) -> None:
        self.broken(self.READY + self.JOB, "without having finished")

    def test_job_left_out(self) -> None:
        self.broken(self.READY + self.DONE, "without having finished")

    def test_dies(self) -> None:
        self.broken("echo no such device >&2; exit 1", "no such device")
        self.broken("kill -SEGV $$", "died by signal 11")
        self.broken(self.READY + self.JOB + self.DONE + "exit 1",
                    "ended with status 1")

    def test_panics(self) -> None:
        self.broken('echo "Kernel panic - not syncing" >$out/../console.log',
                    "kernel panicked")

    def test_says_that_it_is_broken(self) -> None:
        self.broken('say \'{"event":"broken","reason":"no module"}\'\n'
                    "exec sleep 20", "no module")

    def test_wrong_kernel(self) -> None:
        self.broken('say \'{"event":"ready","release":"5.10"}\'\n'
                    "exec sleep 20", "runs 5.10 instead of")

    def test_unknown_job(self) -> None:
        self.broken(self.READY + self.JOB.replace("001-x", "002-y")
                    + "exec sleep 20", "unknown job")

    def test_hangs(self) -> None:
        with mock.patch.object(boot, "BOOT_LIMIT", 0.3):
            self.broken("exec sleep 20", "hangs")
        with mock.patch.object(boot, "END_LIMIT", 0.3):
            self.broken(self.READY + "exec sleep 20", "hangs")


class GuestTest(unittest.TestCase):
    """How a guest's course is understood and judged.  A script plays the part
    of QEMU: it is given the job's folder."""

    SUM = ('{"sum":1,"vectors":4,"raised":%d,"handled":%d,"lost":%d,'
           '"dropped":0,"disables":0,"extra":0,"late":0,"masks":1,'
           '"slowest-ms":1,"took-ms":5}\n')
    END = '{"guest":"status 0"}\n'
    KVM = ("vfio-pci 0000:01:00.0: id= interrupt=msix\n"
           "  msix: host-dynamic=1 vectors=4 used=2 irqfd-assigned=%d\n"
           "  vector 0: address=0x1 masked=0 state=%s setup-failed=0\n"
           "  vector 1: address=0x1 masked=0 state=direct setup-failed=0\n")

    def judge(self, handled: int, lost: int, info: str = "",
              raised: int = 9) -> str:
        states = guest.States()
        states.take(info or self.KVM % (3, "irqfd"))
        return guest.judge(json.loads(self.SUM % (raised, handled, lost)),
                           states)

    def test_judge(self) -> None:
        self.assertEqual(self.judge(9, 0), "")
        self.assertIn("nothing was raised", self.judge(0, 0, raised=0))
        self.assertEqual(self.judge(7, 2), "lost 2 of 9 interrupts")
        self.assertIn("handled 8", self.judge(8, 0))

    def test_extra(self) -> None:
        states = guest.States()
        states.take(self.KVM % (3, "irqfd"))
        sums = {**json.loads(self.SUM % (9, 9, 0)), "extra": 2}
        self.assertIn("2 more than", guest.judge(sums, states))
        self.assertEqual(guest.judge({**sums, "disables": 1}, states), "")

    def test_irqfds_must_be_seen(self) -> None:
        for info, why in (("nothing of ours", "does not tell"),
                          (self.KVM % (0, "direct"), "no vector was seen"),
                          (self.KVM % (3, "direct"), "no vector was seen"),
                          (self.KVM % (0, "irqfd"), "no vector was seen")):
            self.assertIn(why, self.judge(9, 0, info), info)

    def test_states(self) -> None:
        states = guest.States()
        self.assertEqual(states.figures(), {"irqfd-assigned": None})
        states.take(self.KVM % (3, "irqfd"))
        states.take(self.KVM % (4, "direct"))
        states.take("a guest that is gone")
        self.assertEqual(states.figures(), {
            "irqfd-assigned": 4, "kvm-most": 1, "kvm-vectors": 1})

    def result(self, *lines: str) -> dict[str, Any]:
        course = guest.Course()
        for line in lines:
            course.take(line)
        return course.result()

    def test_course(self) -> None:
        good = self.SUM % (9, 9, 0)
        self.assertEqual(self.result('{"guest":"up"}', good, self.END)["lost"],
                         0)
        for lines in ((self.END,), (good,), (good, '{"guest":"status 2"}'),
                      (good, '{"guest":"failed: load modules"}'),
                      (good, "Oops", self.END)):
            with self.subTest(lines=lines), \
                    self.assertRaises(guest.GuestBroken):
                self.result(*lines)

    def run_with(self, script: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as name:
            out = Path(name)
            fake = out / "qemu"
            # The monitor, as far as it is used, and then the script.
            fake.write_text(
                "#!/usr/bin/python3\nimport json, os, signal, socket, sys, time\n"
                f"out = {name!r}\n"
                "def say(text):\n"
                "    with open(out + '/guest.jsonl', 'a') as f: f.write(text)\n"
                "def monitor(status='running'):\n"
                "    s = socket.socket(socket.AF_UNIX)\n"
                "    s.bind(os.environ['TMPDIR'] + '/monitor'); s.listen()\n"
                "    f = s.accept()[0].makefile('rwb')\n"
                "    f.write(b'{}\\n'); f.flush()\n"
                "    answers = {'query-status': {'status': status},\n"
                "               'human-monitor-command': info}\n"
                "    for number in range(5):\n"
                "        what = json.loads(f.readline())['execute']\n"
                "        f.write(json.dumps({'return': answers.get(what)})\n"
                "                .encode() + b'\\n'); f.flush()\n"
                f"info = {self.KVM % (3, 'irqfd')!r}\n"
                f"good = {self.SUM % (9, 9, 0)!r}\nend = {self.END!r}\n"
                + script, encoding="utf-8")
            fake.chmod(0o755)
            one = guest.Run(fake, "host=0:0", Path("/g"), out, "0x1:0x2", "-v")
            with mock.patch.dict(os.environ, TMPDIR=name):
                return one.run()

    def test_good(self) -> None:
        got = self.run_with("monitor(); say(good); say(end)\n")
        self.assertEqual((got["lost"], got["irqfd-assigned"]), (0, 3))

    def test_broken(self) -> None:
        for script, why in (
                ("monitor()\n", "without a result"),
                ("monitor(); say(good)\n", "without a result"),
                ("monitor('internal-error')\n", "internal-error"),
                ("monitor(); say('{\"guest\":\"status 2\"}\\n')\n",
                 "could not measure: status 2")):
            with self.subTest(script=script), \
                    self.assertRaises(guest.GuestBroken) as caught:
                self.run_with(script)
            self.assertIn(why, str(caught.exception))

    def test_hangs(self) -> None:
        with mock.patch.object(guest, "SILENT_LIMIT", 0.2), \
                self.assertRaises(guest.GuestBroken) as caught:
            self.run_with("say('{\"alive\":1}\\n'); monitor()\n"
                          "time.sleep(20)\n")
        self.assertIn("the guest hangs", str(caught.exception))
        self.assertIn('{"alive":1}', str(caught.exception))

    def test_qemu_fails(self) -> None:
        for script in ("sys.exit('no such option')\n",
                       "monitor(); say(good); say(end); sys.exit(1)\n"):
            with self.assertRaises(guest.QemuFailed):
                self.run_with(script)
        with mock.patch.object(guest, "MONITOR_LIMIT", 0.3), \
                mock.patch.object(guest, "END_LIMIT", 0.3), \
                self.assertRaises(guest.QemuFailed):
            self.run_with("time.sleep(20)\n")
        with self.assertRaises(guest.QemuDied) as caught:
            self.run_with("monitor(); os.kill(os.getpid(), signal.SIGSEGV)\n")
        self.assertIn("signal 11", str(caught.exception))

    def test_monitor_breaks(self) -> None:
        """While QEMU is about to end it is its end that says why."""
        for said in ("", '{"QMP": {"ver'):
            script = ("s = socket.socket(socket.AF_UNIX)\n"
                      "s.bind(os.environ['TMPDIR'] + '/monitor'); s.listen()\n"
                      f"c = s.accept()[0]; c.sendall({said.encode()!r})\n"
                      "c.close(); time.sleep(1)\n")
            with self.subTest(said=said):
                with self.assertRaises(guest.QemuDied):
                    self.run_with(script
                                  + "os.kill(os.getpid(), signal.SIGSEGV)\n")
                with self.assertRaisesRegex(guest.QemuFailed,
                                            "ended with status 5"):
                    self.run_with(script + "sys.exit(5)\n")
                with mock.patch.object(guest, "END_LIMIT", 0.3), \
                        self.assertRaisesRegex(guest.QemuFailed, "monitor"):
                    self.run_with(script + "time.sleep(20)\n")


class SoakTest(unittest.TestCase):
    """What is added up, and what the exit status says."""

    def soak(self, *outcomes: tuple[str, int, dict[str, int] | str] | None,
             goes_on: bool = False) -> tuple[int, str]:
        """One boot after the other; None is a host that breaks.  The last one
        ends it, unless it goes on, for whatever other reason."""
        left = list(outcomes)
        suite = load(SUITE)
        boots = plan.boots(plan.select(suite, ["both"]), "", [K61], QEMUS[:1],
                           BUILD)

        def run_one(self: boot.Boot, _status: Any,
                    listener: boot.Listener) -> None:
            outcome = left.pop(0)
            self.folder.mkdir(parents=True)
            if outcome is None:
                raise Broken("the emulated host hangs")
            text, status, figures_of_it = outcome
            (self.folder / "stdout").write_text(text, encoding="utf-8")
            (self.folder / "stderr").touch()
            (self.folder / soak.FIGURES).write_text(
                figures_of_it if isinstance(figures_of_it, str)
                else json.dumps(figures_of_it), encoding="utf-8")
            listener(self.plan.jobs[0], boot.Ended(status, self.folder))

        out = io.StringIO()
        with tempfile.TemporaryDirectory() as name, \
                mock.patch.object(boot.Boot, "run", run_one), \
                mock.patch.object(soak, "MOST_BROKEN", 3), \
                contextlib.redirect_stdout(out):
            one = soak.Soak(outer.Outer(Path("/q")),
                            run.RunFolder(Path(name), False), 1.0,
                            progress.Progress(io.StringIO()))
            with mock.patch.object(soak.time, "monotonic",
                                   lambda: 0.0 if left or goes_on else 1e9):
                status = one.run(boots, 1)
        return status, out.getvalue()

    GOOD = ("1..1\nok 1 x\n", 0, {"raised": 5, "handled": 5, "lost": 0})
    LOST = ("1..1\nnot ok 1 lost 2 of 5\n", 1,
            {"raised": 5, "handled": 3, "lost": 2})
    STILL = ("1..1\nBail out! broken: it stands still\n", 3, {})

    def test_good(self) -> None:
        status, text = self.soak(self.GOOD, self.GOOD)
        self.assertEqual(status, 0)
        self.assertIn("2 passed, 0 failed, 0 broken; raised 10, handled 10, "
                      "lost 0", text)
        self.assertEqual(len(text.splitlines()), 3)

    def test_loss(self) -> None:
        status, text = self.soak(self.GOOD, self.LOST, self.STILL)
        self.assertEqual(status, 1)
        self.assertIn("lost 2 of 5", text)
        self.assertIn("1 passed, 1 failed, 1 broken; raised 10", text)

    def test_broken(self) -> None:
        for what in (self.STILL, None):
            status, text = self.soak(self.GOOD, what)
            self.assertEqual(status, 3)
            self.assertIn("1 passed, 0 failed, 1 broken", text)

    def test_gives_up(self) -> None:
        """After so many hosts in a row, and it says so."""
        status, text = self.soak(None, None, self.GOOD, None, None, None,
                                 goes_on=True)
        self.assertEqual(status, 3)
        self.assertIn("given up: 3 hosts in a row broke", text.splitlines()[-2])
        self.assertIn("1 passed, 0 failed, 5 broken", text.splitlines()[-1])
        self.assertNotIn("given up", self.soak(None, None, None)[1])

    def test_unreadable_figures(self) -> None:
        """Say nothing, and leave a loss what it is."""
        for figures_of_it in ('{"raised": 5, "ha', "[]", "5"):
            status, text = self.soak((*self.GOOD[:2], figures_of_it),
                                     self.GOOD)
            self.assertEqual(status, 3)
            self.assertIn("broken: figures.json", text.splitlines()[0])
            self.assertIn("1 passed, 0 failed, 1 broken; raised 5,", text)
            status, text = self.soak((*self.LOST[:2], figures_of_it))
            self.assertEqual(status, 1)
            self.assertIn("lost 2 of 5", text)
            self.assertIn("0 passed, 1 failed, 0 broken", text)


class KernelTest(unittest.TestCase):
    """Other people's kernels, and modules."""

    def image(self, folder: Path, release: str) -> Path:
        data = bytearray(0x400)
        data[0x202:0x206] = b"HdrS"
        data[0x20e:0x210] = (0x100).to_bytes(2, "little")
        data[0x300:0x300 + len(release)] = release.encode()
        file = folder / "bzImage"
        file.write_bytes(data)
        return file

    def test_own(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            image = self.image(folder, "6.9.1-mine (me@here) #1")
            with self.assertRaises(Usage):
                kernels.own(image, folder, None)
            made = folder / "lib" / "modules" / "6.9.1-mine"
            made.mkdir(parents=True)
            (made / "modules.dep").touch()
            made.rename(made.parent / "6.9.2")
            with self.assertRaises(Usage):
                kernels.own(image, made.parent / "6.9.2", None)
            (made.parent / "6.9.2").rename(made)
            for given in (folder, made.parent, made):
                found = kernels.own(image, given, None)
                self.assertEqual((found.name, found.release, found.modules),
                                 ("6.9", "6.9.1-mine", made.parent))
            self.assertEqual(kernels.own(image, made, "mine").name, "mine")

    def test_no_image(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            image = self.image(Path(name), "6.9.1")
            self.assertEqual(kernels.release_of(image), "6.9.1")
            image.write_bytes(image.read_bytes().replace(b"HdrS", b"HdrT"))
            for file in (image, Path("/dev/null"), Path(name, "none")):
                with self.subTest(file=file), self.assertRaises(Usage):
                    kernels.release_of(file)

    def test_cache(self) -> None:
        with tempfile.TemporaryDirectory() as name, \
                mock.patch.dict(os.environ, VFIO_MSIX_CACHE=name):
            folder = Path(name) / "kernels"
            made = folder / "6.1.0-9-amd64_6.1.9-1"
            (made / "lib" / "modules" / "6.1.0-9-amd64").mkdir(parents=True)
            self.assertIsNone(kernels.cached("6.1"))
            (folder / "6.1").symlink_to(made.name)
            (made / "vmlinuz").touch()
            self.assertIsNone(kernels.cached("6.1"))
            (made / "vmlinuz").unlink()
            (made / "lib/modules/6.1.0-9-amd64/modules.dep").touch()
            self.assertIsNone(kernels.cached("6.1"))
            (made / "vmlinuz").touch()
            found = kernels.cached("6.1")
            assert found is not None
            self.assertEqual(found.release, "6.1.0-9-amd64")

    def test_load_order(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with self.assertRaises(Broken):
                modules.ModuleTree(folder)
            (folder / "modules.dep").write_text(
                "kernel/a/virtio-pci.ko: kernel/v/ring.ko kernel/v/virtio.ko\n"
                "kernel/v/ring.ko: kernel/v/virtio.ko\n"
                "kernel/v/virtio.ko:\n", encoding="utf-8")
            (folder / "modules.builtin").write_text("kernel/fs/9p.ko\n",
                                                    encoding="utf-8")
            tree = modules.ModuleTree(folder)
            self.assertEqual(
                tree.closure(["virtio_pci", "9p"]),
                ["kernel/v/virtio.ko", "kernel/v/ring.ko",
                 "kernel/a/virtio-pci.ko"])
            with self.assertRaises(Broken):
                tree.closure(["overlay"])

    def test_archive(self) -> None:
        archive = initramfs.Archive()
        archive.folder("bin")
        archive.file("bin/a", b"hello")
        archive.link("bin/b", "a")
        with tempfile.TemporaryDirectory() as name:
            subprocess.run(["busybox", "cpio", "-i"], cwd=name, check=True,
                           input=archive.finish())
            made = Path(name) / "bin"
            self.assertEqual((made / "b").read_bytes(), b"hello")
            self.assertEqual(stat.S_IMODE((made / "a").stat().st_mode), 0o755)
            self.assertEqual(os.readlink(made / "b"), "a")


class CommandLineTest(unittest.TestCase):
    """Exit statuses of the lab, without a boot."""

    def lab(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.object(sys, "argv", ["lab", *arguments]), \
                contextlib.redirect_stdout(out), \
                contextlib.redirect_stderr(err):
            try:
                code = cli.main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        return code, out.getvalue(), err.getvalue()

    def test_list(self) -> None:
        code, out, _ = self.lab("list")
        self.assertEqual(code, 0)
        self.assertEqual(len(out.splitlines()),
                         1 + len(cases.load(paths.CASES).cases))

    def test_usage(self) -> None:
        for arguments in (["bogus"], ["run", "--bogus"], ["list", "no-such"],
                          ["run", "no-such"], ["run", "--qemu", "stok"],
                          ["run", "--accel", "xen"],
                          ["run", "--dry-run", "--kernel", "5.10"],
                          ["run", "--dry-run", "--kernel", "/dev/null"],
                          ["run", "--dry-run", "--device", "edu"],
                          ["run", "--dry-run", "--device-id", "x"],
                          ["run", "--dry-run", "--time-scale", "0"],
                          ["run", "--dry-run", "--modules", "/tmp"],
                          ["soak"], ["soak", "--minutes", "0"],
                          ["soak", "--minutes", "1", "no-such"],
                          ["shell"]):
            with self.subTest(arguments=arguments):
                self.assertEqual(self.lab(*arguments)[0], 2)

    def test_usage_by_environment(self) -> None:
        for name, value in (("ACCEL", "xen"), ("TIME_SCALE", "long")):
            with mock.patch.dict(os.environ, {f"VFIO_MSIX_LAB_{name}": value}):
                self.assertEqual(self.lab("run", "--dry-run")[0], 2, name)

    def test_dry_run(self) -> None:
        with tempfile.TemporaryDirectory() as name, \
                mock.patch.dict(os.environ, VFIO_MSIX_CACHE=name):
            code, out, _ = self.lab("run", "--dry-run", "--kernel", "6.12",
                                    "add-vectors")
            self.assertEqual(os.listdir(name), [])
        self.assertEqual(code, 0)
        self.assertIn("boot 6.12-main", out)
        self.assertIn("-add-vectors-patched: must pass", out)
        self.assertIn("-add-vectors-debian: must fail", out)

    def test_broken(self) -> None:
        for arguments, stream in ((["run"], 2), (["run", "--tap"], 1)):
            got = self.lab(*arguments, "--outer", "/nowhere/qemu")
            self.assertEqual(got[0], 3)
            self.assertIn("broken", got[stream])
        self.assertIn("Bail out!", got[1])

    def test_nothing_to_run(self) -> None:
        code, out, _ = self.lab("run", "--tap", "--dry-run", "--kernel", "6.1",
                                "--qemu", "patched", "sparse")
        self.assertEqual(code, 77)
        self.assertIn("1..0 # SKIP", out)
