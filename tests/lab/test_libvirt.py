# SPDX-License-Identifier: GPL-2.0-or-later
"""The logic of the libvirt cases, as far as it needs no libvirt.  Run by
selftest."""

from __future__ import annotations

import contextlib
import io
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from unittest import mock

from vmlab import guest, hostdev, virtcase
from vmlab.domain import EXAMPLE, OVERRIDE, QEMU_NAMESPACE, Domain
from vmlab.errors import Usage
from vmlab.libvirtd import VirshFailed, confinement

Q = f"{{{QEMU_NAMESPACE}}}"


class DomainTest(unittest.TestCase):
    """The example, and what is made of it."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name, "domain.xml")
        self.domain = Domain()

    def written(self) -> ElementTree.Element:
        self.domain.write(self.file)
        return ElementTree.parse(self.file).getroot()

    def test_device(self) -> None:
        self.domain.use_device("0000:3f:1e.7")
        self.domain.write_device(self.file)
        device = ElementTree.parse(self.file).getroot()
        self.assertEqual((device.tag, device.get("managed")),
                         ("hostdev", "yes"))
        address = device.find("source/address")
        assert address is not None
        self.assertEqual(address.attrib, {
            "domain": "0x0000", "bus": "0x3f", "slot": "0x1e",
            "function": "0x7"})
        for wrong in ("3f:1e.7", "0000:3f:1e.8", "0000:3f:1e.7,x=1", ""):
            with self.subTest(wrong), self.assertRaises(Usage):
                self.domain.use_device(wrong)

    def test_guest(self) -> None:
        self.domain.boot_guest(Path("/k"), Path("/i"), "a=b & c")
        self.domain.report_to(Path("/one"), Path("/two"))
        root = self.written()
        self.assertEqual(root.findtext("os/cmdline"), "a=b & c")
        self.assertEqual([s.get("path") for s in
                          root.findall("devices/serial/source")],
                         ["/one", "/two"])
        self.assertEqual([s.get("type") for s in
                          root.findall("devices/serial")], ["file"] * 2)

    def test_override(self) -> None:
        self.assertIsNone(self.written().find(f"{Q}override"))
        self.domain.use_override()
        found = self.written().findall(f"{Q}override/{Q}device")
        self.assertEqual([d.get("alias") for d in found], [self.domain.alias])
        # libvirt wants that prefix, not only that name space.
        self.assertIn("<qemu:override", self.file.read_text(encoding="utf-8"))

    def test_override_of_another_device(self) -> None:
        text = OVERRIDE.read_text(encoding="utf-8")
        self.file.write_text(text.replace("ua-device", "ua-other"),
                             encoding="utf-8")
        with mock.patch("vmlab.domain.OVERRIDE", self.file), \
                self.assertRaises(Usage):
            self.domain.use_override()

    def test_example_that_lacks_something(self) -> None:
        text = EXAMPLE.read_text(encoding="utf-8")
        self.file.write_text(text.replace("emulator>", "other>"),
                             encoding="utf-8")
        with mock.patch("vmlab.domain.EXAMPLE", self.file), \
                self.assertRaises(Usage) as caught:
            Domain().use_emulator(Path("/q"))
        self.assertIn("devices/emulator", str(caught.exception))


class ConfinementTest(unittest.TestCase):
    """What is asked of libvirt's QEMU."""

    ARGUMENTS = ["qemu", "-sandbox", "on,obsolete=deny,elevateprivileges=deny,"
                 "spawn=deny,resourcecontrol=deny", "-msg", "timestamp=on"]
    THREAD = "Name:\tCPU 0/KVM\nUid:\t64055\t64055\t64055\t64055\nSeccomp:\t2\n"

    def test_good(self) -> None:
        self.assertEqual(confinement(self.ARGUMENTS, [self.THREAD] * 2), "")

    def test_sandbox(self) -> None:
        for options in ("off", "on", self.ARGUMENTS[2].replace(
                "spawn=deny", "spawn=allow")):
            with self.subTest(options):
                self.assertIn("-sandbox", confinement(
                    ["qemu", "-sandbox", options], [self.THREAD]))
        self.assertIn("left out", confinement(["qemu"], [self.THREAD]))

    def test_threads(self) -> None:
        for old, new, why in (("Seccomp:\t2", "Seccomp:\t0", "seccomp mode 0"),
                              ("Seccomp:\t2\n", "", "seccomp mode None"),
                              ("\t64055\n", "\t0\n", "runs as root"),
                              ("Uid:", "Gid:", "runs as root")):
            with self.subTest(why):
                self.assertIn(why, confinement(self.ARGUMENTS, [
                    self.THREAD, self.THREAD.replace(old, new)]))
        self.assertIn("no threads", confinement(self.ARGUMENTS, []))


class HostDeviceTest(unittest.TestCase):
    """What sysfs says of a device."""

    @staticmethod
    def config(control: int) -> bytes:
        """PCI Express first, then MSI-X, as there is more than one."""
        data = bytearray(256)
        data[0x34] = 0x40
        data[0x40:0x42] = bytes((0x10, 0x80))
        data[0x80:0x84] = bytes((0x11, 0)) + control.to_bytes(2, "little")
        return bytes(data)

    def test_msix(self) -> None:
        self.assertTrue(hostdev.msix_enabled(self.config(0x801f)))
        self.assertFalse(hostdev.msix_enabled(self.config(0x001f)))
        self.assertFalse(hostdev.msix_enabled(self.config(0x401f)))

    def test_no_msix(self) -> None:
        with self.assertRaises(ValueError):
            hostdev.msix_enabled(bytes(256))
        ring = bytearray(256)
        ring[0x34], ring[0x41] = 0x40, 0x40
        with self.assertRaises(ValueError):
            hostdev.msix_enabled(bytes(ring))

    def test_driver(self) -> None:
        with tempfile.TemporaryDirectory() as name, \
                mock.patch.object(hostdev, "DEVICES", Path(name)):
            folder = Path(name, "0000:00:05.0")
            folder.mkdir()
            device = hostdev.HostDevice("0000:00:05.0")
            self.assertEqual(device.driver, "")
            Path(name, "uio").mkdir()
            (folder / "driver").symlink_to("../uio")
            self.assertEqual(device.driver, "uio")
            (folder / "driver_override").write_text("(null)\n")
            self.assertEqual(device.override, "")
            (folder / "driver_override").write_text("vfio-pci\n")
            self.assertEqual(device.override, "vfio-pci")


class CaseTest(unittest.TestCase):
    """How a course is understood and judged."""

    INFO = ("vfio-pci 0000:01:00.0: id=ua-device interrupt=msix\n"
            "  msix: host-dynamic=%d vectors=32 used=3 host-vectors=4 "
            "triggers=3 function-masked=0 resizes=%d replays=%d "
            "setup-failures=0\n"
            "  vector 0: address=0x1 data=0x2 masked=0 state=irqfd\n")

    def judge(self, dynamic: int, resizes: int, replays: int) -> str:
        return virtcase.judge_override(virtcase.counts(
            self.INFO % (dynamic, resizes, replays)))

    def test_override(self) -> None:
        self.assertEqual(self.judge(0, 5, 0), "")
        self.assertIn("host-dynamic=1", self.judge(1, 0, 0))
        self.assertIn("replays=9", self.judge(0, 5, 9))
        self.assertIn("too few vectors", self.judge(0, 2, 0))
        self.assertIn("says nothing", virtcase.judge_override(
            virtcase.counts("pic0: irr=00\n")))

    def test_points_end_with_the_first_failure(self) -> None:
        output = io.StringIO()
        with contextlib.redirect_stdout(output), \
                self.assertRaises(virtcase.Failed):
            points = virtcase.Points(3)
            points.point("a")
            points.point("b", "it is not")
        self.assertEqual(output.getvalue(),
                         "1..3\nok 1 a\nnot ok 2 b: it is not\n")

    def test_wants(self) -> None:
        course = guest.Course()
        for line, wants in (('{"guest":"up"}', ""),
                            ('{"wants":"detach"}', "detach"),
                            ('{"alive":1}', "detach"),
                            ('{"wants":"attach"}', "attach")):
            course.take(line)
            self.assertEqual(course.wants, wants)
        self.assertEqual(course.ended, "")


class FollowTest(unittest.TestCase):
    """A guest that asks for something, or comes to a bad end before."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = Path(folder.name)
        self.case = virtcase.Case(Path("/q"), "0000:00:05.0", Path("/g"),
                                  self.out, [], 1.0)
        self.watch = guest.Watch(self.out, 1.0)
        self.there = "msix\n"
        self.answer: str | VirshFailed = CaseTest.INFO % (1, 0, 0)
        self.case.libvirt = mock.Mock()
        self.case.libvirt.virsh = self.virsh
        self.case.libvirt.last_words.return_value = "reason=crashed"

    def virsh(self, command: str, *_: str) -> str:
        if command == "list":
            return self.there
        assert command == "qemu-monitor-command"
        if isinstance(self.answer, VirshFailed):
            raise self.answer
        return self.answer

    def follow(self, *lines: str) -> None:
        (self.out / "guest.jsonl").write_text(
            "".join(f"{line}\n" for line in lines), encoding="utf-8")
        with mock.patch.object(virtcase, "POLL", 0.01):
            # pylint: disable-next=protected-access
            self.case._follow(self.watch, "detach")

    def test_wants(self) -> None:
        self.answer += "x irqfd-assigned=3"
        self.follow('{"guest":"up"}', '{"wants":"detach"}')
        self.assertEqual(self.watch.states.seen, {0})

    def test_guest_that_cannot_measure(self) -> None:
        with self.assertRaises(guest.GuestBroken) as caught:
            self.follow('{"guest":"status 2"}')
        self.assertIn("could not measure: status 2", str(caught.exception))

    def test_domain_is_gone(self) -> None:
        self.answer, self.there = VirshFailed("not running"), ""
        with self.assertRaises(guest.GuestBroken) as caught:
            self.follow('{"guest":"up"}')
        self.assertIn("reason=crashed", str(caught.exception))

    def test_no_answer(self) -> None:
        self.answer = VirshFailed("no answer")
        with self.assertRaises(VirshFailed):
            self.follow('{"guest":"up"}')

    def test_silence(self) -> None:
        self.watch.deadline = 0
        self.watch.lines.path = self.out / "none"
        with self.assertRaises(guest.GuestBroken):
            self.follow('{"guest":"up"}')
