# SPDX-License-Identifier: GPL-2.0-or-later
"""One boot: starts the outer QEMU and follows what the inside reports.

The only channel for results is the results share, a folder that the agent
inside writes to.  The console is kept for people to read.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import initramfs, paths
from .errors import Broken
from .outer import Outer
from .plan import BootPlan, Guest, Job

# Long enough for a slow machine; only a hung one reaches them.
BOOT_LIMIT = 600.0
JOB_SLACK = 120.0
END_LIMIT = 120.0
POLL = 0.1

INSIDE = "/run/lab"

# Given a job, and its folder once it has ended (None: it starts), and its
# exit status then.
Listener = Callable[[Job, "Ended | None"], None]


@dataclasses.dataclass(frozen=True)
class Ended:
    """What is known of a job that came to its end, whatever that was."""

    status: int
    folder: Path

    def stdout(self) -> str:
        return self._text("stdout")

    def stderr(self) -> str:
        return self._text("stderr")

    def _text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8",
                                              errors="replace")


def _die_with_parent() -> None:
    """No outer QEMU stays behind if the lab is killed the hard way."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def last_lines(path: Path, count: int) -> list[str]:
    """The end of a log, without what a terminal would choke on."""
    try:
        text = path.read_bytes()[-16384:].decode("utf-8", "replace")
    except OSError:
        return []
    lines = ["".join(c for c in line if c.isprintable() or c == "\t").rstrip()
             for line in text.splitlines()]
    return [line for line in lines if line][-count:]


class Events:
    """Reads along in a file that another side appends lines to."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")
        self.rest = b""

    def read(self) -> list[dict[str, Any]]:
        """What is new, as far as its lines are complete."""
        *lines, self.rest = (self.rest + self.file.read()).split(b"\n")
        found = []
        for line in lines:
            try:
                event = json.loads(line)
                if not isinstance(event, dict):
                    raise ValueError
            except ValueError as error:
                raise Broken("the inside reported something unreadable: "
                             f"{line[:200]!r}") from error
            found.append(event)
        return found

    def close(self) -> None:
        self.file.close()


class Boot:
    """One outer QEMU and its folder: logs beside, the share below it."""

    def __init__(self, plan: BootPlan, outer: Outer, folder: Path,
                 scale: float = 1.0) -> None:
        self.plan = plan
        self.outer = outer
        self.folder = folder
        self.share = folder / "share"
        self.scale = scale
        self.shell_qemu = Path("")

    def _write_plan(self, shell: bool, tree_cache: str) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)
        jobs = self.share / "plan" / "jobs"
        jobs.mkdir(parents=True)
        (self.share / "events.jsonl").touch()
        (self.share / "jobs").mkdir()
        vendor, _, device = self.outer.device_id.partition(":")
        machine = self.plan.machine
        size = shutil.get_terminal_size()
        values = {
            "LAB_TREE": str(paths.TREE),
            "LAB_TREE_CACHE": tree_cache,
            "LAB_MODULES": " ".join(machine.modules),
            "LAB_DEVICE_ID": f"0x{vendor}:0x{device}",
            "LAB_DEVICES": " ".join(machine.address(d)
                                    for d in machine.devices),
            "LAB_SHELL": "1" if shell else "0",
            "LAB_QEMU": str(self.shell_qemu),
            "LAB_ROWS": str(size.lines),
            "LAB_COLUMNS": str(size.columns),
            "LAB_TERM": os.environ.get("TERM", "dumb"),
        }
        (self.share / "plan" / "machine").write_text(
            "".join(f"{key}={shlex.quote(value)}\n"
                    for key, value in values.items()), encoding="utf-8")
        for job in self.plan.jobs:
            place = jobs / job.name
            place.mkdir()
            limit = int(job.timeout * self.scale + 0.5)
            for name, text in (("command", job.command(INSIDE, self.scale)),
                               ("timeout", f"{limit}\n"),
                               ("devices", " ".join(job.devices) + "\n")):
                (place / name).write_text(text, encoding="utf-8")
        if self.plan.guest:
            self._write_guest(self.plan.guest)

    def _write_guest(self, guest: Guest) -> None:
        place = self.share / "plan" / "guest"
        place.mkdir()
        shutil.copyfile(guest.kernel.image, place / "vmlinuz")
        initramfs.build_guest(guest.kernel, guest.program, place / "initramfs")

    def _start(self, interactive: bool) -> subprocess.Popen[bytes]:
        image = self.folder / "initramfs"
        initramfs.build(self.plan.kernel, image)
        command = self.outer.command(self.plan.machine, self.plan.kernel,
                                     image, self.share, interactive)
        (self.folder / "outer.command").write_text(
            shlex.join(command) + "\n", encoding="utf-8")
        with (self.folder / "outer.log").open("wb") as log:
            try:
                return subprocess.Popen(
                    command, stdin=None if interactive else subprocess.DEVNULL,
                    stdout=None if interactive else log, stderr=log,
                    # Ctrl-C is for this process.
                    start_new_session=not interactive,
                    preexec_fn=_die_with_parent)
            except OSError as error:
                raise Broken(f"cannot start {command[0]}: {error.strerror}"
                             ) from error

    def _broken(self, text: str) -> Broken:
        """Adds what the logs say to a line that says what went wrong."""
        for name in ("outer.log", "console.log", "share/agent.log"):
            lines = last_lines(self.folder / name, 3)
            if lines:
                text += "".join(f"\n  {name}: {line}" for line in lines)
        return Broken(f"{text}\n  all logs: {self.folder}")

    def _why_it_ended(self, status: int) -> Broken:
        # For people: the missing "done" is what fails the boot.
        if any("Kernel panic" in line for line in
               last_lines(self.folder / "console.log", 200)):
            return self._broken("the emulated host's kernel panicked")
        if status != 0:
            how = (f"died by signal {-status}" if status < 0
                   else f"ended with status {status}")
            return self._broken(f"the outer QEMU {how}")
        return self._broken("the emulated host ended without having finished "
                            "its plan")

    def run(self, status: Callable[[str], None], listener: Listener) -> None:
        """Runs every job of the plan, or raises Broken.  What ended before
        that has been told to the listener."""
        self._write_plan(shell=False, tree_cache="loose")
        process = self._start(interactive=False)
        events = Events(self.share / "events.jsonl")
        try:
            self._follow(process, events, status, listener)
        finally:
            events.close()
            if process.poll() is None:
                process.kill()
            process.wait()

    def _follow(self, process: subprocess.Popen[bytes], events: Events,
                show: Callable[[str], None], listener: Listener) -> None:
        text = f"[{self.plan.name}] booting"
        deadline = time.monotonic() + BOOT_LIMIT * self.scale
        ended: set[str] = set()
        done = False
        while True:
            show(text)
            # The status first, so that nothing it wrote before is missed.
            status = process.poll()
            for event in events.read():
                kind = event.get("event")
                limit = END_LIMIT
                if kind == "broken":
                    raise self._broken(str(event.get("reason")))
                if kind == "ready":
                    self._ready(str(event.get("release")))
                elif kind == "start":
                    number, job = self._job(event)
                    text = (f"[{self.plan.name}] "
                            f"{number}/{len(self.plan.jobs)} {job.name[4:]}")
                    listener(job, None)
                    limit = job.timeout + JOB_SLACK
                elif kind == "end":
                    _, job = self._job(event)
                    ended.add(job.name)
                    listener(job, Ended(int(event["status"]),
                                        self.share / "jobs" / job.name))
                elif kind == "done":
                    done = len(ended) == len(self.plan.jobs)
                    text = f"[{self.plan.name}] powering off"
                else:
                    # A device found: still booting.
                    continue
                deadline = time.monotonic() + limit * self.scale
            if status is not None:
                if done and status == 0:
                    return
                raise self._why_it_ended(status)
            if time.monotonic() > deadline:
                raise self._broken("the emulated host hangs: no sign of life "
                                   f"for too long while: {text}")
            time.sleep(POLL)

    def _job(self, event: dict[str, Any]) -> tuple[int, Job]:
        for number, job in enumerate(self.plan.jobs, start=1):
            if job.name == event.get("job"):
                return number, job
        raise self._broken("the inside reports an unknown job "
                           f"{event.get('job')}")

    def _ready(self, release: str) -> None:
        if release != self.plan.kernel.release:
            raise self._broken(f"the emulated host runs {release} instead of "
                               f"{self.plan.kernel.release}")

    def shell(self, qemu: Path) -> None:
        """A prompt on this terminal, until the user leaves it."""
        self.shell_qemu = qemu
        # mmap rather than loose: what is built outside meanwhile is seen.
        self._write_plan(shell=True, tree_cache="mmap")
        process = self._start(interactive=True)
        events = Events(self.share / "events.jsonl")
        # Ctrl-C is for the shell inside.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            status = process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
            if process.poll() is None:
                process.kill()
                process.wait()
        sys.stdout.flush()
        seen = events.read()
        events.close()
        for event in seen:
            if event.get("event") == "broken":
                raise self._broken(str(event.get("reason")))
        if not any(event.get("event") == "done" for event in seen):
            raise self._why_it_ended(status)
