# SPDX-License-Identifier: Apache-2.0
"""The command: chooses scenarios, runs them, and says how each ended."""
import argparse
import contextlib
import signal
import subprocess
import sys
import time
import traceback

from checktool.cli import settled
from labtool import state
from labtool.base import LabError, say

from .bench import Bench, Failure, lab_command
from .registry import ALL, BOND, NO_SRIOV, OPTIONS, USUAL, named
from .traffic import table

_SETTLE_SECONDS = 30
_LOG_LINES = 40


def _flavour():
    """Which kind of lab is up, or None."""
    if not state.is_up():
        return None
    hosts = {h["name"]: h for h in state.load()["hosts"]}
    if not {"h1", "h2"} <= set(hosts) or hosts["h1"]["vfs"] < 2:
        return None
    if len(hosts["h1"]["pfs"]) > 1:
        return BOND
    return USUAL if hosts["h2"]["vfs"] else NO_SRIOV


def _provide_lab(flavour):
    """Brings up a lab, without a guest so that the check sees the hosts untouched; True if it had to."""
    if _flavour() == flavour:
        return False
    if state.remains():
        say("the running lab does not fit; making another")
        lab_command("down")
    lab_command("up", "--guests", "0", *OPTIONS[flavour])
    settled()           # takes the baseline
    return True


def _attempt(scenario, bench):
    """Runs a scenario and the leftover check; the reasons for which it failed."""
    try:
        with bench.undo:
            scenario.run(bench)
    except (Failure, LabError, subprocess.TimeoutExpired) as err:
        return [str(err)]
    except Exception:
        return [traceback.format_exc()]
    try:
        found = settled(seconds=_SETTLE_SECONDS)
    except LabError as err:
        return [f"the leftover check could not be made: {err}"]
    return [f"left over on {f['host']}: {f['sentence']}" for f in found]


def _print_logs(bench, sizes):
    for node, size in sizes.items():
        lines = bench.log_since(node, size).splitlines()
        print(f"   -- vswitchd on {node.name}, the last {_LOG_LINES} lines of {len(lines)}:")
        for line in lines[-_LOG_LINES:]:
            print(f"      {line}")


def _clean_up(bench):
    """After a failure: the next scenario deserves hosts without a guest, and daemons that run."""
    with contextlib.suppress(LabError):
        for node in bench.nodes.values():
            node.ssh("lab-daemon restart", check=False, timeout=90)
        bench.stop_guests()
        for finding in settled(seconds=_SETTLE_SECONDS):
            print(f"   still there without a guest: {finding['host']}: {finding['sentence']}")


def _indented(text):
    return text.replace("\n", "\n      ")


def _run(scenario, losses):
    """True if it passed; what was lost is added to `losses`."""
    bench = Bench(state.load(), contextlib.ExitStack())
    sizes = {node: bench.log_size(node) for node in bench.nodes.values()}
    print(f"{scenario.name}: {scenario.summary}", flush=True)
    begin = time.monotonic()
    reasons = _attempt(scenario, bench)
    taken = time.monotonic() - begin
    losses += bench.losses
    for note in bench.notes:
        print(f"   {_indented(note)}")
    for reason in reasons:
        print(f"   {_indented(reason)}")
    print(f"{'FAIL' if reasons else 'pass'}  {scenario.name}  {taken:.0f} s", flush=True)
    if reasons:
        with contextlib.suppress(LabError):
            _print_logs(bench, sizes)
        _clean_up(bench)
    return not reasons


def _run_all(chosen, keep):
    passed, made, losses = 0, False, []
    try:
        for flavour in OPTIONS:
            group = [s for s in chosen if s.lab == flavour]
            if group:
                made |= _provide_lab(flavour)
            passed += sum(_run(scenario, losses) for scenario in group)
    finally:
        if made and not keep:
            lab_command("down")
    if losses:
        print("\nPings lost (emulated igb, hosts without KVM)")
        print("\n".join(table(losses)), end="\n\n")
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return passed == len(chosen)


def _choose(args):
    if args.names:
        unknown = [name for name in args.names if not named(name)]
        if unknown:
            raise LabError(f"no such scenario: {', '.join(unknown)}; see --list")
        return [s for s in ALL if s.name in args.names]
    if not (args.main or args.all):
        raise LabError("say which: names, --main or --all; see --list")
    return [s for s in ALL if args.all or s.main]


def _parser():
    parser = argparse.ArgumentParser(
        prog="scenario", description="Runs scenarios in the lab, each followed by the leftover check.",
        epilog="Uses the lab that is up, else makes one and takes it down. Exit codes: 0 all passed, 1 some failed, "
               "2 they could not be run.")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="show the scenarios; * marks those of --main")
    parser.add_argument("--main", action="store_true", help="the short set, about 10 minutes")
    parser.add_argument("--all", action="store_true", help="every scenario")
    parser.add_argument("--keep", action="store_true", help="leave the lab up that was made for this")
    return parser


def _interrupted(signum, _frame):
    raise SystemExit(128 + signum)


def main(argv):
    args = _parser().parse_args(argv)
    if args.list:
        for scenario in ALL:
            print(f"{'*' if scenario.main else ' '} {scenario.name:24} {scenario.summary}")
        return 0
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        return 0 if _run_all(_choose(args), args.keep) else 1
    except LabError as err:
        print(f"scenario: {err}", file=sys.stderr)
        return 2
