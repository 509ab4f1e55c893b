# SPDX-License-Identifier: GPL-2.0-or-later
"""What a test program did, from its TAP output and its exit status."""

from __future__ import annotations

import dataclasses
import re
import signal

PASS = "pass"
FAIL = "fail"           # an assertion of the test itself failed
SKIP = "skip"           # the program ran and skipped a test
TIMEOUT = "timeout"
DIED = "QEMU died"      # of a signal, and the test with it
CRASH = "crash"         # it died, or gave up, without a failed assertion
NOT_RUN = "not run"     # it could not be started at all: the lab's fault
BROKEN = "broken"       # what it tests with did not work: says nothing about QEMU
NO_RESULT = "no result"  # it ran to its end without testing anything

# What timeout(1) returns, and what shells return for a program that they
# cannot start.
STATUS_TIMEOUT = 124
STATUS_NOT_RUN = (125, 126, 127)
# What a program returns that could not measure, after "Bail out! broken: ...".
STATUS_BROKEN = 3
SAYS_BROKEN = re.compile(r"^Bail out! broken: (.*)", re.MULTILINE)

# GLib's g_assert family aborts; its TAP then ends with a line like
#   Bail out! ERROR:../tests/qtest/x.c:12:test_x: assertion failed (a == b)
# (older ones put a log domain in front).  g_error() says FATAL-ERROR instead.
ASSERTION = re.compile(r"Bail out! (?:[^ :]*:)?ERROR:([^:]+):(\d+):(.*)")
POINT = re.compile(r"(not )?ok\b(.*)")
PLAN = re.compile(r"1\.\.(\d+)\b")
SKIPPED = re.compile(r"#\s*skip\b\s*(.*)", re.IGNORECASE)
# The reason that GLib gives for a test that its option -s names.
REQUESTED = "by request (-s option)"

# Assertions in the harness of QEMU's tests, not in a test: QEMU did not start
# (an option that it does not know) or did not answer.
HARNESS = re.compile(r"(^|/)libqtest\.c$|(^|/)libqmp\.c$|(^|/)libqos/")
# Functions there that judge for the tests that call them.
VERDICTS = ("qmsix_account_settle", "qvfio_assert_intx_works",
            "qvfio_machine_await_kvm")

# What libqtest says on standard error when the QEMU under test is gone.
QEMU_DEATH = re.compile(r"detected QEMU death from (signal \d+ .*)")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One of the above, and a line that says why."""

    kind: str
    reason: str = ""


def _death(status: int) -> str:
    if status > 128:
        try:
            return f"died by {signal.Signals(status - 128).name}"
        except ValueError:
            pass
    return f"exit status {status}"


def outcome(text: str, status: int, stderr: str = "") -> Outcome:
    """The outcome of a program with this output and this exit status."""
    passed = skipped = requested = 0
    planned: int | None = None
    failed: str | None = None
    assertion: re.Match[str] | None = None
    skip_reason = ""
    for line in text.splitlines():
        if match := POINT.match(line):
            skip = SKIPPED.search(match[2])
            if match[1]:
                failed = failed or line
            elif skip and skip[1] == REQUESTED:
                requested += 1
            elif skip:
                skipped += 1
                skip_reason = skip_reason or skip[1] or "no reason given"
            else:
                passed += 1
        elif match := PLAN.match(line):
            planned = int(match[1])
        elif match := ASSERTION.match(line):
            assertion = assertion or match

    if status == STATUS_TIMEOUT:
        return Outcome(TIMEOUT, "did not end in time")
    if status in STATUS_NOT_RUN:
        return Outcome(NOT_RUN, f"could not be started ({_death(status)})")
    if status == STATUS_BROKEN and (broken := SAYS_BROKEN.search(text)):
        return Outcome(BROKEN, broken[1])
    if (assertion and HARNESS.search(assertion[1])
            and not assertion[3].startswith(
                tuple(f"{name}: " for name in VERDICTS))):
        return Outcome(CRASH, "QEMU did not start or did not answer: "
                       + assertion[0].removeprefix("Bail out! "))
    # A failed assertion ends by abort(), a plain g_test_fail() maybe by exit
    # status 1.  Any other end is one that the assertion does not explain.
    if (assertion or failed) and status in (1, 128 + signal.SIGABRT):
        if assertion:
            return Outcome(FAIL, assertion[0].removeprefix("Bail out! "))
        return Outcome(FAIL, failed or "")
    if status == 128 + signal.SIGABRT and (death := QEMU_DEATH.search(stderr)):
        return Outcome(DIED, death[1])
    if status != 0:
        return Outcome(CRASH, _death(status))
    if assertion or failed:
        return Outcome(CRASH, "a failed test, but exit status 0")
    if planned is None:
        return Outcome(NO_RESULT, "no TAP plan in its output")
    if planned != passed + skipped + requested:
        return Outcome(NO_RESULT, f"{planned} tests planned, "
                       f"{passed + skipped + requested} seen")
    # A test that could not run counts, whatever the others did.
    if skipped:
        total = passed + skipped
        return Outcome(SKIP, skip_reason if total == 1 else
                       f"{skipped} of {total} tests: {skip_reason}")
    if passed:
        return Outcome(PASS)
    return Outcome(NO_RESULT, "the program knows no test of that name")
