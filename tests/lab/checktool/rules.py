# SPDX-License-Identifier: Apache-2.0
"""What the state of a host asks for, and every difference from it in one sentence.

The yardstick is what runs on the host.  A NIC is on the synthetic path or on a VF,
nothing in between: the check is for moments when no move is under way.

    no guest      no claim, pin, uplink filter, copy rule; VFs as in the baseline
    synthetic     pin (static, sticky) to the tap, uplink filter; no claim
    on a VF       one claim, VF with the guest's MAC and sane settings, pin (static,
                  sticky) to the uplink, no uplink filter; the tap stays a multicast
                  router port, so that IPv6 works the moment it is needed again
"""
from dataclasses import dataclass

from labtool.addresses import all_senders

from .baseline import ANY_MAC

MULTICAST_LEARNED, MULTICAST_ROUTER = 1, 2
_GUEST_DRIVER = "vfio-pci"
# The managed device's alias is made of the NIC's: ua-net0 -> ua-vf-net0.
_VF_ALIAS = "ua-vf-"
_SENDER_MACS = {sender.mac for sender in all_senders()}


@dataclass(frozen=True)
class Placed:
    """A NIC of a guest on this host, and the VF that vswitch gave it, if any."""
    domain: object
    nic: object
    vf: object          # Vf or None

    @property
    def name(self):
        return f"{self.domain.name}/{self.nic.alias}"


def place(snapshot):
    """The NICs on this host that vswitch looks after.

    A guest with a VF from somebody else (libvirt, the lab) is none of its business.
    """
    placed = []
    vfs = {vf.address: vf for vf in snapshot.vfs}
    for domain in snapshot.domains:
        for nic in domain.nics:
            devices = [d for d in domain.vfs if d.persistent == nic.alias]
            if any(not d.alias.startswith(_VF_ALIAS) for d in devices):
                continue
            placed.append(Placed(domain, nic, vfs.get(devices[0].address) if devices else None))
    return placed


def _foreign_addresses(snapshot):
    """VFs that guests have, but not from vswitch."""
    return {d.address for domain in snapshot.domains for d in domain.vfs if not d.alias.startswith(_VF_ALIAS)}


def _vf_differences(vf, wanted, guest_macs):
    """What distinguishes a VF that nobody has from the baseline."""
    fields = ["vlan", "qos", "spoofchk", "trust", "link_state", "min_rate", "max_rate", "driver", "override"]
    found = [(name, getattr(vf, name), getattr(wanted, name)) for name in fields
             if getattr(vf, name) != getattr(wanted, name)]
    if vf.mac in guest_macs or (wanted.mac != ANY_MAC and vf.mac != wanted.mac):
        found.append(("MAC", vf.mac, wanted.mac))
    return found


def _check_free_vfs(snapshot, baseline, placed, guest_macs):
    used = {p.vf.address for p in placed if p.vf} | _foreign_addresses(snapshot)
    claimed = {claim["vf-address"] for claim in snapshot.claims.values() if claim}
    for vf in snapshot.vfs:
        wanted = baseline.vfs.get(vf.address)
        if vf.address in used or not wanted:
            continue
        because = "it is claimed, but no guest has it" if vf.address in claimed else "nobody has it"
        for name, value, before in _vf_differences(vf, wanted, guest_macs):
            yield f"VF {vf.index} ({vf.address}) has {name} {_show(value)}: {because}, and it was {_show(before)}"


def _show(value):
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if value != "" else "none"


def _check_used_vf(p):
    """A VF in a guest's hands."""
    where = f"VF {p.vf.index} ({p.vf.address}) of {p.name}"
    sane = [("MAC", p.vf.mac, p.nic.mac, "that is the guest's"),
            ("driver", p.vf.driver, _GUEST_DRIVER, "a guest has it"),
            ("vlan", p.vf.vlan, 0, "the NIC has none"), ("qos", p.vf.qos, 0, "the NIC has none"),
            ("spoofchk", p.vf.spoofchk, True, "guests are not trusted"),
            ("trust", p.vf.trust, False, "guests are not trusted"),
            ("max_rate", p.vf.max_rate, 0, "the NIC has no limit"),
            ("min_rate", p.vf.min_rate, 0, "the NIC has no guarantee")]
    for name, value, wanted, why in sane:
        if value != wanted:
            yield f"{where} has {name} {_show(value)}, not {_show(wanted)}: {why}"
    if not p.vf.vectors:
        yield f"{where} has no interrupt vectors: the guest does not drive it, so its frames are lost there"


def _check_claims(snapshot, baseline, placed):
    owners = {p.vf.address: p for p in placed if p.vf}
    for name, claim in snapshot.claims.items():
        if claim is None:
            yield f"claims/{name} cannot be read: only whole claims belong there"
            continue
        owner = owners.pop(claim["vf-address"], None)
        if not owner:
            kind = "lease" if claim["leased"] else "claim"
            who = f"{claim['domain']}/{claim['alias']}"
            yield f"{kind} of VF {claim['vf-address']} for {who}: that guest has no VF here"
            continue
        yield from _check_claim(claim, owner, baseline)
    for p in owners.values():
        yield f"no claim of VF {p.vf.address}: {p.name} has it, and nobody would clean it up after a crash"


def _check_claim(claim, owner, baseline):
    where = f"claim of VF {claim['vf-address']}"
    if claim["leased"]:
        yield f"{where} is still a lease: {owner.name} has arrived"
    pairs = [("uuid", claim["uuid"], owner.domain.uuid), ("alias", claim["alias"], owner.nic.alias),
             ("mac", claim["mac"], owner.nic.mac), ("vf-index", claim["vf-index"], owner.vf.index)]
    for name, value, wanted in pairs:
        if value != wanted:
            yield f"{where} has {name} {value}: {owner.name} has {wanted}"
    before, base = claim["before"], baseline.vfs.get(owner.vf.address)
    if not base:
        return
    kept = [("mac", before["mac"], base.mac), ("vlan", before["vlan"], base.vlan), ("qos", before["qos"], base.qos),
            ("spoof-check", before["spoof-check"], base.spoofchk), ("trust", before["trust"], base.trust),
            ("driver", before["driver"], base.driver)]
    for name, value, wanted in kept:
        if value != wanted and wanted != ANY_MAC:
            yield f"{where} would restore {name} {_show(value)}: the VF had {_show(wanted)} before"


def _check_pins(snapshot, baseline, placed):
    wanted = {p.nic.mac: snapshot.port if p.vf else p.nic.tap for p in placed}
    names = {p.nic.mac: p.name for p in placed}
    for mac, port in wanted.items():
        entries = snapshot.pins.get(mac, set())
        path = "on a VF" if port == snapshot.port else "on the synthetic path"
        for wrong, _ in sorted(e for e in entries if e[0] != port):
            yield f"pin of {mac} to {wrong}: {names[mac]} is {path}, so it belongs to {port}"
        if not any(entry[0] == port for entry in entries):
            yield f"no pin of {mac} to {port}: {names[mac]} is {path}, and learning may lead its frames astray"
        elif (port, True) not in entries:
            yield f"pin of {mac} to {port} is not sticky: learning moves it"
    for mac, entries in sorted(snapshot.pins.items()):
        if mac not in wanted and entries - baseline.pins.get(mac, set()):
            ports = ", ".join(sorted(port for port, _ in entries))
            yield f"pin of {mac} to {ports}: no guest here has that MAC"
    for mac in sorted(set(baseline.pins) - set(snapshot.pins)):
        yield f"no pin of {mac}: it was there before, and is not vswitch's to remove"


def _check_filters(snapshot, baseline, placed):
    for pf in snapshot.pfs:
        yield from _check_filters_of(pf, snapshot.filters[pf], baseline.filters.get(pf, set()), placed,
                                     snapshot.behind | _SENDER_MACS)


def _check_filters_of(pf, filters, before, placed, others):
    """`others` may be reachable through the PF: whoever is on the bridge, and the senders, who move about."""
    synthetic = {p.nic.mac: p.name for p in placed if not p.vf}
    on_vf = {p.nic.mac: p.name for p in placed if p.vf}
    for mac, name in synthetic.items():
        if mac not in filters:
            yield f"no uplink filter {mac} on {pf}: {name} is on the synthetic path, so the wire does not reach it"
    for mac in sorted(filters - set(synthetic) - before - (others - set(on_vf))):
        why = f"{on_vf[mac]} is on a VF" if mac in on_vf else "no guest here has that MAC"
        yield f"uplink filter {mac} on {pf}: {why}"
    for mac in sorted(before - filters - others):
        yield f"no uplink filter {mac} on {pf}: it was there before, and is not vswitch's to remove"


def _check_copy_rules(snapshot):
    """An empty clsact stays by design: making and unmaking it costs everybody frames."""
    for text in snapshot.copies:
        yield f"copy rule left on {snapshot.port} ({text}): no move is under way"


def _check_ports(snapshot, baseline, placed):
    for p in placed:
        wanted = MULTICAST_ROUTER if p.vf else MULTICAST_LEARNED
        value = snapshot.ports.get(p.nic.tap)
        if value is None:
            yield f"{p.nic.tap} is no port of the bridge: {p.name} has no synthetic path"
        elif value != wanted:
            why = "on a VF, where its tap must not be pruned" if p.vf else "on the synthetic path, an ordinary port"
            yield f"multicast_router of {p.nic.tap} is {value}, not {wanted}: {p.name} is {why}"
    for port, value in baseline.ports.items():
        if port in snapshot.ports and snapshot.ports[port] != value:
            yield f"multicast_router of {port} is {snapshot.ports[port]}: it was {value}"


def _check_records(snapshot, placed):
    wanted = {(p.domain.uuid, p.nic.alias): p for p in placed}
    for name, record in snapshot.records.items():
        if record is None:
            yield f"nics/{name} cannot be read: only whole records belong there"
        elif (record["uuid"], record["alias"]) not in wanted:
            yield f"record of {record['domain']}/{record['alias']}: that guest is not here"
        else:
            del wanted[record["uuid"], record["alias"]]
    for p in wanted.values():
        yield f"no record of {p.name}: nobody would clean up after it once it has gone"


def differences(snapshot, baseline, guest_macs):
    """Sentences about one host; `guest_macs` are the MACs of all guests of the lab."""
    if snapshot.libvirt:
        return [f"libvirt does not say what runs here: {snapshot.libvirt}"]
    # A host that vswitch has nothing to do with: whatever runs there asks for nothing.
    idle = not (snapshot.daemon_runs or snapshot.claims or snapshot.records)
    placed = [] if idle else place(snapshot)
    return [*_check_free_vfs(snapshot, baseline, placed, guest_macs),
            *(s for p in placed if p.vf for s in _check_used_vf(p)),
            *_check_claims(snapshot, baseline, placed), *_check_pins(snapshot, baseline, placed),
            *_check_filters(snapshot, baseline, placed), *_check_copy_rules(snapshot),
            *_check_ports(snapshot, baseline, placed), *_check_records(snapshot, placed)]


def everywhere(snapshots):
    """[(host, sentence)] about what concerns more than one host."""
    seen = {}
    for snapshot in snapshots:
        for domain in snapshot.domains:
            if domain.uuid in seen:
                yield snapshot.host, f"guest {domain.name} runs here and on {seen[domain.uuid]}"
            seen[domain.uuid] = snapshot.host
