#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the leftover check, with what real hosts said: no lab is needed.

samples/: the output of collect.bash on a host with g1 on a VF, with it on the synthetic
path, after it was gone, with what is left when it goes while the daemon is dead, and
on a host that was littered by hand.
"""
import copy
import json
import os
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from checktool import baseline, cli, rules  # noqa: E402
from checktool.snapshot import GuestVf, parse  # noqa: E402
from labtool.addresses import Guest, all_guests  # noqa: E402

_SAMPLES = Path(__file__).with_name("samples")
_G1 = Guest(1)
_MACS = {guest.mac for guest in all_guests()}
_PF = "enp1s0"
_NEIGHBOUR = "52:54:00:5e:01:01"


def sample(name):
    return parse("h1", [_PF], _PF, (_SAMPLES / f"{name}.txt").read_text())


def untouched():
    """The baseline that the host had: free VFs look the same after a guest has gone."""
    return baseline.of(sample("empty"))


class CheckTest(unittest.TestCase):
    def check(self, snapshot, *expected, base=None):
        """Exactly these sentences, each given by a part of it, in any order."""
        found = rules.differences(snapshot, base or untouched(), _MACS)
        rest = list(found)
        for part in expected:
            matching = [s for s in rest if part in s]
            self.assertTrue(matching, f"nothing says {part!r} in {found}")
            rest.remove(matching[0])
        self.assertEqual(rest, [], "nothing else is said")


class Parsing(CheckTest):
    def test_on_vf(self):
        snapshot = sample("on-vf")
        self.assertEqual([vf.index for vf in snapshot.vfs], [0, 1, 2, 3])
        self.assertEqual((snapshot.vfs[0].mac, snapshot.vfs[0].driver), (_G1.mac, "vfio-pci"))
        self.assertGreater(snapshot.vfs[0].vectors, 0)
        self.assertEqual(snapshot.pins, {_G1.mac: {(_PF, True)}})
        self.assertEqual(snapshot.filters, {_PF: {_NEIGHBOUR}})
        self.assertEqual(snapshot.copies, [])
        self.assertEqual(snapshot.ports, {_PF: 1, "nbr0": 1, _G1.tap: 2})
        self.assertEqual([d.name for d in snapshot.domains], [_G1.name])
        self.assertEqual(snapshot.domains[0].vfs, (GuestVf("ua-vf-net0", snapshot.vfs[0].address, "ua-net0"),))
        self.assertEqual(list(snapshot.claims), [f"{snapshot.vfs[0].address}.json"])
        self.assertTrue(snapshot.daemon_runs and snapshot.had_guests)

    def test_littered(self):
        snapshot = sample("littered")
        vf = snapshot.vfs[1]
        self.assertEqual((vf.vlan, vf.qos, vf.spoofchk, vf.trust), (7, 3, False, True))
        self.assertEqual(snapshot.copies, [f"ingress flower {_G1.mac} redirect to dummy0",
                                           f"egress flower {_G1.mac} mirror to dummy0"])
        self.assertEqual(snapshot.pins, {"52:54:00:12:34:58": {("dummy0", True)},
                                         "52:54:00:12:34:59": {("dummy0", False)}})

    def test_a_host_without_sriov(self):
        text = (_SAMPLES / "empty.txt").read_text()
        lines = [line for line in text.splitlines() if "igbvf" not in line]
        self.assertEqual(parse("h1", [_PF], _PF, "\n".join(lines)).vfs, [])

    def test_half_written_file(self):
        text = (_SAMPLES / "on-vf.txt").read_text().replace('"alias": "ua-net0",', '"alias": "ua-', 1)
        snapshot = parse("h1", [_PF], _PF, text)
        self.assertEqual(list(snapshot.claims.values()), [None])


class Clean(CheckTest):
    def test_every_state_that_is_right(self):
        for name in ("empty", "on-vf", "synthetic"):
            with self.subTest(name):
                self.check(sample(name))
                self.check(sample(name), base=baseline.derived(sample(name)))

    def test_a_guest_that_vswitch_does_not_know(self):
        snapshot = sample("synthetic")
        snapshot.daemon_runs, snapshot.records, snapshot.pins = False, {}, {}
        snapshot.filters = {_PF: {_NEIGHBOUR}}
        self.check(snapshot)

    def test_a_vf_that_somebody_else_gave(self):
        snapshot = sample("on-vf")
        snapshot.claims, snapshot.records, snapshot.pins = {}, {}, {}
        domain = snapshot.domains[0]
        snapshot.domains = [replace(domain, vfs=(replace(domain.vfs[0], alias="ua-vf0"),))]
        self.check(snapshot)

    def test_the_senders_may_be_reachable(self):
        snapshot = sample("empty")
        snapshot.filters[_PF].add("52:54:00:5e:01:02")
        self.check(snapshot)


    def test_whoever_is_behind_the_bridge_may_be_reachable(self):
        snapshot = sample("empty")
        snapshot.filters[_PF].add("02:00:00:00:00:77")
        self.check(snapshot, "uplink filter 02:00:00:00:00:77")
        snapshot.behind.add("02:00:00:00:00:77")
        self.check(snapshot)


class WithoutGuest(CheckTest):
    def test_left_by_a_guest_that_went_unseen(self):
        self.check(sample("left-behind"), f"uplink filter {_G1.mac} on {_PF}: no guest", "record of g1/ua-net0: that guest")

    def test_everything_that_lies_about_is_named(self):
        vf1, vf2 = "VF 1 (0000:01:10.2) has ", "VF 2 (0000:01:10.4) has "
        self.check(sample("littered"), vf1 + "vlan 7", vf1 + "qos 3", vf1 + "spoofchk off", vf1 + "trust on",
                   vf2 + "MAC 52:54:00:12:34:57", "claims/0000:01:10.4.new cannot be read",
                   "pin of 52:54:00:12:34:58 to dummy0", "pin of 52:54:00:12:34:59 to dummy0",
                   "uplink filter 52:54:00:12:34:58", "(ingress flower", "(egress flower",
                   base=baseline.derived(sample("littered")))

    def test_free_vf_with_a_setting(self):
        for name, value in (("vlan", 5), ("spoofchk", False), ("trust", True), ("driver", "vfio-pci"),
                            ("override", "vfio-pci"), ("mac", _G1.mac), ("link_state", "enable")):
            with self.subTest(name):
                snapshot = sample("empty")
                snapshot.vfs[1] = replace(snapshot.vfs[1], **{name: value})
                self.check(snapshot, "VF 1 (0000:01:10.2) has ")

    def test_another_mac_than_before(self):
        snapshot = sample("empty")
        snapshot.vfs[1] = replace(snapshot.vfs[1], mac="02:00:00:00:00:01")
        self.check(snapshot, "VF 1 (0000:01:10.2) has MAC 02:00:00:00:00:01: nobody has it")
        self.check(snapshot, base=baseline.derived(snapshot))   # it cannot tell

    def test_pin(self):
        snapshot = sample("empty")
        snapshot.pins[_G1.mac] = {(_PF, True)}
        self.check(snapshot, f"pin of {_G1.mac} to enp1s0: no guest")

    def test_uplink_filter_of_another_that_is_gone(self):
        base, foreign = untouched(), "02:00:00:00:00:77"
        base.filters[_PF].add(foreign)
        self.check(sample("empty"), f"no uplink filter {foreign} on {_PF}: it was there before", base=base)

    def test_claim_and_lease(self):
        snapshot = sample("empty")
        claims = sample("on-vf").claims
        snapshot.claims = claims
        self.check(snapshot, "claim of VF 0000:01:10.0 for g1/ua-net0: that guest has no VF here")
        claim = copy.deepcopy(next(iter(claims.values())))
        snapshot.claims = {"0000:01:10.0.json": {**claim, "leased": True}}
        self.check(snapshot, "lease of VF 0000:01:10.0 for g1/ua-net0")

    def test_unreadable_files(self):
        snapshot = sample("empty")
        snapshot.claims, snapshot.records = {"x.new": None}, {"y.new": None}
        self.check(snapshot, "claims/x.new cannot be read", "nics/y.new cannot be read")

    def test_no_libvirt(self):
        snapshot = sample("empty")
        snapshot.libvirt = "cannot connect"
        self.check(snapshot, "libvirt does not say what runs here: cannot connect")


class OnVf(CheckTest):
    def setUp(self):
        self.snapshot = sample("on-vf")

    def test_no_claim(self):
        self.snapshot.claims = {}
        self.check(self.snapshot, "no claim of VF 0000:01:10.0")

    def test_claim_of_another(self):
        next(iter(self.snapshot.claims.values())).update(uuid="2", leased=True)
        self.check(self.snapshot, "has uuid 2", "is still a lease")

    def test_claim_that_would_restore_what_never_was(self):
        next(iter(self.snapshot.claims.values()))["before"]["mac"] = _G1.mac
        self.check(self.snapshot, f"would restore mac {_G1.mac}")

    def test_vf(self):
        for name, value in (("mac", "00:00:00:00:00:00"), ("vlan", 5), ("spoofchk", False), ("trust", True),
                            ("driver", "igbvf")):
            with self.subTest(name):
                self.snapshot = sample("on-vf")
                self.snapshot.vfs[0] = replace(self.snapshot.vfs[0], **{name: value})
                self.check(self.snapshot, f"VF 0 (0000:01:10.0) of g1/ua-net0 has {'MAC' if name == 'mac' else name}")

    def test_guest_does_not_drive_it(self):
        self.snapshot.vfs[0] = replace(self.snapshot.vfs[0], vectors=0)
        self.check(self.snapshot, "has no interrupt vectors")

    def test_pin(self):
        self.snapshot.pins = {_G1.mac: {(_G1.tap, True)}}
        self.check(self.snapshot, f"pin of {_G1.mac} to {_G1.tap}: g1/ua-net0 is on a VF",
                   f"no pin of {_G1.mac} to enp1s0")
        self.snapshot.pins = {_G1.mac: {(_PF, False)}}
        self.check(self.snapshot, "is not sticky")

    def test_uplink_filter(self):
        self.snapshot.filters[_PF].add(_G1.mac)
        self.check(self.snapshot, f"uplink filter {_G1.mac} on {_PF}: g1/ua-net0 is on a VF")

    def test_multicast_router(self):
        self.snapshot.ports[_G1.tap] = 1
        self.check(self.snapshot, f"multicast_router of {_G1.tap} is 1, not 2")

    def test_no_record(self):
        self.snapshot.records = {}
        self.check(self.snapshot, "no record of g1/ua-net0")


class OnSyntheticPath(CheckTest):
    def setUp(self):
        self.snapshot = sample("synthetic")

    def test_pin(self):
        self.snapshot.pins = {}
        self.check(self.snapshot, f"no pin of {_G1.mac} to {_G1.tap}")

    def test_uplink_filter(self):
        self.snapshot.filters[_PF].discard(_G1.mac)
        self.check(self.snapshot, f"no uplink filter {_G1.mac}")

    def test_multicast_router(self):
        self.snapshot.ports[_G1.tap] = 2
        self.check(self.snapshot, f"multicast_router of {_G1.tap} is 2, not 1")

    def test_tap_is_no_port(self):
        del self.snapshot.ports[_G1.tap]
        self.check(self.snapshot, f"{_G1.tap} is no port of the bridge")

    def test_vf_kept_the_mac(self):
        self.snapshot.vfs[0] = replace(self.snapshot.vfs[0], mac=_G1.mac)
        self.check(self.snapshot, f"VF 0 (0000:01:10.0) has MAC {_G1.mac}: nobody has it")


class Everywhere(unittest.TestCase):
    def test_guest_on_two_hosts(self):
        here, there = sample("on-vf"), sample("synthetic")
        there.host = "h2"
        self.assertEqual(list(rules.everywhere([here, there])), [("h2", "guest g1 runs here and on h1")])
        self.assertEqual(list(rules.everywhere([here])), [])


class Baselines(unittest.TestCase):
    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(mock.patch.object(baseline, "FILE", Path(directory, "baseline.json")))

    def test_is_kept(self):
        snapshot = sample("empty")
        baseline.save([snapshot])
        kept, seen = baseline.get(snapshot)
        self.assertTrue(seen)
        self.assertEqual(kept, baseline.of(snapshot))

    def test_is_taken_only_from_an_untouched_host(self):
        self.assertFalse(baseline.get(sample("empty"))[1])      # had a guest
        fresh = sample("empty")
        fresh.had_guests = False
        self.assertTrue(baseline.get(fresh)[1])
        self.assertTrue(baseline.get(sample("on-vf"))[1], "and is there from then on")


class Command(unittest.TestCase):
    def run_with(self, snapshot, *arguments):
        with mock.patch.object(cli, "collect", return_value=[snapshot]), \
             mock.patch.object(baseline, "get", return_value=(untouched(), True)), \
             mock.patch("sys.stdout") as out:
            code = cli.main(list(arguments))
        return code, "".join(call.args[0] for call in out.write.call_args_list)

    def test_exit_codes_and_text(self):
        self.assertEqual(self.run_with(sample("on-vf")), (0, ""))
        code, text = self.run_with(sample("left-behind"))
        self.assertEqual(code, 1)
        self.assertIn(f"h1: uplink filter {_G1.mac} on {_PF}: no guest here has that MAC\n", text)

    def test_json(self):
        code, text = self.run_with(sample("left-behind"), "--json")
        self.assertEqual(code, 1)
        self.assertEqual({f["host"] for f in json.loads(text)}, {"h1"})
        self.assertEqual(len(json.loads(text)), 2)


if __name__ == "__main__":
    unittest.main()
