#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of what the scenarios read out of other programs' words: no lab is needed."""
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from scenarios import strace, traffic  # noqa: E402
from scenarios.bench import ABSENT, MOVING, SYNTHETIC, VF, path_of  # noqa: E402
from scenarios.registry import ALL  # noqa: E402

_MAC = "52:54:00:12:34:56"
_TO_UPLINK = f"{_MAC} dev enp1s0 vlan 1 sticky master br0 static\n{_MAC} dev enp1s0 sticky master br0 static\n"
_TO_TAP = f"{_MAC} dev g1n0 sticky master br0 static\n"
_FILTER = f"{_MAC} dev enp1s0 self permanent\n"


class Paths(unittest.TestCase):
    def test_steady_states(self):
        learned = f"{_MAC} dev enp1s0 master br0 \n"
        for tables, path in ((_TO_UPLINK, VF), (_TO_TAP + _FILTER, SYNTHETIC), ("", ABSENT), (learned, ABSENT)):
            self.assertEqual(path_of(tables, ("enp1s0",), "enp1s0", "g1n0"), path, tables)

    def test_everything_else_is_a_move(self):
        for tables in (_TO_UPLINK + _FILTER, _TO_TAP, _TO_TAP + _TO_UPLINK, _FILTER, _TO_UPLINK + "COPIES\n",
                       _TO_TAP + _FILTER + "COPIES\n"):
            self.assertEqual(path_of(tables, ("enp1s0",), "enp1s0", "g1n0"), MOVING, tables)


class Gaps(unittest.TestCase):
    def test_missing_numbers(self):
        self.assertEqual(traffic._gaps([1, 2, 3]), [])
        self.assertEqual(traffic._gaps([3, 4, 8]), [2, 3])
        self.assertEqual(traffic._gaps([]), [])


class Strace(unittest.TestCase):
    TEXT = """\
417 sendmsg(3<NETLINK:[ROUTE:417]>, {msg_iov=[{iov_base=[{nlmsg_len=40, nlmsg_type=RTM_GETLINK, nlmsg_flags=NLM_F_REQUEST}]}]}, 0) = 40
417 recvmsg(3<NETLINK:[ROUTE:417]>, {msg_iov=[{iov_base=[{nlmsg_len=40, nlmsg_type=RTM_NEWLINK, nlmsg_flags=0}]}]}, 0) = 40
417 sendmsg(3<NETLINK:[ROUTE:417]>, {msg_iov=[{iov_base=[{nlmsg_len=48, nlmsg_type=RTM_NEWNEIGH, nlmsg_flags=NLM_F_REQUEST}]}]}, 0) = 48
417 openat(AT_FDCWD</>, "/sys/bus/pci/devices/0000:01:10.0/msi_irqs", O_RDONLY|O_DIRECTORY) = 5
417 openat(AT_FDCWD</>, "/sys/bus/pci/drivers_probe", O_WRONLY|O_CLOEXEC) = 5
417 openat(AT_FDCWD</>, "/proc/self/task/418/comm", O_RDWR) = 5
418 write(9<UNIX-STREAM:[12->13]>, "...", 28) = 28
418 write(9<UNIX-STREAM:[12->13]>, "...", 80) = 80
418 write(8<UNIX-STREAM:[14->15]>, "...", 80) = 80
% time     seconds  usecs/call     calls    errors syscall
100.00    0.000001           1         1           sendmsg
"""

    def test_counts(self):
        found = strace.parse(self.TEXT, {"13"})
        self.assertEqual(found.netlink_writes, ["RTM_NEWNEIGH"])
        self.assertEqual(found.netlink_reads, 1)
        self.assertEqual(found.sysfs_writes, ["/sys/bus/pci/drivers_probe"])
        self.assertEqual(found.vectors_reads, 1)
        self.assertEqual(found.libvirt_calls, 1)
        self.assertTrue(found.summary.startswith("% time"))


class Registry(unittest.TestCase):
    def test_names_and_summaries(self):
        names = [s.name for s in ALL]
        self.assertEqual(len(names), len(set(names)))
        for scenario in ALL:
            self.assertTrue(scenario.summary, scenario.name)


if __name__ == "__main__":
    unittest.main()
