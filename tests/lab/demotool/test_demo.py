#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unit tests of what the demo makes of recorded events: no lab, no root.  `test_demo.py picture FILE` draws them."""
import contextlib
import io
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The path above has to be set first.
from demotool import clock, events, losses, main, picture, proof, story  # noqa: E402

SECOND = 1_000_000_000
VF = "0000:01:10.0"
RATE = 50
# (seconds, host, what): as the hosts tell it, a plain migration from h1 to h2 and what comes before.
MOVES = [
    (4.1, "h1", f"synthetic -> preparing, path synthetic, VF {VF}: the NIC is being moved to a VF"),
    (4.6, "h1", f"preparing -> offering, path both, VF {VF}: the NIC is being moved to a VF"),
    (6.2, "h1", f"offering -> on-vf, path vf, VF {VF}"),
    (11.4, "h2", f"absent -> expected, path none, VF {VF}: the guest is being migrated to this host"),
    (12.0, "h1", f"on-vf -> withdrawing, path both, VF {VF}: the guest is being migrated to another host"),
    (12.4, "h1", f"withdrawing -> withdrawn, path synthetic, VF {VF}: the guest is being migrated to another host"),
    (20.2, "h2", f"expected -> arriving, path both, VF {VF}: the guest is being migrated to this host"),
    (20.1, "h1", f"withdrawn -> handed-over, path none, VF {VF}: the guest is being migrated to another host"),
    (21.4, "h2", f"arriving -> offering, path both, VF {VF}: the NIC is being moved to a VF"),
    (23.0, "h2", f"offering -> on-vf, path vf, VF {VF}"),
]
QEMU = [(12.5, "h1", 'event MIGRATION at {} for domain \'g1\': {{"status":"active"}}'),
        (20.0, "h1", "event STOP at {} for domain 'g1'"), (20.8, "h2", "event RESUME at {} for domain 'g1'")]


def recorded():
    """The events above, through the parser, in order."""
    lines = [(at, host, f'{{"version":1,"realtime_usec":{int(at * 1e6)},"kind":"move","subject":"g1/ua-net0",'
                        f'"sentence":"{text}"}}') for at, host, text in MOVES]
    lines += [(at, host, text.format(f"{int(at)}.{int(at * 1e6) % 1000000:06d}")) for at, host, text in QEMU]
    found = [events.parse(line, host, "g1") for _, host, line in lines]
    found.append(events.Event(int(20.3 * SECOND), "h2", events.WIRE, "announced"))
    found.append(events.Event(11 * SECOND, "h1", events.COMMAND, "virsh migrate --live g1", detail="virsh migrate"))
    return sorted(found, key=lambda event: event.at)


def told():
    one = story.Story("g1", "h1", story.SYNTHETIC, 0)
    for event in recorded():
        one.take(event)
    return one


def example():
    """A picture of the recorded events, with traffic that loses some frames."""
    one, senders = told(), []
    for number, name in enumerate(("wire", "bridge@h1", "bridge@h2", "vf@h1", "vf@h2")):
        sent = [i * SECOND // RATE for i in range(28 * RATE)]
        lost = [s for s in sent if 12.38 < s / SECOND < 12.42 + number / 50 or 20 < s / SECOND < 20.1]
        answered = [max(s + 5_000_000, 20_850_000_000) if 19.9 < s / SECOND < 20.8 else s + 5_000_000
                    for s in sent if s not in lost]
        senders.append(picture.Traffic(name, sent, answered, lost))
    return picture.Picture("A guest moves", ["12 of 34 lost", "emulated igb"], 0, 28 * SECOND, RATE,
                           one.spans(28 * SECOND), one.lines, senders)


class Parsing(unittest.TestCase):
    def test_moves(self):
        event = recorded()[1]
        self.assertEqual((event.at, event.what, event.path, event.vf), (4_600_000_000, "offering", "both", VF))

    def test_others_are_left_out(self):
        for line in ('{"realtime_usec":1,"kind":"move","subject":"g2/ua-net0","sentence":"a -> b, path vf"}',
                     '{"realtime_usec":1,"kind":"pf","subject":"g1","sentence":"usable"}', '{"error"', "virsh: error",
                     "event STOP at 1.000001 for domain 'g12'"):
            self.assertIsNone(events.parse(line, "h1", "g1"), line)

    def test_a_path_without_a_vf(self):
        line = ('{"realtime_usec":1,"kind":"move","subject":"g1/ua-net0",'
                '"sentence":"unknown -> synthetic, path synthetic: held"}')
        event = events.parse(line, "h1", "g1")
        self.assertEqual((event.path, event.vf), ("synthetic", ""))


class Telling(unittest.TestCase):
    def test_spans_follow_the_guest(self):
        paths = [(span.path, span.host) for span in told().spans(28 * SECOND)]
        self.assertEqual(paths, [("synthetic", "h1"), ("both", "h1"), ("vf", "h1"), ("both", "h1"), ("synthetic", "h1"),
                                 ("paused", "h1"), ("both", "h2"), ("vf", "h2")])

    def test_spans_have_no_hole(self):
        spans = told().spans(28 * SECOND)
        self.assertEqual((spans[0].begin, spans[-1].end), (0, 28 * SECOND))
        self.assertTrue(all(a.end == b.begin for a, b in zip(spans, spans[1:])))

    def test_lines(self):
        texts = "\n".join(line.text for line in told().lines)
        for words in (f"both paths deliver: the software switch, and VF {VF}", f"traffic on VF {VF} of h1",
                      f"asked to let go of VF {VF}", "paused for the hand-over: 0.8 s", "announced on the wire by h2"):
            self.assertIn(words, texts)

    def test_only_the_first_announcement_counts(self):
        one = told()
        again = events.Event(25 * SECOND, "h2", events.WIRE, "announced")
        self.assertEqual(one.take(again), [])

    def test_a_free_vf_is_not_news_of_the_path(self):
        one = story.Story("g1", "h1", story.VF, 0)
        for at, what in enumerate(("withdrawn", "returning", "synthetic"), 1):
            lines = one.take(events.Event(at, "h1", events.MOVE, what, path="synthetic", vf=VF))
        self.assertEqual(lines[0].text, "VF is free again")


class Losing(unittest.TestCase):
    def test_a_frame_belongs_to_the_step_it_was_sent_in(self):
        spans = told().spans(28 * SECOND)
        found = losses.steps(spans, {0: "wire", 1: "vf"}, {0: [SECOND, 21 * SECOND], 1: [20_500_000_000]},
                             [(1, 20_500_000_000)])
        paused = next(step for step in found if step.span.path == story.PAUSED)
        self.assertEqual((paused.lost["vf"], paused.sent["vf"], paused.sent["wire"]), (1, 1, 0))
        self.assertEqual((found[0].sent["wire"], found[-2].sent["wire"]), (1, 1))
        self.assertIn("1 of 1", losses.table(found, 0))


class Proving(unittest.TestCase):
    @staticmethod
    def stay(*noted):
        """A stay in which one sender's frames, one a second, were noted so by the guest."""
        stay = proof.Stay("h1", VF, began=0, ended=len(noted) * SECOND)
        measured = SimpleNamespace(sent={0: [i * SECOND for i in range(len(noted))]}, noted={0: bytes(noted)})
        proof.check_frames(stay, SimpleNamespace(m=measured))
        return stay

    def test_frames_by_the_vf(self):
        self.assertEqual(self.stay(2, 2, 2, 0).missing, [])     # the last one is still under way

    def test_frames_by_the_wrong_nic_or_none(self):
        self.assertIn("1 frames come by its virtio NIC", self.stay(2, 1, 2).missing[0])
        self.assertIn("no frame come by its VF", self.stay(0, 0, 0).missing[0])

    def test_every_stay_counts(self):
        stays = [proof.Stay("h1"), proof.Stay("h2"), proof.Stay("h1")]
        self.assertEqual(proof.verdict(stays, ["h1", "h2", "h1"]), [])
        self.assertIn("seen on one of h1, then h2", proof.verdict(stays[:2], ["h1", "h2", "h1"])[0])
        stays[1].missing.append("no interrupts")
        self.assertEqual(proof.verdict(stays, ["h1", "h2", "h1"]), ["no interrupts"])


class Clocks(unittest.TestCase):
    def test_drift_is_followed(self):
        mapping = clock.Mapping()
        mapping.add(1000, 5010, 1020)       # offset -4000, error 10
        mapping.add(2000, 6110, 2020)       # offset -4100
        self.assertEqual([mapping.ours(t) for t in (5000, 5560, 7000)], [1000, 1510, 2900])
        self.assertEqual(mapping.accuracy(), 10)


class Drawing(unittest.TestCase):
    def test_labels_keep_apart(self):
        placed = picture.spread([10, 11, 12, 50, 99, 100], 10, 0, 100)
        self.assertTrue(all(b - a >= 10 for a, b in zip(placed, placed[1:])), placed)
        self.assertTrue(placed[0] >= 0 and placed[-1] <= 100, placed)
        self.assertEqual(placed[3], 50)

    def test_rates(self):
        self.assertEqual(picture.rates([0, 1, 600_000_000, 1_249_999_999], 0, 1_250_000_000),
                         [(0, 500_000_000, 4.0), (500_000_000, 1_250_000_000, 2 / 0.75)])

    def test_it_is_xml_and_says_what_matters(self):
        text = picture.svg(example())
        ElementTree.fromstring(text)
        for words in ("emulated igb", "host h2", f"VF {VF} of h1", "announced", "seconds since"):
            self.assertIn(words, text)


class Showing(unittest.TestCase):
    """What is told and written after a run."""

    def setUp(self):
        sent = [i * SECOND // RATE for i in range(28 * RATE)]
        measured = SimpleNamespace(
            sent={0: sent}, replies={0: {i: [(stamp, 0)] for i, stamp in enumerate(sent) if i > 2}},
            senders=[SimpleNamespace(number=0, kind="bridge", host="h1")])
        self.analysis = SimpleNamespace(m=measured, losses=[
            SimpleNamespace(sender=0, sent=sent[i], charge=charge, place=place)
            for i, (charge, place) in enumerate((("host", "PF"), ("guest", "tap"), ("stopped", "wire")))])

    def test_the_table_and_the_picture(self):
        live = SimpleNamespace(zero=0, accuracy_ms=lambda: 2, story=told)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as printed:
            main._show(self.analysis, live, Path(folder, "demo.svg"))
            drawn = Path(folder, "demo.svg").read_text()
        self.assertIn("3 of 1400 frames were lost: 1 while the guest itself stood still", printed.getvalue())
        self.assertIn("1 by the hosts (last seen at PF: 1)", printed.getvalue())
        self.assertIn("neighbour on h1", drawn)

    def test_the_summary_names_every_vf(self):
        stays = [proof.Stay("h1", "vf-1"), proof.Stay("h2", "vf-2"), proof.Stay("h1", "vf-3")]
        sentence = main._summary(stays, told(), "g1")
        for words in ("vf-1 of h1", "vf-2 of h2", "vf-3 of h1", "0.8 s"):
            self.assertIn(words, sentence)


if __name__ == "__main__":
    if sys.argv[1:2] == ["picture"]:
        Path(sys.argv[2]).write_text(picture.svg(example()))
    else:
        unittest.main()
