# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs on the emulated host: libvirt's daemons, as Debian configures them.

There is no init system that would start them, and Debian's package that makes
their user and folders is not installed: it would start services where the lab
is run.  So that is done here.  Everything is in namespaces of its own, which
end with whoever runs this: no daemon and no QEMU outlives them, in whatever
control group libvirt has put it.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from .boot import last_lines
from .guest import GuestBroken

USER = "libvirt-qemu"
USER_ID = 64055         # Debian's, also for the group of that name
GROUP = "kvm"
KVM_ID = 64056
# Empty at first, to hide what the machine itself has there.
FOLDERS = ("/etc/libvirt", "/var/cache/libvirt", "/var/lib/libvirt",
           "/var/log/libvirt", "/run/libvirt")
CGROUP = Path("/sys/fs/cgroup")
DAEMONS = ("virtlogd", "libvirtd")
START_LIMIT = 240.0
COMMAND_LIMIT = 240.0
POLL = 0.2
SANDBOX = {"on", "obsolete=deny", "elevateprivileges=deny", "spawn=deny",
           "resourcecontrol=deny"}
SECCOMP_FILTER = "2"


class VirshFailed(Exception):
    """What libvirt says."""


def enter_namespaces(argv: list[str]) -> None:
    """Returns in a process of its own, in which all of this may be done.  The
    first process there waits for it, and for all that lose their parents."""
    if os.getpid() != 1:
        os.execvp("unshare", ["unshare", "--mount", "--cgroup", "--pid",
                              "--fork", "--kill-child", "--mount-proc", *argv])
    child = os.fork()
    if child == 0:
        return
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def confinement(arguments: list[str], threads: list[str]) -> str:
    """What QEMU's arguments and its threads' /proc/*/status lack of libvirt's
    confinement, "" if nothing."""
    options = {value for name, value in zip(arguments, arguments[1:])
               if name == "-sandbox"}
    if not any(SANDBOX <= set(value.split(",")) for value in options):
        return f"QEMU is started with -sandbox {options or 'left out'}"
    if not threads:
        return "QEMU has no threads"
    for status in threads:
        fields = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.MULTILINE))
        who = f"QEMU's thread {fields.get('Name')}"
        if fields.get("Seccomp") != SECCOMP_FILTER:
            return f"{who} has seccomp mode {fields.get('Seccomp')}"
        if "0" in fields.get("Uid", "0").split():
            return f"{who} runs as root"
    return ""


class Libvirt:
    """The daemons, and virsh."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def start(self) -> None:
        self._mount()
        self._make_user()
        # As udev would have it.
        os.chown("/dev/kvm", 0, grp.getgrnam(GROUP).gr_gid)
        os.chmod("/dev/kvm", 0o660)
        for daemon in DAEMONS:
            self._run(daemon, "--daemon")
        deadline = time.monotonic() + START_LIMIT * self.scale
        while True:
            try:
                self.virsh("version")
                return
            except VirshFailed as error:
                if time.monotonic() > deadline:
                    raise GuestBroken(f"libvirtd does not answer: {error}"
                                      ) from error
            time.sleep(POLL)

    def _run(self, *command: str) -> None:
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                                  capture_output=True, check=False)
        except FileNotFoundError as error:
            raise GuestBroken(f"{command[0]} is not installed") from error
        if done.returncode:
            why = " ".join((done.stderr or done.stdout).split())
            raise GuestBroken(f"{' '.join(command)}: {why or '?'}")

    def _mount(self) -> None:
        for folder in FOLDERS:
            os.makedirs(folder, exist_ok=True)
            self._run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs",
                      folder)
        for folder in ("boot", "images"):
            os.makedirs(Path("/var/lib/libvirt", folder))
        # The job's own control group is the root of what libvirt sees, and
        # where there are groups below it there may be no process in it.
        self._run("umount", str(CGROUP))
        self._run("mount", "-t", "cgroup2", "cgroup2", str(CGROUP))
        own = CGROUP / "case"
        own.mkdir()
        for pid in (CGROUP / "cgroup.procs").read_text().split():
            (own / "cgroup.procs").write_text(pid)

    @staticmethod
    def _make_user() -> None:
        """By hand: adduser wants to read /etc/shadow, which is not to be read
        where the lab is run without root's rights."""
        for name, gid in ((GROUP, KVM_ID), (USER, USER_ID)):
            try:
                grp.getgrnam(name)
            except KeyError:
                with open("/etc/group", "a", encoding="ascii") as file:
                    file.write(f"{name}:x:{gid}:{USER}\n")
        try:
            pwd.getpwnam(USER)
        except KeyError:
            gid = grp.getgrnam(GROUP).gr_gid
            with open("/etc/passwd", "a", encoding="ascii") as file:
                file.write(f"{USER}:x:{USER_ID}:{gid}::/var/lib/libvirt:"
                           "/usr/sbin/nologin\n")

    def virsh(self, *arguments: str) -> str:
        """Its output."""
        command = ["virsh", "--connect", "qemu:///system", *arguments]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                                  capture_output=True, check=False,
                                  timeout=COMMAND_LIMIT * self.scale)
        except FileNotFoundError as error:
            raise GuestBroken("virsh is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise VirshFailed(f"virsh {arguments[0]}: no answer") from error
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise VirshFailed(f"virsh {arguments[0]}: {' '.join(lines)}")
        return done.stdout

    @staticmethod
    def pid(domain: str) -> int:
        """That of its QEMU."""
        return int(Path(f"/run/libvirt/qemu/{domain}.pid").read_text())

    @staticmethod
    def last_words(domain: str) -> str:
        """Of its QEMU, and of libvirt about it."""
        lines = last_lines(Path(f"/var/log/libvirt/qemu/{domain}.log"), 2)
        return " / ".join(lines)

    def stop(self, logs: Path) -> None:
        """Keeps what the daemons and QEMU have said."""
        for daemon in reversed(DAEMONS):
            try:
                pid = int(Path(f"/run/{daemon}.pid").read_text())
                os.kill(pid, signal.SIGTERM)
            except (OSError, ValueError):
                pass
        shutil.copytree("/var/log/libvirt", logs, dirs_exist_ok=True)
