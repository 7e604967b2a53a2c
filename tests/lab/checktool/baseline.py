# SPDX-License-Identifier: Apache-2.0
"""What the hosts were like before anybody had a VF: what a release must bring back.

Taken from a host that never had a guest, so that neither the product nor libvirt
can have changed anything yet.  Where that moment has passed (a lab that was brought
up with a guest), the lab's own way of making VFs is the yardstick, which cannot tell
one made-up MAC from another.
"""
import json
from dataclasses import asdict, dataclass, field

from labtool.paths import RUN

from .snapshot import Vf

FILE = RUN / "baseline.json"
ANY_MAC = "any"


@dataclass
class Baseline:
    vfs: dict = field(default_factory=dict)     # address -> Vf
    pins: dict = field(default_factory=dict)
    filters: dict = field(default_factory=dict)     # PF -> MACs
    ports: dict = field(default_factory=dict)


def of(snapshot):
    """The baseline that a snapshot of an untouched host is."""
    return Baseline(vfs={vf.address: vf for vf in snapshot.vfs}, pins=snapshot.pins, filters=snapshot.filters,
                    ports=snapshot.ports)


def derived(snapshot):
    """Without a look at the untouched host: VFs as host-init makes them, tables empty."""
    vfs = {vf.address: Vf(pf=vf.pf, index=vf.index, address=vf.address, mac=ANY_MAC, vlan=0, qos=0, spoofchk=True, trust=False,
                        link_state="auto", min_rate=0, max_rate=0, driver="igbvf", override="", vectors=0)
           for vf in snapshot.vfs}
    taps = {nic.tap for domain in snapshot.domains for nic in domain.nics}
    return Baseline(vfs=vfs, filters={pf: set() for pf in snapshot.pfs}, ports={port: 1 for port in snapshot.ports if port not in taps})


def is_untouched(snapshot):
    return not (snapshot.had_guests or snapshot.claims or snapshot.records)


def _load():
    try:
        return json.loads(FILE.read_text())
    except FileNotFoundError:
        return {}


def _to_json(baseline):
    return {"vfs": [asdict(vf) for vf in baseline.vfs.values()],
            "pins": {mac: sorted(entries) for mac, entries in baseline.pins.items()},
            "filters": {pf: sorted(macs) for pf, macs in baseline.filters.items()}, "ports": baseline.ports}


def _from_json(saved):
    return Baseline(vfs={vf["address"]: Vf(**vf) for vf in saved["vfs"]},
                    pins={mac: {tuple(entry) for entry in entries} for mac, entries in saved["pins"].items()},
                    filters={pf: set(macs) for pf, macs in saved["filters"].items()}, ports=saved["ports"])


def save(snapshots):
    """Stores the present state of these hosts as their baseline."""
    saved = {**_load(), **{s.host: _to_json(of(s)) for s in snapshots}}
    partial = FILE.with_suffix(".partial")
    partial.write_text(json.dumps(saved, indent=1))
    partial.rename(FILE)


def get(snapshot):
    """(baseline, whether it was really seen) of a host; takes it when this is the moment for it."""
    saved = _load().get(snapshot.host)
    if saved:
        return _from_json(saved), True
    if is_untouched(snapshot):
        save([snapshot])
        return of(snapshot), True
    return derived(snapshot), False
