# SPDX-License-Identifier: Apache-2.0
"""The lab as scenarios use it: hosts, guests, paths, daemons.

Where a NIC's frames go is read from the kernel's tables, not asked of the daemon:
that is what is under test.
"""
import json
import shlex
import subprocess
from dataclasses import dataclass

from checktool.collect import lab_hosts
from labtool import guests, hosts
from labtool.addresses import Guest, Host, neighbour
from labtool.base import LabError, run, wait_for
from labtool.paths import LAB

G1, G2 = Guest(1), Guest(2)
LOG = "/var/log/vswitchd.log"
DEBUG = "--debug"
# Emulated hosts are slow, and never the same twice: these are for "never", not for "late".
MOVE_SECONDS = 60
MIGRATION_SECONDS = 180
VF, SYNTHETIC, ABSENT, MOVING = "on a VF", "on the synthetic path", "in no table", "moving"


class Failure(Exception):
    """The product did not do what the scenario asks; the sentence goes to the user."""


def expect(condition, sentence):
    if not condition:
        raise Failure(sentence)


@dataclass(frozen=True)
class Node:
    """A host and what scenarios need to know of it."""
    host: Host
    pfs: tuple
    port: str       # of the bridge, towards the wire
    vfs: int

    @property
    def name(self):
        return self.host.name

    @property
    def pf(self):
        """The first PF: the only one, or the bond's primary."""
        return self.pfs[0]

    @property
    def uri(self):
        return f"qemu+ssh://{self.name}/system"

    def ssh(self, script, check=True, timeout=60):
        return hosts.ssh(self.host, script, check=check, timeout=timeout)

    def out(self, script, timeout=60):
        return self.ssh(script, timeout=timeout).stdout.strip()

    def background(self, script):
        """Starts a script there; its output is read from the process' stdout."""
        process = subprocess.Popen(hosts.ssh_argv(self.host) + [f"bash -c {shlex.quote(script)}"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace")
        return process


@dataclass(frozen=True)
class Answer:
    """How a command on a host ended."""
    code: int
    text: str


class Bench:
    """What a scenario gets.  `undo` is unwound when it ends, before the leftover check."""

    def __init__(self, lab, undo):
        vfs = {h["name"]: h["vfs"] for h in lab["hosts"]}
        self.nodes = {host.name: Node(host, tuple(pfs), port, vfs[host.name]) for host, pfs, port in lab_hosts()}
        self.undo = undo
        self.notes = []
        self.losses = []

    @property
    def h1(self):
        return self.nodes["h1"]

    @property
    def h2(self):
        return self.nodes["h2"]

    def note(self, text):
        """Something for the report, whether the scenario passes or not."""
        self.notes.append(text)

    # ---- guests and paths ----

    def where(self, guest=G1):
        """The node that a guest runs on, or None."""
        host = guests.where(guest, [n.host for n in self.nodes.values()])
        return self.nodes[host.name] if host else None

    def path(self, node, guest=G1):
        """Where the tables of a host lead the guest's frames."""
        return path_of(node.out(_tables_script(node, guest)), node.pfs, node.port, guest.tap)

    def await_path(self, node, path, seconds=MOVE_SECONDS, guest=G1):
        seen = []

        def there():
            seen.append(self.path(node, guest))
            return seen[-1] == path
        try:
            wait_for("the path", there, seconds)
        except LabError:
            raise Failure(f"on {node.name}, {guest.name} should be {path}, but is {seen[-1]} after {seconds:g} s")

    def stop_guests(self):
        running = {name for n in self.nodes.values() for name in n.out("virsh -q list --all --name").split()}
        for name in sorted(running):
            guests.stop(guests.named(name), [n.host for n in self.nodes.values()])

    def start_guest(self, guest, node, variant="teaming", nics=1, ill=None, vf=0):
        guests.start(guest, node.host, variant, [n.host for n in self.nodes.values()], vf=vf, nics=nics, ill=ill)

    def ready(self, path=VF):
        """g1 alone, on h1, on the path wanted; daemons with their usual settings everywhere."""
        for node in self.nodes.values():
            self.run_daemon(node)
        names = {n.name: n.out("virsh -q list --name").split() for n in self.nodes.values()}
        if names != {n: [G1.name] if n == self.h1.name else [] for n in names}:
            self.stop_guests()
            self.start_guest(G1, self.h1)
        if self.h1.vfs and self.path(self.h1) != VF:
            self.succeed(self.h1, "vswitch nic acquire g1")
        if path == SYNTHETIC:
            self.succeed(self.h1, "vswitch nic release g1 --hold")
            self.undo.callback(self._end_hold)
        self.await_path(self.h1, path)

    def _end_hold(self):
        """A hold is not for the next scenario."""
        node = self.where()
        if node and node.vfs and self.path(node) == SYNTHETIC:
            node.ssh("vswitch nic acquire g1", check=False)

    # ---- commands ----

    def command(self, node, command, timeout=MIGRATION_SECONDS):
        """Runs a command that may fail, bounded."""
        done = node.ssh(f"exec 2>&1; timeout -k 5 {timeout} {command}", check=False, timeout=timeout + 30)
        return Answer(done.returncode, done.stdout.strip())

    def succeed(self, node, command, timeout=MIGRATION_SECONDS):
        answer = self.command(node, command, timeout)
        expect(answer.code == 0, f"{node.name}: `{command}` ended with {answer.code}: {answer.text}")
        return answer.text

    def nic(self, node, guest=G1):
        """What the daemon says of the guest's NIC."""
        shown = json.loads(self.succeed(node, f"vswitch --json nic list {guest.name}"))
        return shown["nics"][0]

    # ---- the daemon ----

    def run_daemon(self, node, arguments=DEBUG):
        """Makes it run with these arguments, and serve."""
        running = node.ssh("tr '\\0' ' ' < /proc/$(cat /run/lab-vswitchd.pid)/cmdline", check=False).stdout.strip()
        if running != f"vswitchd {arguments}".strip():
            node.ssh(f"VSWITCHD_ARGS={shlex.quote(arguments)} lab-daemon restart", timeout=90)
        self.await_daemon(node)

    def await_daemon(self, node, seconds=30):
        """Waits until the daemon has heard from libvirt what runs there."""
        def serves():
            answer = self.command(node, "vswitch --json status", 20)
            return answer.code == 0 and json.loads(answer.text)["daemon"]["libvirt_connected"]
        wait_for(f"the daemon on {node.name} to be in touch with libvirt", serves, seconds)

    def configure(self, node, text="", switch=""):
        """Adds sections, and options of the switch, to the configuration of a node's daemon for this scenario."""
        file = "/run/lab-scenario.conf"
        node.ssh(f"{{ sed 's/uplinks.*/& {switch}/' /etc/vswitch/vswitch.conf; echo '{text}'; }} > {file}")
        self.undo.callback(self.run_daemon, node)
        self.run_daemon(node, f"{DEBUG} -c {file}")

    def await_reason(self, node, reason, seconds=MOVE_SECONDS, guest=G1):
        seen = []

        def there():
            seen.append(self.nic(node, guest)["reason"])
            return seen[-1] == reason
        try:
            wait_for("the reason", there, seconds)
        except LabError:
            raise Failure(f"on {node.name}, {guest.name}'s reason should be {reason!r}, but is {seen[-1]!r}")

    def log_size(self, node):
        return int(node.out(f"stat -c %s {LOG} 2>/dev/null || echo 0"))

    def log_since(self, node, size):
        return node.out(f"tail -c +{size + 1} {LOG}")


def _tables_script(node, guest):
    return (f"bridge fdb show | grep -i '^{guest.mac} '; "
            f"tc filter show dev {node.port} ingress | grep -q dst_mac && echo COPIES; true")


def path_of(tables, pfs, port, tap):
    """From the lines of the forwarding tables that concern one MAC."""
    pins = {line.split()[2] for line in tables.splitlines() if "sticky" in line and "master" in line}
    filtered = {pf for pf in pfs for line in tables.splitlines() if " self" in line and f"dev {pf} " in line}
    if "COPIES" in tables.split() or filtered not in (set(), set(pfs)):
        return MOVING
    return {(frozenset({port}), False): VF, (frozenset({tap}), True): SYNTHETIC,
            (frozenset(), False): ABSENT}.get((frozenset(pins), bool(filtered)), MOVING)


def lab_command(*arguments, timeout=900):
    """Runs tests/lab/lab."""
    done = run([LAB / "lab", *arguments], check=False, timeout=timeout)
    if done.returncode:
        raise LabError(f"lab {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
