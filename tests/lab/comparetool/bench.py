# SPDX-License-Identifier: Apache-2.0
"""The lab as the cases use it: where the guest is, the daemons, moving VFs by hand.

Two modes.  *By hand*: no daemon runs, no table holds what one would have put
there, and the case's own commands do everything.  *Managed*: vswitchd runs on
every host.  Each case begins with the guest in a known state in one of the two
and does not rely on how the one before ended.
"""
import json
import shlex

from labtool import guests, hosts
from labtool.addresses import Guest, Host, neighbour, vf_sender
from labtool.base import LabError, say, wait_for

from probe.agent import Agent, AgentError
from labtool.addresses import WIRE_SENDER

VF = 0                      # what is used by hand; the lab keeps the last one for a sender
NIC = "ua-net0"
UNPLUG_SECONDS, VF_SECONDS, MOVE_SECONDS, MIGRATE_SECONDS = 60, 90, 120, 180

# The alias is the one that vswitch gives: for as long as a QEMU process lives, its virtio NIC takes no second primary
# with another name, not even after the first one is gone.
_VF_XML = """<interface type='hostdev' managed='yes'>
  <mac address='{mac}'/>
  <source><address type='pci' domain='0x{domain}' bus='0x{bus}' slot='0x{slot}' function='0x{function}'/></source>
  <teaming type='transient' persistent='ua-net0'/>
  <alias name='ua-vf-net0'/>
</interface>
"""
_VF_FILE = "/run/compare-vf.xml"

# What a daemon, an earlier case or a case that failed may have left. The VFs that are in use (the last one is
# a sender's) are left alone by their MAC.
_CLEAN = """
bridge fdb del $M dev $PF self 2>/dev/null
for port in $PF $TAP; do bridge fdb del $M dev $port master 2>/dev/null; done
tc qdisc del dev $PF clsact 2>/dev/null
ip link show $PF | sed -n 's/^ *vf \\([0-9]*\\) .*link.ether \\([0-9a-f:]*\\) .*/\\1 \\2/p' | while read vf mac; do
    [ $mac = $M ] && ip link set $PF vf $vf mac 00:00:00:00:00:00
done
true
"""


class Bench:
    def __init__(self, lab, guest_name="g1"):
        self.hosts = [Host(h["number"]) for h in lab["hosts"]]
        self.vfs = {h["name"]: h["vfs"] for h in lab["hosts"]}
        self.pf = {h["name"]: h["pf"] for h in lab["hosts"]}
        self.guest: Guest = guests.named(guest_name)

    # --- hosts

    def sh(self, host, script, timeout=60, check=True):
        """Runs a script on a host, with M, PF, TAP and GUEST set; returns its output."""
        head = f"M={self.guest.mac} PF={self.pf[host.name]} TAP={self.guest.tap} GUEST={self.guest.name} VF={VF}\n"
        return hosts.ssh(host, head + script, check=check, timeout=timeout).stdout

    def home(self):
        """The host that the guest runs on."""
        host = guests.where(self.guest, self.hosts)
        if not host:
            raise LabError(f"{self.guest.name} does not run")
        return host

    def other(self, host):
        """Where to migrate to from a host."""
        return next(h for h in self.hosts if h != host)

    def uri(self, host):
        return f"qemu+ssh://{host.name}/system"

    def senders(self):
        """Every sender of the two hosts, as the probe calls them."""
        names = ["wire"] + [f"bridge@{h.name}" for h in self.hosts]
        return names + [f"vf@{h.name}" for h in self.hosts if self.vfs[h.name]]

    def let_neighbours_be_heard(self):
        """A VF can answer a neighbour on its host's bridge only if the PF takes frames for that neighbour.

        vswitchd sees to that. Where it does not run, this comparison is not about that trouble: its senders get what
        an operator would set up for them once and for all.
        """
        for host in self.hosts:
            if self.daemon_runs(host):
                continue
            self.sh(host, f"bridge fdb replace {neighbour(host).mac} dev $PF self 2>/dev/null; true")

    # --- the guest

    def agent(self):
        return Agent(WIRE_SENDER.netns, self.guest.ip4)

    def on_vf(self):
        """Whether the guest says that its primary works; False when it does not answer."""
        try:
            with self.agent() as agent:
                return agent.on_vf(seconds=3)
        except AgentError:
            return False

    def ensure_guest(self):
        """A guest that runs and answers, started anew when there is none."""
        host = guests.where(self.guest, self.hosts)
        if host and self._answers(host):
            return
        say(f"starting {self.guest.name} anew")
        guests.stop(self.guest, self.hosts)
        for each in self.hosts:
            self.sh(each, _CLEAN)
        guests.start(self.guest, self.hosts[0], "teaming", self.hosts)

    def _answers(self, host):
        # Only the neighbour on its own bridge can be sure to reach a guest on the synthetic path, only the wire
        # one on a VF.
        for netns in (neighbour(host).netns, WIRE_SENDER.netns):
            try:
                with Agent(netns, self.guest.ip4) as agent:
                    agent.links(seconds=3)
                    return True
            except AgentError:
                pass
        return False

    def has_vf_device(self, host):
        return "type='transient'" in self.sh(host, "virsh -q dumpxml $GUEST", check=False)

    # --- by hand

    def by_hand(self):
        """No daemon, the guest on its synthetic path and reachable on it; returns its host."""
        self.ensure_guest()
        home = self.home()
        if self.daemon_runs(home) and self.nic(home):
            self.release(home)
        for host in self.hosts:
            hosts.daemon(host, "stop")
        if self.has_vf_device(home):
            self.detach_vf(home)
        for host in self.hosts:
            self.sh(host, _CLEAN)
        self.feed_synthetic(home)
        wait_for("the guest to answer on its synthetic path", self._synthetic_now, UNPLUG_SECONDS)
        return home

    def _synthetic_now(self):
        try:
            with self.agent() as agent:
                return not agent.has_primary(seconds=3)
        except AgentError:
            return False

    def feed_synthetic(self, host):
        """The PF hands the guest's frames to the bridge: without it, an igb with VFs gives them to nobody."""
        self.sh(host, "bridge fdb replace $M dev $PF self")

    def attach_vf(self, host):
        """The guest gets a VF as libvirt's own means do it."""
        domain, bus, rest = self.sh(host, "basename $(readlink /sys/class/net/$PF/device/virtfn$VF)").strip().split(":")
        slot, function = rest.split(".")
        xml = _VF_XML.format(mac=self.guest.mac, domain=domain, bus=bus, slot=slot, function=function)
        self.sh(host, f"cat >{_VF_FILE} <<'EOF'\n{xml}EOF\n")
        self.sh(host, f"virsh -q attach-device $GUEST {_VF_FILE} --live", timeout=MOVE_SECONDS)
        wait_for("the guest on its VF", self.on_vf, VF_SECONDS)

    def copy_vf_xml(self, source, destination):
        """The same VF is used on both hosts: they are alike."""
        xml = self.sh(source, f"cat {_VF_FILE}")
        self.sh(destination, f"cat >{_VF_FILE} <<'EOF'\n{xml}EOF\n")

    def detach_vf(self, host):
        """Takes away whatever VF the guest has."""
        self.feed_synthetic(host)
        script = ("virsh -q dumpxml $GUEST | sed -n \"/<hostdev /,/<\\/hostdev>/p; "
                  "/<interface type='hostdev'/,/<\\/interface>/p\" >/run/compare-detach.xml\n"
                  "virsh -q detach-device $GUEST /run/compare-detach.xml --live")
        self.sh(host, script, timeout=MOVE_SECONDS)
        wait_for("the VF to be gone", lambda: not self.has_vf_device(host), UNPLUG_SECONDS)

    @property
    def vf_file(self):
        return _VF_FILE

    def migrate(self, source, destination, command=None):
        """Runs the migration, `virsh migrate` unless told otherwise, to its end."""
        command = command or f"virsh migrate --live $GUEST {self.uri(destination)}"
        self.sh(source, command, timeout=MIGRATE_SECONDS)

    # --- managed

    def managed(self):
        """Daemons on all hosts, tables as they leave them; returns the guest's host."""
        self.ensure_guest()
        home = self.home()
        if not self.daemon_runs(home):
            self.by_hand()
        for host in self.hosts:
            if not self.daemon_runs(host):
                self.sh(host, _CLEAN)
                hosts.daemon(host, "start")
        wait_for("vswitchd to know the guest's NIC", lambda: self.nic(home), MOVE_SECONDS)
        return home

    def daemon_runs(self, host):
        return hosts.daemon(host, "status") != "stopped"

    def nic(self, host):
        """vswitch's view of the guest's NIC, or None."""
        text = self.sh(host, "vswitch nic list --json", check=False)
        try:
            nics = json.loads(text)["nics"]
        except (ValueError, KeyError):
            return None
        return next((n for n in nics if n["nic"] == f"{self.guest.name}/{NIC}"), None)

    def path(self, host):
        nic = self.nic(host)
        return nic["path"] if nic else None

    def acquire(self, host):
        self._move(host, "acquire", "vf")
        wait_for("the guest on its VF", self.on_vf, VF_SECONDS)

    def release(self, host):
        self._move(host, "release --hold", "synthetic")
        wait_for("the VF to be gone", lambda: not self.has_vf_device(host), UNPLUG_SECONDS)

    def _move(self, host, verb, path):
        self.sh(host, f"vswitch nic {verb} {shlex.quote(f'{self.guest.name}/{NIC}')}", timeout=MOVE_SECONDS)
        self.await_path(host, path)

    def await_path(self, host, path):
        try:
            wait_for(f"vswitch to have the NIC on path {path}", lambda: self.path(host) == path, MOVE_SECONDS)
        except LabError as err:
            raise LabError(f"{err}; it says {json.dumps(self.nic(host))}")


