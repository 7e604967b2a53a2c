# SPDX-License-Identifier: Apache-2.0
"""What people and machines get wrong: a clear sentence, the documented exit code, and nothing changed.

Each case is a command that must fail (or a situation that must be shown), and the
hosts' state afterwards must be what it was before.
"""
import contextlib
import json
import re
from dataclasses import dataclass

from checktool.collect import collect
from labtool import machine
from labtool.addresses import BRIDGE, PF_MONITOR_IDS
from labtool.base import wait_for

from .bench import DEBUG, G2, SYNTHETIC, VF, expect
from .traffic import Traffic

FAILED, USAGE, UNREACHABLE, NOT_FOUND, DENIED = 1, 2, 3, 4, 5
CONFIGURATION, ALREADY_RUNNING = 3, 4       # of vswitchd
_NOBODY = "setpriv --reuid=nobody --regid=nogroup --clear-groups"


@dataclass(frozen=True)
class Case:
    what: str
    command: str
    code: int
    sentence: str       # a regular expression


_CLI = [
    Case("unknown domain", "vswitch nic show nosuch", NOT_FOUND, "nosuch"),
    Case("unknown domain, changing", "vswitch nic release nosuch", NOT_FOUND, "nosuch"),
    Case("unknown domain, migrating", "vswitch migrate nosuch qemu+ssh://h2/system", NOT_FOUND, "nosuch"),
    Case("unknown NIC", "vswitch nic acquire g1/ua-none", NOT_FOUND, "g1/ua-none"),
    Case("unknown PF", "vswitch pf show nosuch", NOT_FOUND, "nosuch"),
    Case("unknown destination", "vswitch migrate g1 qemu+ssh://nosuch/system", FAILED, "nosuch"),
    Case("unknown verb", "vswitch nic move g1", USAGE, "nic move"),
    Case("unknown option", "vswitch --frobnicate status", USAGE, "--frobnicate"),
    Case("missing argument", "vswitch nic release", USAGE, "DOMAIN"),
    Case("no permission to change", f"{_NOBODY} vswitch nic release g1", DENIED, "(?i)permission|denied|root"),
    Case("no permission to read", f"{_NOBODY} vswitch status", DENIED, "(?i)permission|denied|group"),
    Case("no permission for the daemon", f"{_NOBODY} vswitchd", DENIED, "root"),
    Case("second daemon", "vswitchd", ALREADY_RUNNING, "vswitchd"),
    Case("unknown argument of the daemon", "vswitchd frobnicate", USAGE, "frobnicate"),
    Case("missing configuration", "vswitchd -t -c /run/lab-none.conf", CONFIGURATION, "/run/lab-none.conf"),
]

# content, the line with the mistake, what the sentence must name
_BROKEN = [
    ('switch "br0" {\n    bridge = "br0"\n    frobnicate = yes\n}\n', 3, "frobnicate"),
    ('# the end is missing\nswitch "br0" {\n    iov = yes\n', None, "."),
    ('switch "br0" {\n    reserve-vfs = many\n}\n', 2, "reserve-vfs|many"),
    ('timeouts {\n    unplug = -5\n}\n', 2, "unplug"),
]


@contextlib.contextmanager
def _nothing_changes(what, *nodes):
    names = [n.name for n in nodes]
    before = [s.without_moving_parts() for s in collect(names)]
    yield
    after = [s.without_moving_parts() for s in collect(names)]
    changed = [f"{name}: {key} was {old[key]}, is {new[key]}" for name, old, new in zip(names, before, after)
               for key in old if old[key] != new[key]]
    expect(not changed, f"{what} changed something: {'; '.join(changed)}")


def _check(bench, node, case):
    answer = bench.command(node, case.command, timeout=60)
    told = f"{case.what}: `{case.command}` ended with {answer.code} and said: {answer.text or 'nothing'}"
    expect(answer.code == case.code, f"{told}; documented is {case.code}")
    expect(re.search(case.sentence, answer.text), f"{told}; the sentence should name {case.sentence!r}")
    expect(len(answer.text.splitlines()) <= 3, f"{told}; that is no sentence but a speech")
    bench.note(f"{case.what} ({answer.code}): {answer.text}")


def bad_input(bench):
    """Unknown names, no permission, broken files, missing switches, no libvirt, no daemon, no link."""
    bench.ready()
    _commands(bench)
    _broken_configurations(bench)
    _nic_without_teaming(bench)
    _without_daemon(bench)
    _missing_bridge(bench)
    _without_libvirt(bench)
    _link_down(bench)


def _commands(bench):
    with _nothing_changes("a command with a mistake", *bench.nodes.values()):
        for case in _CLI:
            _check(bench, bench.h1, case)
    expect(bench.path(bench.h1) == VF, "a command with a mistake took g1 off its VF")


def _broken_configurations(bench):
    node, file = bench.h1, "/run/lab-broken.conf"
    bench.undo.callback(node.ssh, f"rm -f {file}")
    with _nothing_changes("a broken configuration", node):
        for content, line, name in _BROKEN:
            node.ssh(f"cat > {file} <<'EOF'\n{content}EOF\n")
            where = f"{file}:{line or r'[0-9]+'}: .*({name})"
            _check(bench, node, Case("broken configuration", f"vswitchd -t -c {file}", CONFIGURATION, where))
        _check(bench, node, Case("broken configuration, started", f"vswitchd -c {file}", CONFIGURATION, where))


def _nic_without_teaming(bench):
    bench.undo.callback(bench.stop_guests)
    bench.start_guest(G2, bench.h1, "plain")
    with _nothing_changes("asking for a VF for a NIC without teaming", bench.h1):
        _check(bench, bench.h1, Case("NIC without teaming", "vswitch nic acquire g2", FAILED, "<teaming"))
        nic = bench.nic(bench.h1, G2)
        expect(nic["reason"] == "no-teaming", f"a NIC without teaming shows the reason {nic['reason']!r}")
    bench.h1.ssh("virsh -q destroy g2; virsh -q undefine g2")


def _without_daemon(bench):
    node = bench.h2
    bench.undo.callback(bench.run_daemon, node)
    node.ssh("lab-daemon stop")
    _check(bench, node, Case("no daemon", "vswitch status", UNREACHABLE, "vswitchd"))
    bench.run_daemon(node)


def _missing_bridge(bench):
    node, file = bench.h2, "/run/lab-nobridge.conf"
    bench.undo.callback(node.ssh, f"rm -f {file}")
    bench.undo.callback(bench.run_daemon, node)
    switches = [('switch "br9" { uplinks = { "%s" } }' % node.pf, "bridge br9 does not exist"),
                ('switch "%s" { uplinks = { "nosuch0" } }' % BRIDGE, "uplink nosuch0 does not exist")]
    with _nothing_changes("a switch that is not there", node):
        for text, sentence in switches:
            node.ssh(f"echo '{text}' > {file}")
            bench.run_daemon(node, f"{DEBUG} -c {file}")
            shown = json.loads(bench.succeed(node, "vswitch --json status"))["switches"][0]
            expect(not shown["usable"] and sentence in shown["reason"],
                   f"the status does not say that the {sentence}: {shown}")
            bench.note(f"missing switch: {shown['reason']}")
            node.ssh("lab-daemon stop")
        bench.run_daemon(node)


def _libvirt_state(bench, node):
    daemon = json.loads(bench.succeed(node, "vswitch --json status"))["daemon"]
    return daemon["libvirt_connected"], daemon["libvirt_sentence"]


def _start_libvirt(node):
    node.ssh("[ -e /proc/$(cat /run/libvirtd.pid)/exe ] 2>/dev/null || libvirtd -d")


def _without_libvirt(bench):
    """Stopped while the daemon runs, then a daemon that finds none; the guest's traffic goes on all the time."""
    node = bench.h1
    bench.undo.callback(_start_libvirt, node)
    with _nothing_changes("libvirt's absence", node), Traffic(bench) as traffic:
        traffic.await_replies()
        for restart_daemon in (False, True):
            if restart_daemon:
                node.ssh("lab-daemon stop")
            node.ssh("pid=$(cat /run/libvirtd.pid); kill $pid; while [ -e /proc/$pid ]; do sleep 0.1; done")
            if restart_daemon:
                node.ssh(f"VSWITCHD_ARGS={DEBUG} lab-daemon start")
            wait_for("the daemon to miss libvirt", lambda: not _libvirt_state(bench, node)[0], 30)
            bench.note(f"no libvirt: {_libvirt_state(bench, node)[1]}")
            traffic.await_replies(count=10)
            expect(bench.path(node) == VF, "without libvirt the daemon took g1 off its VF")
            _start_libvirt(node)
            bench.await_daemon(node, 60)
        bench.await_path(node, VF)
        wait_for("the daemon to know where the guest is", lambda: bench.nic(node)["situation"] == "on-vf", 30)
        traffic.await_replies()
    traffic.expect_gap_below(1.0)


def _link_down(bench):
    """The cable of the PF is pulled, and the PF itself is set down."""
    node = bench.h1
    bench.ready(SYNTHETIC)

    def cable(state):
        machine.monitor(node.host, f"set_link {PF_MONITOR_IDS[0]} {'on' if state == 'up' else 'off'}")

    def interface(state):
        node.ssh(f"ip link set {node.pf} {state}")

    for what, switch in (("no cable in the PF", cable), ("PF set down", interface)):
        bench.undo.callback(switch, "up")
        with _nothing_changes("asking for a VF while the PF is down", node):
            switch("down")
            _await_link(node, up=False)
            _check(bench, node, Case(what, "vswitch nic acquire g1", FAILED, "uplink is down or has no carrier"))
            bench.succeed(node, "vswitch nic release g1 --hold")
            switch("up")
            _await_link(node, up=True)
    with Traffic(bench) as traffic:
        bench.succeed(node, "vswitch nic acquire g1")
        bench.await_path(node, VF)
        traffic.await_replies()


def _await_link(node, up):
    wait_for(f"{node.pf} {'up' if up else 'down'}",
             lambda: (node.out(f"cat /sys/class/net/{node.pf}/operstate") == "up") == up, 30)
