# SPDX-License-Identifier: Apache-2.0
"""The command."""
import argparse
import json
import sys
import time

from labtool.addresses import all_guests
from labtool.base import LabError, say

from . import baseline, rules
from .collect import collect

_GUEST_MACS = {guest.mac for guest in all_guests()}
_INTERVAL = 1.0


def findings(snapshots):
    """[{host, sentence}] for these hosts."""
    found = [(s.host, text) for s in snapshots
             for text in rules.differences(s, baseline.get(s)[0], _GUEST_MACS)]
    found += rules.everywhere(snapshots)
    return [{"host": host, "sentence": text} for host, text in found]


def settled(names=None, seconds=0):
    """Findings of the named hosts (default: all), once there are none or the time is over.

    A daemon that has just moved a guest still has a few things to put back.
    """
    end = time.monotonic() + seconds
    while True:
        found = findings(collect(names))
        if not found or time.monotonic() >= end:
            return found
        time.sleep(_INTERVAL)


def _save(names):
    snapshots = collect(names)
    touched = [s.host for s in snapshots if not baseline.is_untouched(s)]
    if touched:
        raise LabError(f"{', '.join(touched)} had a guest already: a baseline is taken before the first one")
    baseline.save(snapshots)
    say(f"baseline of {', '.join(s.host for s in snapshots)} saved")


def _parser():
    parser = argparse.ArgumentParser(
        prog="check", description="Does every host hold what its guests ask for, and nothing left over?",
        epilog="Exit codes: 0 clean, 1 something is left over or missing, 2 the check could not be made.")
    parser.add_argument("hosts", nargs="*", metavar="HOST", help="default: all of the lab")
    parser.add_argument("--json", action="store_true", help="print the findings as a list of objects")
    parser.add_argument("--settle", type=float, default=0, metavar="SECONDS",
                        help="look again until it is clean, for at most so long")
    parser.add_argument("--save-baseline", action="store_true",
                        help="note what the hosts are like now, before their first guest")
    return parser


def main(argv):
    args = _parser().parse_args(argv)
    try:
        if args.save_baseline:
            _save(args.hosts)
            return 0
        found = settled(args.hosts, args.settle)
    except LabError as err:
        print(f"check: {err}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        for finding in found:
            print(f"{finding['host']}: {finding['sentence']}")
    return 1 if found else 0
