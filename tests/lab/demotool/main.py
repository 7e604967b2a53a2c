# SPDX-License-Identifier: Apache-2.0
"""The command: makes the lab, moves a guest under traffic, tells and draws what happened, and judges it."""
import argparse
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from comparetool.bench import Bench
from labtool import cli, guests, hosts, state
from labtool.base import LabError, say, wait_for
from probe.agent import AgentError
from probe.probe import ERRORS, Probe

from . import losses, picture, proof
from .live import Live

# Of each sender; tests/lab/comparetool/main.py says why not more.
RATE = 50
QUIET_SECONDS = 4
NIC_SECONDS, GUEST_SECONDS, MOVE_SECONDS, MIGRATE_SECONDS = 60, 120, 150, 240
FAILURES = (*ERRORS, subprocess.SubprocessError)
EMULATED = "emulated igb"

_INTRODUCTION = """
A guest with a virtio NIC runs on host h1. vswitch moves its traffic to a VF, it is migrated to host h2 and back, and
is on a VF again each time. Meanwhile five senders send it {rate} frames a second each: a machine on the wire, a
neighbour on each host's bridge, and another VF of each host's card. The guest answers every frame.
(The first move is held back by `vswitch nic release --hold`, so that it can be seen.)
"""


def _lab(*arguments):
    """Runs tests/lab/lab in this process, so that Ctrl-C ends it in its own way."""
    code = cli.main(list(arguments))
    _catch_signals()
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise LabError(f"lab {' '.join(arguments)} failed")


def _catch_signals():
    """To be told to end is like Ctrl-C: the lab is taken down."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def _provide_lab(keep):
    """A lab of two hosts with VFs and this tree's vswitch."""
    if not state.is_up():
        _lab("up", "--guests", "0")
        return
    if not keep:
        raise LabError("a lab is up already: `scripts/demo --keep` uses it and leaves it up, "
                       "`tests/lab/lab down` removes it")
    lab = state.load()
    if len(lab["hosts"]) < 2 or not all(host["vfs"] > 1 for host in lab["hosts"]):
        raise LabError("the lab that is up has not two hosts with VFs: `tests/lab/lab down`, then again")
    _lab("install", "--start")


def _take_down():
    say("taking the lab down (--keep leaves it up)")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _lab("down")


# --- the moves

def _answers_without_vf(bench):
    try:
        with bench.agent() as agent:
            return not agent.has_primary(seconds=3)
    except AgentError:
        return False


def _start_guest(bench, home):
    """The guest on its synthetic NIC, reachable by all, and kept there until the demo has it moved."""
    guests.stop(bench.guest, bench.hosts)
    for host in bench.hosts:
        hosts.daemon(host, "start")
    guests.start(bench.guest, home, "teaming", bench.hosts, wait=False)
    wait_for("vswitchd to know the guest's NIC", lambda: bench.nic(home), NIC_SECONDS)
    bench.release(home)
    say("waiting for the guest to boot")
    wait_for("the guest's answer on its synthetic path", lambda: _answers_without_vf(bench), GUEST_SECONDS)


def _run(bench, live, host, command, label, timeout):
    """Has a host run a command that the newcomer could type."""
    live.command(host, f"$ {command}", label)
    bench.sh(host, command, timeout=timeout)


def _moves(bench, live, stays):
    """What the demo shows; `stays` gets an entry for each VF that the guest was on."""
    first, second = bench.hosts[:2]
    guest = bench.guest.name
    live.watch(QUIET_SECONDS)
    _run(bench, live, first, f"vswitch nic acquire {guest}", "nic acquire", MOVE_SECONDS)
    stays.append(proof.observe(bench, live, first))
    _run(bench, live, first, f"virsh migrate --live {guest} {bench.uri(second)}", "virsh migrate", MIGRATE_SECONDS)
    live.command(second, "`virsh migrate` is done")
    stays.append(proof.observe(bench, live, second))
    _run(bench, live, second, f"vswitch migrate {guest} {bench.uri(first)}", "vswitch migrate", MIGRATE_SECONDS)
    live.command(first, "`vswitch migrate` is done")
    stays.append(proof.observe(bench, live, first))


def _perform(bench, live):
    """(analysis, stays, [what went wrong]): even of a run that failed there is something to see."""
    home, stays, faults = bench.hosts[0], [], []
    with Probe(bench.senders(), RATE, bench.guest.name) as probe:
        live.begin(home, "synthetic")
        live.command(home, f"guest {bench.guest.name} runs on {home.name}, traffic over the software switch")
        try:
            _moves(bench, live, stays)
        except FAILURES as err:
            faults.append(str(err))
        live.command(home, "the traffic ends; collecting what everybody saw")
    for stay in stays:
        proof.check_frames(stay, probe.analysis)
    return probe.analysis, stays, faults


# --- what is told afterwards

_SENDER_NAMES = {"wire": "machine on the wire", "bridge": "neighbour on {host}'s bridge", "vf": "another VF on {host}"}


def _picture(analysis, told, live, headline):
    end = max(stamps[-1] for stamps in analysis.m.sent.values() if stamps) + 1
    traffic = [picture.Traffic(_SENDER_NAMES[info.kind].format(host=info.host), analysis.m.sent[info.number],
                               [min(answers)[0] for answers in analysis.m.replies.get(info.number, {}).values()],
                               [loss.sent for loss in analysis.losses if loss.sender == info.number])
               for info in analysis.m.senders]
    about = f"Two virtual hosts with an {EMULATED}; times of the hosts to within {live.accuracy_ms():.0f} ms."
    return picture.Picture("vswitch: a guest's NIC between virtio and VFs, through two live migrations",
                           [headline, about], live.zero, end, RATE, told.spans(end), told.lines, traffic)


def _loss_sentence(analysis):
    """How much was lost and why, in words."""
    charges = Counter(loss.charge for loss in analysis.losses)
    sent = sum(map(len, analysis.m.sent.values()))
    places = Counter(loss.place for loss in analysis.losses if loss.charge == "host")
    seen = f" (last seen at {', '.join(f'{place}: {count}' for place, count in places.items())})" if places else ""
    return (f"{len(analysis.losses)} of {sent} frames were lost: {charges['stopped']} while the guest itself stood "
            f"still, {charges['guest']} by the guest while it changed its NIC, {charges['host']} by the hosts{seen}.")


def _show(analysis, live, target):
    """Prints the table and writes the picture; returns the Story of it all."""
    told, headline = live.story(), _loss_sentence(analysis)
    drawn = _picture(analysis, told, live, headline)
    steps = losses.steps(drawn.spans, {info.number: info.kind for info in analysis.m.senders}, analysis.m.sent,
                         [(loss.sender, loss.sent) for loss in analysis.losses])
    print(f"\nFrames lost in each step (frames that only waited are not lost; {EMULATED}):")
    print(losses.table(steps, live.zero))
    print(headline)
    target.write_text(picture.svg(drawn))
    print(f"The picture: {target}")
    return told


def _summary(stays, told, guest):
    """The sentence of a run in which all was seen."""
    pauses = " and ".join(f"{(end - begin) / 1e9:.1f} s" for begin, end in told.pauses)
    first, second, third = stays
    return (f"{guest} was on VF {first.vf} of {first.host}, was live-migrated with `virsh migrate` and was on VF "
            f"{second.vf} of {second.host}, went back with `vswitch migrate` and was on VF {third.vf} of {third.host} "
            f"again: seen from inside the guest and from the hosts. The two hand-overs took {pauses}. ({EMULATED})")


def _demonstrate(target):
    """Everything on a lab that is up; the exit code."""
    bench = Bench(state.load())
    home, guest = bench.hosts[0], bench.guest.name
    with Live(bench.guest, bench.hosts) as live:
        _start_guest(bench, home)
        print(_INTRODUCTION.format(rate=RATE))
        print(f"Seconds since the traffic began; times of the hosts to within {live.accuracy_ms():.0f} ms.", flush=True)
        analysis, stays, faults = _perform(bench, live)
    told = _show(analysis, live, target)
    missing = faults + proof.verdict(stays, [home.name, bench.hosts[1].name, home.name])
    if not missing:
        print(f"\n{_summary(stays, told, guest)}")
        return 0
    print("\nThe demo has NOT shown what it should:", file=sys.stderr)
    for sentence in missing:
        print(f"  {sentence}", file=sys.stderr)
    return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="demo", description="Two virtual SR-IOV hosts, a guest on a VF, its live migrations under traffic.",
        epilog="Exit codes: 0 the guest was on a VF before and after, on both hosts; 1 something of that is missing, "
               "or the demo could not be made; 130 interrupted.")
    parser.add_argument("--picture", metavar="FILE", type=Path, default=Path("demo.svg"),
                        help="where to draw it (default: ./demo.svg)")
    parser.add_argument("--keep", action="store_true", help="use a lab that is up, and leave the lab up")
    return parser


def main(argv):
    args = _parser().parse_args(argv)
    target = args.picture.absolute()
    _catch_signals()
    made = False
    try:
        if not os.access(target.parent, os.W_OK):
            raise LabError(f"cannot write {target}")
        made = not state.is_up()
        _provide_lab(args.keep)
        return _demonstrate(target)
    except FAILURES as err:
        print(f"demo: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    finally:
        if made and not args.keep and state.remains():
            _take_down()
