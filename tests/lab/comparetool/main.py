# SPDX-License-Identifier: Apache-2.0
"""The command: runs the cases, prints the table, says whether it is as it has to be."""
import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from labtool import state
from labtool.base import LabError, say
from labtool.paths import LAB

from probe.probe import ERRORS, Probe

from . import verdict
from .bench import Bench
from .cases import CASES

QUIET_SECONDS = 3       # measured before and after each move
# Of each sender. A guest in an emulated host that also sends a migration can be late by a good part of a second;
# what waits for it then must fit the 256 descriptors of its VF, or the measurement loses the frames itself.
RATE = 50
KEPT = ("sent", "reached", "answered", "lost", "lost_to_guest", "lost_from_guest", "lost_by_host", "lost_by_guest",
        "lost_stopped", "lost_switchover", "duplicates", "longest_gap_ms", "longest_silence_ms", "attribution")


def _lab(*argv):
    if subprocess.call([sys.executable, str(LAB / "lab"), *argv]):
        raise LabError(f"lab {' '.join(argv)} failed")


def measure(bench, case, rate):
    """One run of a case: (Probe, the host it began on)."""
    source = case.prepare(bench)
    bench.let_neighbours_be_heard()
    with Probe(bench.senders(), rate, bench.guest.name) as probe:
        time.sleep(QUIET_SECONDS)
        began = time.monotonic_ns()
        probe.mark("begin")
        case.act(bench, probe, source)
        probe.mark("end")
        time.sleep(QUIET_SECONDS)
    _check_beginning(probe.analysis, began)
    return probe, source


def _check_beginning(analysis, began):
    """A sender that did not get through before anything happened makes the run worthless."""
    for info in analysis.m.senders:
        before = [s for s in analysis.m.sent[info.number] if s < began]
        lost = sum(loss.sender == info.number and loss.sent < began for loss in analysis.losses)
        if lost * 10 > len(before):
            raise LabError(f"{info.name} lost {lost} of {len(before)} frames before the case began")


def _rows(case, repeat, probe, source, titles_of_run):
    for row in probe.result["rows"]:
        if row["version"] != "all":
            continue
        side = {"": "", source.name: "source"}.get(row["host"], "destination")
        yield {"case": case.letter, "repeat": repeat, "sender": row["sender"], "host": row["host"], "side": side,
               **{key: row[key] for key in KEPT}, **titles_of_run}


def run_cases(bench, letters, repeats, rate):
    """(rows, [sentences about cases that could not be run])"""
    rows, failures = [], []
    # All cases once, then all again: what drifts while the lab runs does not look like a difference of cases.
    for repeat in range(1, repeats + 1):
        for letter in letters:
            case = CASES[letter]
            say(f"({letter}) {case.title}, {repeat} of {repeats}")
            try:
                probe, source = measure(bench, case, rate)
            except (*ERRORS, subprocess.SubprocessError, OSError) as err:
                say(f"({letter}) failed: {err}")
                failures.append(f"({letter}) repeat {repeat} could not be run: {err}")
                continue
            found = list(_rows(case, repeat, probe, source,
                               {"rate": rate, "tolerance_ms": probe.result["tolerance_ms"],
                                "complaints": probe.result["complaints"]}))
            rows += found
            say(f"({letter}) lost {sum(r['lost'] for r in found)}, by the host {sum(r['lost_by_host'] for r in found)}")
    return rows, failures


def _letters(text):
    letters = [letter for letter in text.replace(",", "").replace(" ", "")]
    unknown = [letter for letter in letters if letter not in CASES]
    if unknown or not letters:
        raise argparse.ArgumentTypeError(f"no such case: {' '.join(unknown) or 'none'} (there are {' '.join(CASES)})")
    return letters


def _parser():
    parser = argparse.ArgumentParser(
        prog="compare", description="Frames lost by different ways to migrate a guest with a VF, in one lab.",
        epilog="cases: " + "; ".join(f"({c.letter}) {c.title}" for c in CASES.values()))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", type=_letters, default=list(CASES), metavar="CASES", help="as in d,e")
    parser.add_argument("--rate", type=int, default=RATE, help="frames a second from each of the senders")
    parser.add_argument("--json", metavar="FILE")
    return parser


def _bench(letters):
    """The running lab with what the cases need; and whether it was brought up here."""
    brought_up = not state.is_up()
    if brought_up:
        _lab("up")
    lab = state.load()
    if len(lab["hosts"]) < 2 or not all(h["vfs"] > 1 for h in lab["hosts"]):
        raise LabError("the running lab has not two hosts with VFs: lab down, or lab up --hosts 2")
    bench = Bench(lab)
    if any(CASES[letter].vswitch for letter in letters):
        if any(bench.sh(h, "command -v vswitch", check=False) == "" for h in bench.hosts):
            _lab("install", "--start")
    return bench, brought_up


def main(argv):
    args = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rows, failures, brought_up = [], [], False
    try:
        bench, brought_up = _bench(args.only)
        rows, failures = run_cases(bench, args.only, args.repeats, args.rate)
    except ERRORS as err:
        failures.append(str(err))
    except KeyboardInterrupt:
        failures.append("interrupted")
    finally:
        if brought_up:
            _lab("down")
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1))
    if rows:
        print(verdict.table(rows, {letter: CASES[letter].title for letter in args.only}))
        for line in verdict.against_floor(rows):
            print(line)
        print("All figures: emulated igb.")
    faults = failures + verdict.faults(rows)
    for fault in faults:
        print(f"compare: {fault}", file=sys.stderr)
    return 1 if faults else 0
