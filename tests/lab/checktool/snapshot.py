# SPDX-License-Identifier: Apache-2.0
"""One host's state at one moment, parsed from what collect.bash prints."""
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

_MARK = "@@ "


@dataclass(frozen=True)
class Vf:
    """A VF as the PF reports it, and which driver has it."""
    pf: str
    index: int
    address: str        # PCI
    mac: str
    vlan: int
    qos: int
    spoofchk: bool
    trust: bool
    link_state: str
    min_rate: int
    max_rate: int
    driver: str         # "" when none
    override: str       # sysfs driver_override, "" when none
    vectors: int        # interrupt vectors in use: somebody drives it


@dataclass(frozen=True)
class Nic:
    """A guest's virtio NIC on the bridge."""
    alias: str
    mac: str
    tap: str


@dataclass(frozen=True)
class GuestVf:
    """A VF that libvirt says a guest has."""
    alias: str
    address: str
    persistent: str     # alias of the NIC it is teamed with, "" when none


@dataclass(frozen=True)
class Domain:
    name: str
    uuid: str
    state: str
    nics: tuple
    vfs: tuple


@dataclass
class Snapshot:
    host: str
    pfs: list
    port: str           # of the bridge, towards the wire: the PF, or the bond that its PFs form
    vfs: list = field(default_factory=list)
    pins: dict = field(default_factory=dict)        # MAC -> set of (port, sticky)
    filters: dict = field(default_factory=dict)     # PF -> set of unicast MACs in its own list
    behind: set = field(default_factory=set)        # MACs behind the bridge's other ports, but for pins
    copies: list = field(default_factory=list)      # tc filters on the port, as texts
    ports: dict = field(default_factory=dict)       # bridge port -> multicast_router
    claims: dict = field(default_factory=dict)      # file name -> content, None if unreadable
    records: dict = field(default_factory=dict)
    domains: list = field(default_factory=list)
    libvirt: str = ""                               # why libvirt did not answer, or ""
    daemon_runs: bool = False
    had_guests: bool = False                        # some guest ran here since the host booted

    def without_moving_parts(self):
        """What must be equal before and after something that should change nothing."""
        return {key: value for key, value in vars(self).items() if key not in ("daemon_runs", "libvirt")}


def _sections(text):
    """[(title words, body)] of the script's output."""
    found = []
    for line in text.splitlines():
        if line.startswith(_MARK):
            found.append((line[len(_MARK):].split(), []))
        elif found:
            found[-1][1].append(line)
    return [(title, "\n".join(body).strip()) for title, body in found]


def _json_list(body):
    return json.loads(body) if body else []


def _is_unicast(mac):
    return int(mac[:2], 16) & 1 == 0


def _vf(pf, attributes, line):
    index, address, driver, vectors, override = line.split()
    vlan = attributes["vlan_list"][0] if attributes.get("vlan_list") else {}
    rate = attributes.get("rate", {})
    return Vf(pf=pf, index=int(index), address=address, mac=attributes["address"],
              vlan=vlan.get("vlan", 0), qos=vlan.get("qos", 0),
              spoofchk=attributes.get("spoofchk", False), trust=attributes.get("trust", False),
              link_state=attributes.get("link_state", ""),
              min_rate=rate.get("min_tx", 0), max_rate=rate.get("max_tx", 0),
              driver="" if driver == "-" else driver,
              override="" if override == "(null)" else override, vectors=int(vectors))


def _vfs(pf, link, body):
    attributes = {vf["vf"]: vf for vf in link.get("vfinfo_list", [])}
    lines = [line for line in body.splitlines() if int(line.split()[0]) in attributes]
    return sorted((_vf(pf, attributes[int(line.split()[0])], line) for line in lines), key=lambda vf: vf.index)


def _read_fdb(snapshot, entries):
    for entry in entries:
        mac, port, flags = entry["mac"], entry.get("ifname"), entry.get("flags", [])
        if "master" in entry and port != snapshot.port and "sticky" not in flags and _is_unicast(mac):
            snapshot.behind.add(mac)
        if "master" in entry and entry.get("state") == "static":
            snapshot.pins.setdefault(mac, set()).add((port, "sticky" in flags))
        elif "self" in flags and port in snapshot.filters and _is_unicast(mac):
            snapshot.filters[port].add(mac)


def _describe_rule(direction, rule):
    options = rule.get("options", {})
    keys = options.get("keys", {})
    actions = ", ".join(f"{a.get('mirred_action')} to {a.get('to_dev')}" for a in options.get("actions", []))
    return f"{direction} {rule.get('kind', '?')} {keys.get('dst_mac', '')} {actions}".strip()


def _rules(direction, filters):
    # tc lists a classifier twice: once as such, and once with what it holds.
    return [_describe_rule(direction, rule) for rule in filters if rule.get("options")]


def _pci_address(element):
    part = {key: int(element.get(key), 16) for key in ("domain", "bus", "slot", "function")}
    return f"{part['domain']:04x}:{part['bus']:02x}:{part['slot']:02x}.{part['function']:x}"


def _attribute(element, path, name):
    found = element.find(path)
    return found.get(name, "") if found is not None else ""


def _guest_vf(device):
    address = device.find("source/address")
    return GuestVf(alias=_attribute(device, "alias", "name"), address=_pci_address(address),
                   persistent=_attribute(device, "teaming", "persistent"))


def _domain(name, state, xml):
    root = ElementTree.fromstring(xml)
    interfaces = root.findall("devices/interface")
    hostdevs = root.findall("devices/hostdev[@type='pci']")
    nics = [Nic(alias=_attribute(i, "alias", "name"), mac=_attribute(i, "mac", "address"),
                tap=_attribute(i, "target", "dev"))
            for i in interfaces if i.get("type") != "hostdev"]
    vfs = [_guest_vf(d) for d in hostdevs + [i for i in interfaces if i.get("type") == "hostdev"]]
    return Domain(name=name, uuid=root.findtext("uuid", ""), state=state, nics=tuple(nics), vfs=tuple(vfs))


def _content(body):
    try:
        return json.loads(body)
    except ValueError:
        return None


def parse(host, pfs, port, text):
    """The Snapshot of a host from the script's output."""
    snapshot = Snapshot(host=host, pfs=pfs, port=port, filters={pf: set() for pf in pfs})
    links = {}
    for title, body in _sections(text):
        kind = title[0]
        if kind == "link":
            links[title[1]] = _json_list(body)[0]
        elif kind == "fdb":
            _read_fdb(snapshot, _json_list(body))
        elif kind in ("ingress", "egress"):
            snapshot.copies += _rules(kind, _json_list(body))
        elif kind == "ports":
            snapshot.ports = {name: int(value) for name, value in (line.split() for line in body.splitlines())}
        elif kind == "vfs":
            snapshot.vfs += _vfs(title[1], links[title[1]], body)
        elif kind == "file":
            files = snapshot.claims if title[1] == "claims" else snapshot.records
            files[title[2]] = _content(body)
        elif kind == "history":
            snapshot.had_guests = bool(body)
        elif kind == "daemon":
            snapshot.daemon_runs = body.startswith("running")
        elif kind == "domains":
            snapshot.libvirt = "" if body == "answered" else body
        elif kind == "domain":
            snapshot.domains.append(_domain(title[1], " ".join(title[2:]), body))
    return snapshot
