"""Every name and address of the lab, computed from small numbers.

Nothing is looked up or allocated: host N, guest K and each sender have fixed
addresses, so permanent neighbour entries can be written everywhere beforehand
and no test ever waits for ARP or neighbour discovery.
"""
from dataclasses import dataclass

MAX_HOSTS = 9
MAX_GUESTS = 9

LAB_NETNS = "vlab"
BRIDGE = "br0"          # the software switch inside every host
PF_MONITOR_IDS = ("pf0", "pf1")   # QEMU's names for a host's physical NICs
BOND = "bond0"          # the uplink of a host with two


@dataclass(frozen=True)
class Sender:
    """A namespace on L0 that probes are sent from; its interface is `ifname`."""
    name: str
    kind: str           # wire, nb (neighbour on a host's bridge), vf (a VF of a host's PF)
    host: str           # the host it belongs to, or ""
    mac: str
    ip4: str
    ip6: str
    ifname: str = "eth0"

    @property
    def netns(self):
        return f"{LAB_NETNS}-{self.name}"


@dataclass(frozen=True)
class Host:
    number: int

    @property
    def name(self):
        return f"h{self.number}"

    @property
    def mgmt_ip(self):
        return f"10.99.0.{10 + self.number}"

    @property
    def pf_mac(self):
        return f"52:54:00:aa:00:{self.number:02x}"

    @property
    def second_pf_mac(self):
        return f"52:54:00:ab:00:{self.number:02x}"

    @property
    def mgmt_mac(self):
        return f"52:54:00:99:00:{self.number:02x}"

    @property
    def nbr_mac(self):
        return f"52:54:00:99:01:{self.number:02x}"

    @property
    def relay_mac(self):
        return f"52:54:00:99:02:{self.number:02x}"

    def tap(self, net):
        """The tap on L0 behind one of the host's NICs: wire, wire2, mgmt, nb or vf."""
        return f"{net}-{self.name}"


@dataclass(frozen=True)
class Guest:
    number: int

    @property
    def name(self):
        return f"g{self.number}"

    @property
    def uuid(self):
        return f"11111111-1111-1111-1111-{self.number:012d}"

    @property
    def mac(self):
        return self.nic_mac(0)

    def nic_mac(self, nic):
        return f"52:54:00:12:{0x34 + nic:02x}:{0x55 + self.number:02x}"

    @property
    def ip4(self):
        return f"10.98.0.{100 + self.number}"

    @property
    def ip6(self):
        return f"fd98::1:{self.number}"

    @property
    def tap(self):
        return self.nic_tap(0)

    def nic_tap(self, nic):
        return f"{self.name}n{nic}"


WIRE_SENDER = Sender("wire", "wire", "", "52:54:00:5e:00:01", "10.98.0.11", "fd98::11")


def neighbour(host):
    n = host.number
    return Sender(f"nb-{host.name}", "nb", host.name,
                  f"52:54:00:5e:01:{n:02x}", f"10.98.0.{20 + n}", f"fd98::{20 + n}")


def vf_sender(host):
    n = host.number
    return Sender(f"vf-{host.name}", "vf", host.name,
                  f"52:54:00:5e:02:{n:02x}", f"10.98.0.{30 + n}", f"fd98::{30 + n}")


def all_senders():
    """Every sender that any lab can have: guests know them all beforehand."""
    hosts = [Host(n) for n in range(1, MAX_HOSTS + 1)]
    return [WIRE_SENDER] + [neighbour(h) for h in hosts] + [vf_sender(h) for h in hosts]


def all_guests():
    return [Guest(k) for k in range(1, MAX_GUESTS + 1)]
