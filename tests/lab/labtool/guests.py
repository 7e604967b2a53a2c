"""The guests: initramfs, domain XML, start, stop, console.

A guest is Debian's kernel with a small initramfs, no disk, one virtio NIC on the
host's bridge.  Variants:

    teaming          the NIC may get a VF (`<teaming type='persistent'/>`): what
                     vswitch manages
    plain            no teaming: vswitch must leave it alone
    hostdev          teaming, and a VF as a plain hostdev in the XML
    teaming-libvirt  teaming, and a VF as `<interface type='hostdev' managed='yes'>`
                     that libvirt itself programs and restores
The last two are controls that work without vswitch.

A guest may be ill: `no-vf-driver` has no driver for the VF, `keeps-vf` never lets go of
one that it had (until it boots again).
"""
import os
import subprocess
from string import Template

from . import hosts, image, initramfs, net, state
from .addresses import BRIDGE, MAX_GUESTS, WIRE_SENDER, Guest, all_senders, neighbour
from .base import LabError, run, say, wait_for
from .paths import BOOT, GUEST_SRC, PROBE, SHARE

ILLS = ("no-vf-driver", "keeps-vf")
WITH_VF = ("hostdev", "teaming-libvirt")
VARIANTS = ("teaming", "plain", *WITH_VF)
MEMORY_MB = 192
FREE_ROOT_PORTS = 2
_MODULES = ["failover", "net_failover", "virtio_net", "igbvf"]
_CMDLINE = ("console=ttyS0 loglevel=5 mitigations=off tsc=unstable audit=0 nokaslr no_timer_check "
            "cryptomgr.notests rcupdate.rcu_expedited=1 labip={ip4}/24 labip6={ip6}/64")
_BOOT_SECONDS = {"kvm": 60, "qemu": 300}
_TCG_CPU = "<cpu mode='custom' match='exact'><model fallback='allow'>qemu64</model></cpu>"
_KVM_CPU = "<cpu mode='host-passthrough' migratable='on'/>"


def named(name):
    if len(name) == 2 and name[0] == "g" and name[1].isdigit() and 1 <= int(name[1]) <= MAX_GUESTS:
        return Guest(int(name[1]))
    raise LabError(f"no such guest: {name} (g1 ... g{MAX_GUESTS})")


def prepare():
    """Puts the guests' kernel and initramfs on the share."""
    target = SHARE / "guest"
    target.mkdir(parents=True, exist_ok=True)
    (target / "vmlinuz").write_bytes(image.kernel().read_bytes())
    table = "".join(f"{ip} {s.mac}\n" for s in all_senders() for ip in (s.ip4, s.ip6))
    files = [("etc/neighbours", table.encode(), 0o644),
             ("neighbours", _compiled(GUEST_SRC / "neighbours.c"), 0o755)]
    agent = PROBE / "guest-agent.c"
    if agent.is_file():
        files.append(("agent", _compiled(agent), 0o755))
    else:
        say(f"no {agent.name}: the guests run no agent")
    initramfs.build(target / "initrd", image.rootfs(), (GUEST_SRC / "init").read_bytes(),
                    _MODULES, files)


def _compiled(source):
    program = BOOT / source.stem
    run(["gcc", "-static", "-O2", "-o", program, source], timeout=120)
    return program.read_bytes()


def virt_type(host):
    """kvm where the host offers it to guests (an emulated one does, by SVM), else qemu."""
    forced = os.environ.get("VSWITCH_LAB_GUEST_ACCEL")
    if forced in ("kvm", "qemu"):
        return forced
    return "kvm" if hosts.ssh(host, "test -c /dev/kvm", check=False).returncode == 0 else "qemu"


def _vf_address(host, vf):
    """A host's VF: its PCI address, and the same as libvirt's element."""
    pf = next(h["pf"] for h in state.load()["hosts"] if h["name"] == host.name)
    bdf = hosts.ssh(host, f"basename $(readlink /sys/class/net/{pf}/device/virtfn{vf})").stdout.strip()
    if bdf.count(":") != 2:
        raise LabError(f"{host.name} has no VF {vf}")
    domain, bus, rest = bdf.split(":")
    slot, function = rest.split(".")
    return bdf, (f"<address type='pci' domain='0x{domain}' bus='0x{bus}' "
                  f"slot='0x{slot}' function='0x{function}'/>")


def _vf_xml(guest, variant, address):
    teaming = "<teaming type='transient' persistent='ua-net0'/><alias name='ua-vf0'/>"
    if variant == "hostdev":
        return (f"    <hostdev mode='subsystem' type='pci' managed='no'><driver name='vfio'/>"
                f"<source>{address}</source>{teaming}</hostdev>")
    if variant == "teaming-libvirt":
        return (f"    <interface type='hostdev' managed='yes'><mac address='{guest.mac}'/>"
                f"<source>{address}</source>{teaming}</interface>")
    return ""


def _interface_xml(guest, variant, number):
    return Template((GUEST_SRC / "interface.xml").read_text()).substitute(
        mac=guest.nic_mac(number), bridge=BRIDGE, tap=guest.nic_tap(number), number=number,
        teaming="" if variant == "plain" else "<teaming type='persistent'/>").rstrip("\n")


def domain_xml(guest, variant, virt, vf_address="", nics=1, ill=None):
    vf = _vf_xml(guest, variant, vf_address)
    # libvirt puts the devices of the XML into the first root ports: these are for a VF
    # that comes later, the others are taken.
    ports = FREE_ROOT_PORTS + nics + bool(vf)
    return Template((GUEST_SRC / "domain.xml").read_text()).substitute(
        virt_type=virt, name=guest.name, uuid=guest.uuid, memory_mb=MEMORY_MB,
        cmdline=_CMDLINE.format(ip4=guest.ip4, ip6=guest.ip6) + (f" labill={ill}" if ill else ""),
        cpu=_KVM_CPU if virt == "kvm" else _TCG_CPU,
        root_ports="\n".join(["    <controller type='pci' model='pcie-root-port'/>"] * ports),
        interfaces="\n".join(_interface_xml(guest, variant, n) for n in range(nics)), vf=vf)


def where(guest, all_hosts):
    """The host that a guest runs on, or None."""
    for host in all_hosts:
        if guest.name in hosts.ssh(host, "virsh -q list --name").stdout.split():
            return host
    return None


def start(guest, host, variant, all_hosts, vf=0, wait=True, nics=1, ill=None):
    running = where(guest, all_hosts)
    if running:
        raise LabError(f"{guest.name} already runs on {running.name}: lab guest stop {guest.name}")
    virt, address = virt_type(host), ""
    if variant in WITH_VF:
        bdf, address = _vf_address(host, vf)
        if variant == "hostdev":
            _prepare_vf(host, guest, bdf, vf)
    say(f"starting {guest.name} on {host.name} ({variant}, {virt})")
    xml = domain_xml(guest, variant, virt, address, nics, ill)
    hosts.ssh(host, f"cat > /root/{guest.name}.xml <<'EOF'\n{xml}EOF\n"
                    f"virsh -q define /root/{guest.name}.xml && virsh -q start {guest.name}", timeout=120)
    if wait:
        await_answer(guest, host, _BOOT_SECONDS[virt])


def _prepare_vf(host, guest, bdf, vf):
    """Gives a VF the guest's MAC and vfio-pci, and notes how to undo it when the guest is stopped.

    Only what was done here is undone: a VF that vswitch left dirty has to stay visible.
    """
    hosts.ssh(host, f"""set -e
cd /sys/bus/pci/devices/{bdf}
pf=$(ls physfn/net | head -1)
bind() {{
    [ ! -e driver ] || echo {bdf} > driver/unbind
    echo $1 > driver_override
    echo {bdf} > /sys/bus/pci/drivers_probe
    echo > driver_override
}}
ip link set $pf vf {vf} mac {guest.mac}
bind vfio-pci
{{
    declare -f bind
    echo "cd /sys/bus/pci/devices/{bdf}; ip link set $pf vf {vf} mac 00:00:00:00:00:00; bind igbvf"
}} > /run/lab-undo-{guest.name}
""")


def await_answer(guest, host, seconds):
    """Waits for an answer on either path.

    A guest on the synthetic path answers its neighbour on the bridge.  The wire
    reaches it only when somebody has told the PF its MAC: while VFs exist, an igb
    hands unknown unicast frames to nobody.
    """
    def answered():
        return [s.name for s in (neighbour(host), WIRE_SENDER) if net.ping(s, guest.ip4)]
    wait_for(f"an answer from {guest.name}", answered, seconds)
    say(f"{guest.name} answers {' and '.join(answered())}")


def stop(guest, all_hosts):
    """Ends a guest wherever it runs and forgets it everywhere."""
    for host in all_hosts:
        undo = f"/run/lab-undo-{guest.name}"
        hosts.ssh(host, f"virsh -q destroy {guest.name}; virsh -q undefine {guest.name}; "
                        f"[ ! -e {undo} ] || bash {undo}; rm -f {undo}")


def console(guest, all_hosts):
    host = where(guest, all_hosts)
    if not host:
        raise LabError(f"{guest.name} does not run")
    return subprocess.call(hosts.ssh_argv(host, "-t") + ["virsh", "console", guest.name, "--force"])
