"""QEMU for the hosts: which accelerator works, the command line, the monitor.

QEMU comes out of the lab's own root file system, so it depends on this machine
for nothing but a kernel.

A /dev/kvm that opens proves little (some machines offer one that cannot run an
ordinary kernel), so a kernel is booted under it once, with a bound, and the
verdict is kept for as long as this machine stays up.
"""
import os
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import image, initramfs
from .addresses import LAB_NETNS, PF_MONITOR_IDS
from .base import LabError, say, wait_for
from .paths import BOOT, CACHE, LOGS, RUN, SHARE

_PROBE_SECONDS = 20
_PROBE_MARK = "VSWITCH-LAB-KVM-WORKS"
_PROBE_INIT = f"""#!/bin/sh
echo {_PROBE_MARK}
/bin/busybox poweroff -f
"""


def command():
    """The beginning of every QEMU command line, and its environment."""
    root = image.rootfs()
    share = root / "usr/share"
    firmware = [share / "qemu", share / "seabios", root / "usr/lib/ipxe/qemu"]
    argv = image.program("qemu-system-x86_64")
    for directory in firmware:
        argv += ["-L", str(directory)]
    modules = root / "usr/lib/x86_64-linux-gnu/qemu"
    return argv, {**os.environ, "QEMU_MODULE_DIR": str(modules)}


def accelerator():
    """kvm or tcg; VSWITCH_LAB_ACCEL overrides the probe."""
    forced = os.environ.get("VSWITCH_LAB_ACCEL", "auto")
    if forced in ("kvm", "tcg"):
        return forced
    if forced != "auto":
        raise LabError(f"VSWITCH_LAB_ACCEL={forced}: must be kvm, tcg or auto")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    verdict = CACHE / "kvm-verdict"
    key = f"{boot_id} {image.rootfs().name}"
    if verdict.is_file():
        known_key, _, known = verdict.read_text().strip().rpartition(" ")
        if known_key == key:
            return known
    say(f"trying KVM with a small boot (at most {_PROBE_SECONDS} s)")
    found = "kvm" if _kvm_boots() else "tcg"
    verdict.write_text(f"{key} {found}\n")
    say("KVM works" if found == "kvm" else "KVM does not work here: using TCG (slow)")
    return found


def _kvm_boots():
    with tempfile.TemporaryDirectory(prefix="vswitch-lab-") as tmp:
        initrd, serial = Path(tmp, "initrd"), Path(tmp, "serial")
        initramfs.build(initrd, image.rootfs(), _PROBE_INIT.encode(), [])
        argv, env = command()
        argv += ["-machine", "q35,kernel-irqchip=split", "-accel", "kvm", "-cpu", "host",
                 "-m", "512", "-nodefaults", "-display", "none", "-no-reboot",
                 "-kernel", str(image.kernel()), "-initrd", str(initrd),
                 "-append", "console=ttyS0 panic=-1 quiet", "-serial", f"file:{serial}"]
        proc = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + _PROBE_SECONDS
            while time.monotonic() < end and proc.poll() is None:
                if serial.exists() and _PROBE_MARK in serial.read_text(errors="replace"):
                    return True
                time.sleep(0.2)
            return serial.exists() and _PROBE_MARK in serial.read_text(errors="replace")
        finally:
            proc.kill()
            proc.wait()


def serial_log(host):
    return LOGS / f"{host.name}.serial.log"


def qemu_log(host):
    return LOGS / f"{host.name}.qemu.log"


def monitor_socket(host):
    return RUN / f"{host.name}.monitor"


# Offloads off: frames that a relay hands to another NIC must be complete.
_COMPLETE_FRAMES = ",csum=off,guest_csum=off,gso=off"


def _nic(host, net, device, mac, extra=""):
    return ["-netdev", f"tap,id={net},ifname={host.tap(net)},script=no,downscript=no",
            "-device", f"{device},netdev={net},mac={mac},romfile=" + extra]


def boot(host, accel, sriov, bond, memory_mb):
    """Starts a host's QEMU in the lab's namespace; returns its process."""
    machine, cpu = ("q35,kernel-irqchip=split", "host") if accel == "kvm" else ("q35", "max")
    acceleration = "kvm" if accel == "kvm" else "tcg,thread=multi,tb-size=1024"
    model = "igb" if sriov else "e1000e"
    argv, env = command()
    argv = ["ip", "netns", "exec", LAB_NETNS] + argv + [
        "-name", f"vlab-{host.name}", "-machine", machine, "-accel", acceleration, "-cpu", cpu,
        "-smp", "2", "-m", str(memory_mb), "-nodefaults", "-display", "none", "-no-reboot",
        "-kernel", str(image.kernel()), "-initrd", str(BOOT / "host.initrd"),
        "-append", f"console=ttyS0 intel_iommu=on iommu=pt loglevel=4 mitigations=off "
                   f"audit=0 no_timer_check labhost={host.name}",
        "-drive", f"file={image.disk()},if=virtio,format=raw,cache=unsafe,snapshot=on",
        "-device", "intel-iommu",
        "-device", "pcie-root-port,id=rp1,chassis=1", "-device", "pcie-root-port,id=rp2,chassis=2"]
    argv += _nic(host, "wire", f"{model},bus=rp1,id={PF_MONITOR_IDS[0]}", host.pf_mac)
    if bond:
        argv += _nic(host, "wire2", f"{model},bus=rp2,id={PF_MONITOR_IDS[1]}", host.second_pf_mac)
    argv += _nic(host, "mgmt", "virtio-net-pci", host.mgmt_mac)
    argv += _nic(host, "nb", "virtio-net-pci", host.nbr_mac, _COMPLETE_FRAMES)
    argv += _nic(host, "vf", "virtio-net-pci", host.relay_mac, _COMPLETE_FRAMES)
    argv += ["-virtfs", f"local,path={SHARE},mount_tag=lab,security_model=none,multidevs=remap",
             "-serial", f"file:{serial_log(host)}",
             "-monitor", f"unix:{monitor_socket(host)},server=on,wait=off"]
    serial_log(host).unlink(missing_ok=True)
    with open(qemu_log(host), "wb") as log:
        return subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                start_new_session=True)


def monitor(host, line=None, timeout=20):
    """Gives QEMU's monitor a line and returns the answer; without one, waits for the prompt.

    The prompt comes only when the machine is complete, so that its taps are open.
    """
    prompt = b"(qemu) "
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(str(monitor_socket(host)))
            _read_until(sock, prompt)
            if line is None:
                return ""
            sock.sendall(line.encode() + b"\n")
            answer = _read_until(sock, prompt).decode(errors="replace")
        except OSError as err:
            raise LabError(f"no answer from {host.name}'s QEMU monitor: {err}")
    # The monitor echoes the line with editing codes; what follows the first newline is the answer.
    answer = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", answer)
    return answer.partition("\n")[2].removesuffix("(qemu) ").strip()


def await_complete(host, process, seconds=60):
    """Waits until QEMU has made the machine, and so opened its taps."""
    def complete():
        if process.poll() is not None:
            raise LabError(f"{host.name}: QEMU ended\n{qemu_log(host).read_text(errors='replace')[-2000:]}")
        return monitor_socket(host).exists()
    wait_for(f"QEMU of {host.name}", complete, seconds, interval=0.1)
    monitor(host)


def _read_until(sock, end):
    data = b""
    while not data.endswith(end):
        chunk = sock.recv(4096)
        if not chunk:
            raise OSError("connection closed")
        data += chunk
    return data
