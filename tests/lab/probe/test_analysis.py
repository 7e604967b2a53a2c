#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unit tests of the analysis, with records made up here: no lab, no root."""
import math
import struct
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probe import analysis, clocks, guest_events, records  # noqa: E402  (the path above has to be set first)

MS = 1_000_000
TRIP = 4 * MS               # there and back
STEP = 5 * MS               # between two frames of a sender
START = 1000 * MS           # of the probe, on our clock
GUEST = 50_000 * MS         # the guest's clock is ahead by this
HOST = 1_700_000_000_000 * MS

TAKEN = analysis.ACCEPTED | analysis.ANSWERED
WIRE = analysis.SenderInfo(0, "wire", "wire", "")
LINK = "link name=eth2 index={index} role=primary enslaved={enslaved} up={up} running={running}"


class World:
    """A run of `count` frames from one sender, in which everything arrives until told otherwise."""

    def __init__(self, count=400):
        self.sent = [START + i * STEP for i in range(count)]
        self.offset = {}            # sequence -> guest's clock less ours, when it is not GUEST
        self.lost = {}              # sequence -> what the guest noted
        self.duplicates = {}
        self.taken = {}             # sequence -> guest's clock when it was accepted, if late
        self.log = []
        self.seen = []              # of host h1
        self.vm_events = []

    def at(self, sequence):
        return self.sent[sequence]

    def say(self, sequence, text, late=0):
        """An event in the guest when the frame would be there."""
        self.log.append(f"{self.at(sequence) + TRIP // 2 + GUEST + late} {text}")

    def link(self, sequence, enslaved=1, up=1, running=1, index=4):
        self.say(sequence, LINK.format(index=index, enslaved=enslaved, up=up, running=running))

    def trace(self, sequence, point, late=0):
        self.say(sequence, f"trace point={point} result=0", late)

    def lose(self, begin, end, noted=0):
        self.lost.update({s: noted for s in range(begin, end)})

    def on_host(self, sequence, place, answer=False):
        """A frame on host h1, and with it the host's clock."""
        stamp = HOST + self.at(sequence) + (TRIP * 3 // 4 if answer else TRIP // 4)
        self.seen.append(records.Seen(place, not answer, answer, 0, sequence, stamp))

    def vm_event(self, sequence, name):
        self.vm_events.append(analysis.VmEvent("h1", HOST + self.at(sequence), name))

    def measurement(self, watched=True):
        replies = {}
        for sequence, stamp in enumerate(self.sent):
            if sequence not in self.lost:
                guest = stamp + TRIP // 2 + self.offset.get(sequence, GUEST)
                replies[sequence] = [(stamp + TRIP, guest)] * (1 + self.duplicates.get(sequence, 0))
        noted = bytes(self.lost.get(s, TAKEN | analysis.SEEN_STANDBY) for s in range(len(self.sent)))
        sent, replies, noted = {0: self.sent}, {0: replies}, {0: noted}
        accepted_at = {0: {s: self.taken.get(s, self.at(s) + TRIP // 2 + GUEST) // MS
                           for s in analysis.unanswered(sent, replies, noted)[0]}}
        return analysis.Measurement(
            senders=[WIRE], sent=sent, replies=replies, noted=noted, accepted_at=accepted_at,
            guest_log="\n".join(self.log), captures=[analysis.Capture("h1", self.seen)],
            vm_events=self.vm_events if watched else None, pf_names={"h1": "enp1s0"}, tap_name="g1n0")

    def row(self, watched=True):
        return next(analysis.Analysis(self.measurement(watched)).rows())


class Counting(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.world.say(0, "begin")

    def test_nothing_lost(self):
        row = self.world.row()
        self.assertEqual((row["sent"], row["reached"], row["answered"], row["lost"]), (400, 400, 400, 0))
        self.assertEqual((row["gaps"], row["longest_gap_ms"], row["duplicates"]), ([], 0, 0))
        self.assertLess(row["longest_silence_ms"], 10)

    def test_gaps(self):
        self.world.lose(100, 110)
        self.world.lose(200, 201)
        row = self.world.row()
        self.assertEqual(row["gaps"], [{"start_ms": 500.0, "length_ms": 55.0, "frames": 10},
                                       {"start_ms": 1000.0, "length_ms": 10.0, "frames": 1}])
        self.assertEqual((row["longest_gap_ms"], row["longest_silence_ms"]), (55.0, 55.0))

    def test_gap_until_the_end(self):
        self.world.lose(390, 400)
        self.assertEqual(self.world.row()["gaps"], [{"start_ms": 1950.0, "length_ms": 50.0, "frames": 10}])

    def test_all_lost(self):
        self.world.lose(0, 400)
        row = self.world.row()
        self.assertEqual((row["lost"], row["answered"], len(row["gaps"])), (400, 0, 1))

    def test_versions(self):
        self.world.lose(100, 101)
        rows = {r["version"]: r for r in analysis.Analysis(self.world.measurement()).rows()}
        self.assertEqual([rows[v]["lost"] for v in ("all", 4, 6)], [1, 1, 0])
        self.assertEqual([rows[v]["sent"] for v in ("all", 4, 6)], [400, 200, 200])

    def test_directions(self):
        self.world.lose(100, 103, TAKEN)
        self.world.lose(200, 204)
        row = self.world.row()
        self.assertEqual((row["lost_to_guest"], row["lost_from_guest"], row["reached"]), (4, 3, 396))

    def test_duplicates(self):
        self.world.duplicates = {5: 1, 6: 2}
        self.assertEqual(self.world.row()["duplicates"], 3)


class Charges(unittest.TestCase):
    """Releases and acquires: the guest's own time against the host's."""

    def setUp(self):
        self.world = World()

    def on_vf(self):
        self.world.link(0)
        self.world.say(0, "begin")

    def charges(self, watched=True):
        row = self.world.row(watched)
        return row["lost_by_host"], row["lost_by_guest"], row["lost_stopped"]

    def test_open_path_not_fed(self):
        self.on_vf()
        self.world.lose(100, 110)
        self.assertEqual(self.charges(), (10, 0, 0))

    def test_deaf_standby_is_no_excuse(self):
        self.on_vf()
        self.world.lose(100, 110, analysis.SEEN_STANDBY)
        self.assertEqual(self.charges(), (10, 0, 0))

    def test_dropped_on_the_open_path(self):
        self.on_vf()
        self.world.lose(100, 110, analysis.SEEN_PRIMARY)
        self.assertEqual(self.charges(), (0, 10, 0))

    def test_release(self):
        """Closed from frame 100 to 150; lost until 160: the last ten are the host's."""
        self.on_vf()
        self.world.trace(100, "vf_removing")
        self.world.trace(120, "vf_closing")
        self.world.trace(150, "unregistered")
        self.world.lose(100, 160, analysis.SEEN_STANDBY)
        self.world.lose(150, 160)
        host, guest, _ = self.charges()
        self.assertEqual(host + guest, 60)
        # The change to the synthetic path falls into the gap: known to within a frame before and after it.
        self.assertAlmostEqual(host, 9, delta=2)

    def test_release_fed_too_late_and_too_early(self):
        """Frames lost well before the VF closed are the host's: it had stopped to feed it."""
        self.on_vf()
        self.world.trace(100, "vf_closing")
        self.world.trace(110, "unregistered")
        self.world.lose(80, 110, analysis.SEEN_STANDBY)
        host, _, _ = self.charges()
        # The tolerance of 20 ms is four frames.
        self.assertAlmostEqual(host, 16, delta=1)

    def test_late_notices(self):
        """Without traces the notice counts, and "running" ends the synthetic path's time."""
        self.world.say(0, "trace-missing")
        self.on_vf()
        self.world.link(120, up=0, running=0)
        self.world.link(130, enslaved=0, up=0, running=0)
        self.world.lose(121, 130)
        self.assertEqual(self.charges()[1], 9)

    def acquire(self):
        self.world.say(0, "begin")
        self.world.trace(100, "registering")
        self.world.trace(110, "vf_opened")
        self.world.trace(111, "registered")
        self.world.link(112, running=0)
        self.world.link(130)

    def test_acquire_is_no_excuse(self):
        """The standby is open until the VF is: nothing may be lost."""
        self.acquire()
        self.world.lose(90, 130)
        self.assertEqual(self.charges(), (40, 0, 0))

    def test_acquire_on_the_edge(self):
        """The copy on the standby came too late, the one on the VF too early."""
        self.acquire()
        self.world.lose(108, 111, analysis.SEEN_STANDBY)
        self.assertEqual(self.charges(), (0, 3, 0))

    def test_vf_that_never_runs(self):
        """The guest is deaf: net_failover has chosen a VF without a carrier."""
        self.world.say(0, "begin")
        self.world.trace(100, "registering")
        self.world.trace(110, "vf_opened")
        self.world.trace(111, "registered")
        self.world.lose(120, 400)
        self.assertEqual(self.charges()[0], 0)

    def test_refused_vf(self):
        self.world.say(0, "begin")
        self.world.trace(100, "registering")
        self.world.say(105, "trace point=registered result=-22")
        self.world.lose(200, 210)
        self.assertEqual(self.charges(), (10, 0, 0))

    def test_full_tap(self):
        """The host did feed the path that was open; deaf, it would not have been fed."""
        for on_vf, charged in ((False, (0, 10, 0)), (True, (10, 0, 0))):
            self.world = World()
            if on_vf:
                self.world.link(0)
            self.world.say(0, "begin")
            self.world.lose(100, 110)
            for sequence in range(100, 110):
                self.world.on_host(sequence, "g1n0")
            self.assertEqual(self.charges(), charged)

    def test_held_on_the_way(self):
        """A host that is late hands a frame over when the VF is closing: not its loss."""
        self.on_vf()
        self.world.trace(100, "vf_closing")
        self.world.trace(110, "unregistered")
        self.world.lose(80, 81, analysis.SEEN_STANDBY)
        self.assertEqual(self.charges(), (1, 0, 0))
        self.world.seen.append(records.Seen("g1n0", True, False, 0, 80, HOST + self.world.at(104)))
        for sequence in (99, 120):
            self.world.on_host(sequence, "nb0")
        self.assertEqual(self.charges(), (0, 1, 0))

    def test_full_queue_in_the_guest(self):
        self.on_vf()
        self.world.lose(100, 105, analysis.ACCEPTED | analysis.SEEN_PRIMARY)
        self.assertEqual(self.charges(), (0, 5, 0))

    def test_answer_lost_on_the_way(self):
        self.on_vf()
        self.world.lose(100, 105, TAKEN | analysis.SEEN_PRIMARY)
        self.assertEqual(self.charges(), (5, 0, 0))

    def test_nothing_to_send_by(self):
        """The standby's link is down, and the VF's watchdog has not seen its link yet."""
        self.world.say(0, "link name=eth1 index=3 role=standby enslaved=1 up=1 running=0")
        self.world.say(0, "begin")
        self.world.trace(90, "registering")
        self.world.trace(91, "vf_opened")
        self.world.trace(92, "registered")
        self.world.link(93, running=0)
        self.world.link(200)
        self.world.lose(100, 110, TAKEN)
        self.assertEqual(self.charges(), (0, 10, 0))

    def test_sending_by_the_standby(self):
        """Until the VF runs the guest sends by its standby, and the host has to take it."""
        self.world.say(0, "link name=eth1 index=3 role=standby enslaved=1 up=1 running=1")
        self.acquire()
        self.world.lose(115, 117, TAKEN)
        self.assertEqual(self.charges(), (2, 0, 0))

    def test_answer_lost_while_closing(self):
        self.on_vf()
        self.world.trace(103, "vf_closing")
        self.world.trace(105, "unregistered")
        self.world.lose(100, 105, TAKEN | analysis.SEEN_PRIMARY)
        self.assertEqual(self.charges(), (0, 5, 0))


class SwitchOver(unittest.TestCase):
    """The guest does not run from frame 100 to 150, and its clock stands still."""

    def setUp(self):
        self.world = World()
        self.world.say(0, "begin")
        for sequence in range(400):
            if sequence not in range(100, 150):
                self.world.on_host(sequence, "nb0")
        for sequence in range(150, 400):
            self.world.offset[sequence] = GUEST - 50 * STEP
        self.world.vm_event(100, "STOP")
        self.world.vm_event(150, "RESUME")

    def charges(self, watched=True):
        row = self.world.row(watched)
        return row["lost_by_host"], row["lost_by_guest"], row["lost_stopped"]

    def test_lost_while_stopped(self):
        self.world.lose(97, 150)
        self.assertEqual(self.charges(), (0, 0, 53))

    def test_answer_lost_after_a_long_wait(self):
        """Sent long before the stop, taken by the guest just when it stops."""
        self.world.lose(60, 62, TAKEN)
        self.world.taken = {60: self.world.at(99) + GUEST, 61: self.world.at(99) + GUEST}
        self.assertEqual(self.charges(), (0, 0, 2))

    def test_lost_after_resume(self):
        """The frames still go to the old host."""
        self.world.lose(97, 170)
        host, guest, stopped = self.charges()
        self.assertEqual((host + stopped, guest), (73, 0))
        self.assertAlmostEqual(host, 18, delta=2)

    def test_tap_of_the_old_host(self):
        """Only the tap of the host that the guest runs on is a path of its."""
        self.world.lose(300, 310)
        for sequence in range(300, 310):
            self.world.on_host(sequence, "g1n0")
        self.assertEqual(self.charges(), (0, 10, 0))
        # The same clock serves for both hosts here.
        resumed = self.world.vm_events.pop()
        self.world.vm_events.append(analysis.VmEvent("h2", resumed.stamp, resumed.name))
        measured = self.world.measurement()
        measured.captures.append(analysis.Capture("h2", [s for s in self.world.seen if s.place == "nb0"]))
        row = next(analysis.Analysis(measured).rows())
        self.assertEqual((row["lost_by_host"], row["lost_by_guest"]), (10, 0))

    def test_without_events(self):
        """The jump of the guest's clock tells, less exactly."""
        self.world.lose(97, 150)
        self.assertEqual(self.charges(watched=False), (0, 0, 53))

    def test_switchover_part(self):
        self.world.lose(100, 150)
        self.world.lose(390, 392)
        self.assertEqual(self.world.row()["lost_switchover"], 52)

    def test_switchover_part_ends(self):
        world = World(1000)
        world.say(0, "begin")
        for sequence in range(1000):
            world.on_host(sequence, "nb0")
        world.vm_event(100, "STOP")
        world.vm_event(101, "RESUME")
        world.lose(100, 102)
        world.lose(900, 910)
        self.assertEqual(world.row()["lost_switchover"], 2)


class Places(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.world.link(0)
        self.world.say(0, "begin")

    def place(self):
        return self.world.row()["attribution"][0]["last_seen"]

    def test_sender(self):
        self.world.lose(100, 101)
        self.assertEqual(self.place(), "sender")

    def test_furthest_place_counts(self):
        self.world.lose(100, 101)
        for place in ("enp1s0", "g1n0", "nb0"):
            self.world.on_host(100, place)
        self.assertEqual(self.place(), "g1n0 of h1")

    def test_guest(self):
        self.world.lose(100, 101, analysis.SEEN_STANDBY)
        self.world.on_host(100, "g1n0")
        self.assertEqual(self.place(), "guest's standby")

    def test_answer(self):
        self.world.lose(100, 101, TAKEN)
        self.assertEqual(self.place(), "guest")
        for place in ("enp1s0", "g1n0"):
            self.world.on_host(100, place, answer=True)
        self.assertEqual(self.place(), "enp1s0 of h1")


class Clocks(unittest.TestCase):
    def test_bounds(self):
        clock = clocks.ClockMap([(1000, 0, 40), (2000, 1000, 1010)])
        self.assertEqual(clock.bounds(1000), (0, 15))   # by the second, 5 for the drift
        earliest, latest = clock.bounds(1500)
        self.assertTrue(490 <= earliest <= 500 and 510 <= latest <= 520)

    def test_beyond_the_witnesses(self):
        clock = clocks.ClockMap([(1000, 0, 40)])
        self.assertEqual(clock.bounds(500)[0], -math.inf)
        self.assertEqual(clock.bounds(1500)[1], math.inf)

    def test_a_stop_widens_the_bounds(self):
        """200 ms of ours, 100 of the guest's: a moment in between is known to within 100."""
        clock = clocks.ClockMap([(0, 0, 0), (100 * MS, 200 * MS, 200 * MS)])
        earliest, latest = clock.bounds(50 * MS)
        self.assertAlmostEqual(latest - earliest, 100 * MS, delta=2 * MS)

    def test_unanswered_frames_bound_one_side(self):
        found = clocks.host_witnesses({0: [10, 20]}, {0: {0: [(15, 0)]}},
                                      [records.Seen("p", True, False, 0, s, 100 + s) for s in (0, 1, 2)])
        self.assertEqual(found, [(100, 10, 15), (101, 20, math.inf)])


class Paths(unittest.TestCase):
    def changes(self, *lines):
        return guest_events.path_changes(guest_events.parse_log("\n".join(lines)))

    def test_synthetic_only(self):
        self.assertEqual(self.changes("5 link name=eth1 index=3 role=standby enslaved=1 up=1 running=1", "6 begin"),
                         [(6, True, False)])

    def test_late_running_opens_late(self):
        lines = ["1 begin", "10 trace point=registering result=0", "20 trace point=vf_opened result=0",
                 "21 trace point=registered result=0",
                 f"{9_000_000_000} " + LINK.format(index=4, enslaved=1, up=1, running=1)]
        self.assertEqual(self.changes(*lines), [(1, True, False), (20, False, False), (9_000_000_000, False, True)])

    def igbvf(self, *more):
        """As seen in the lab: it seems to run when it is registered, then its watchdog looks for the link."""
        return self.changes("1 begin", "5 " + LINK.format(index=4, enslaved=1, up=0, running=0),
                            "10 trace point=registering result=0", "20 trace point=vf_opened result=0",
                            "21 trace point=registered result=0",
                            "30 " + LINK.format(index=4, enslaved=1, up=1, running=1),
                            "31 " + LINK.format(index=4, enslaved=1, up=1, running=0), *more)

    def test_false_announcement(self):
        runs = "2000000000 " + LINK.format(index=4, enslaved=1, up=1, running=1)
        self.assertEqual(self.igbvf(runs), [(1, True, False), (20, False, True)])

    def test_false_announcement_only(self):
        self.assertEqual(self.igbvf(), [(1, True, False), (20, False, True), (31, False, False)])

    def test_carrier_lost_later(self):
        runs = "2000000000 " + LINK.format(index=4, enslaved=1, up=1, running=1)
        lost = "3000000000 " + LINK.format(index=4, enslaved=1, up=1, running=0)
        self.assertEqual(self.igbvf(runs, lost)[2:], [(3_000_000_000, False, False)])

    def test_again(self):
        """Notices of the first VF's end come when the second is already being registered."""
        lines = ["1 " + LINK.format(index=4, enslaved=1, up=1, running=1), "2 begin",
                 "10 trace point=vf_closing result=0", "20 trace point=unregistered result=0",
                 "30 trace point=registering result=0", "31 gone name=eth2 index=4 role=primary",
                 "40 trace point=vf_opened result=0", "41 trace point=registered result=0",
                 "50 " + LINK.format(index=5, enslaved=1, up=1, running=1)]
        self.assertEqual(self.changes(*lines), [(2, False, True), (10, False, False), (20, True, False),
                                                (40, False, True)])


class Files(unittest.TestCase):
    def test_parse(self):
        record = struct.Struct("<BBBBIQQ")
        place = struct.unpack("<QQ", b"enp1s0".ljust(16, b"\0"))
        data = b"vswitch-probe-1\n" + b"".join([
            record.pack(4, 0, 0, 0, 0, *place), record.pack(1, 2, 4, 0, 0, 100, 0), record.pack(1, 2, 6, 0, 1, 200, 0),
            record.pack(3, 2, 4, 0, 0, 150, 1), record.pack(2, 2, 4, 0, 0, 180, 77)]) + b"half"
        parsed = records.parse(data)
        self.assertEqual(parsed.sent, {2: [100, 200]})
        self.assertEqual(parsed.replies, {2: {0: [(180, 77)]}})
        self.assertEqual(parsed.seen, [records.Seen("enp1s0", True, False, 2, 0, 150)])

    def test_not_ours(self):
        with self.assertRaises(ValueError):
            records.parse(b"something else")


if __name__ == "__main__":
    unittest.main()
