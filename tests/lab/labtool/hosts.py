"""The virtual hosts: what they get, booting, waiting, ssh, the project, the daemon.

A host boots Debian's kernel with an init of the lab's own (image/host-init).
What it needs to know lies on the 9p share that every host mounts as /lab:

    host-init        the init
    overlay/         copied over / at boot
    hosts/NAME.env   this host's settings
    install/         the project, installed with DESTDIR
    guest/           the guests' initramfs
"""
import os
import shutil
import time

from . import image, initramfs, machine
from .addresses import LAB_NETNS, MAX_HOSTS, Host, vf_sender
from .base import LabError, run, say, wait_for
from .paths import BOOT, BUILD, IMAGE_SRC, INSTALL, KEYS, LOGS, REPO, SHARE, SSH

MEMORY_MB = 3072
_BOOT_SECONDS = {"kvm": 90, "tcg": 300}
# The first word comes after seconds, on a busy machine after some ten.
_SILENT_SECONDS = 90
_INITRD_MODULES = ["virtio_blk", "crc32c_generic", "ext4", "9p", "9pnet_virtio"]
_SSH_CONFIG = """Host *
 StrictHostKeyChecking no
 UserKnownHostsFile /dev/null
 LogLevel ERROR
"""


class HostSilent(LabError):
    """A host's kernel never began: without KVM, QEMU sometimes hangs there."""


def prepare(hosts, vfs, no_sriov, bond):
    """Fills the share and makes the hosts' initramfs."""
    for directory in (BOOT, SSH, SHARE / "hosts", LOGS):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    initramfs.build(BOOT / "host.initrd", image.rootfs(),
                    (IMAGE_SRC / "initrd-init").read_bytes(), _INITRD_MODULES)
    shutil.copy2(IMAGE_SRC / "host-init", SHARE / "host-init")
    shutil.copytree(IMAGE_SRC / "overlay", SHARE / "overlay")
    _add_keys()
    for host in hosts:
        settings = {
            "VFS": vfs, "SRIOV": int(host.name not in no_sriov),
            "PF_MAC": host.pf_mac, "SECOND_PF_MAC": host.second_pf_mac if bond else "", "MGMT_MAC": host.mgmt_mac, "NBR_MAC": host.nbr_mac,
            "RELAY_MAC": host.relay_mac, "SENDER_MAC": vf_sender(host).mac, "MGMT_IP": host.mgmt_ip,
        }
        text = "".join(f"{k}={v}\n" for k, v in settings.items())
        (SHARE / "hosts" / f"{host.name}.env").write_text(text)


def _add_keys():
    """Hosts accept the lab's key and use it towards each other."""
    etc, ssh = SHARE / "overlay/etc", SHARE / "overlay/root/.ssh"
    ssh.mkdir(parents=True, mode=0o700)
    shutil.copy2(KEYS / "id_ed25519", ssh / "id_ed25519")
    shutil.copy2(KEYS / "id_ed25519.pub", ssh / "authorized_keys")
    (ssh / "config").write_text(_SSH_CONFIG)
    names = [Host(n) for n in range(1, MAX_HOSTS + 1)]
    (etc / "hosts").write_text("127.0.0.1 localhost\n" +
                               "".join(f"{h.mgmt_ip} {h.name}\n" for h in names))


def build_project():
    """Builds the project in the cache; what stage_project() hands to the hosts."""
    say("building the project")
    if not (BUILD / "CMakeCache.txt").is_file():
        run(["cmake", "-S", REPO, "-B", BUILD, "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DVSWITCH_TESTS=OFF",
             "-DCMAKE_INSTALL_PREFIX=/usr", "-DCMAKE_INSTALL_SYSCONFDIR=/etc",
             "-DCMAKE_INSTALL_LOCALSTATEDIR=/var"], timeout=120)
    run(["cmake", "--build", BUILD, "--parallel", "2"], timeout=900)


def stage_project():
    """Puts the built project on the share, where hosts take it from."""
    shutil.rmtree(INSTALL, ignore_errors=True)
    run(["cmake", "--install", BUILD], env={**os.environ, "DESTDIR": str(INSTALL)}, timeout=120)


def await_ready(hosts, processes, accel):
    """Waits until all hosts say READY, showing what they are at."""
    seen = {h.name: 0 for h in hosts}
    ready = set()
    started = time.monotonic()

    def look():
        for host in hosts:
            lines = _stages(host)
            for line in lines[seen[host.name]:]:
                say(f"{host.name}: {line}")
                if line.startswith("FAILED"):
                    raise LabError(f"{host.name}: {line}\n{_tail(machine.serial_log(host))}")
                if line.startswith("READY"):
                    ready.add(host.name)
            seen[host.name] = len(lines)
            if not lines and time.monotonic() - started > _SILENT_SECONDS:
                raise HostSilent(f"{host.name} has not said a word in {_SILENT_SECONDS} s")
            if processes[host.name].poll() is not None:
                raise LabError(f"{host.name}: QEMU ended\n{_tail(machine.qemu_log(host))}\n"
                               f"{_tail(machine.serial_log(host))}")
        return len(ready) == len(hosts)

    try:
        wait_for("all hosts ready", look, _BOOT_SECONDS[accel])
    except HostSilent:
        raise
    except LabError as err:
        late = [h for h in hosts if h.name not in ready]
        logs = "\n".join(f"-- {h.name}:\n{_tail(machine.serial_log(h))}" for h in late)
        raise LabError(f"{err}\n{logs}")


def _stages(host):
    """The complete "LAB: ..." lines of a host's console so far."""
    log = machine.serial_log(host)
    text = log.read_text(errors="replace") if log.exists() else ""
    complete = text[:text.rfind("\n") + 1].splitlines()
    return [line.partition("LAB: ")[2].strip() for line in complete if "LAB: " in line]


def _tail(path, lines=15):
    text = path.read_text(errors="replace") if path.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def ssh_argv(host, *options):
    """ssh in the lab's namespace, over the host's shared connection when there is one."""
    return ["ip", "netns", "exec", LAB_NETNS, "ssh", "-F", "/dev/null", "-i", str(KEYS / "id_ed25519"),
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=30", "-o", "BatchMode=yes",
            "-o", f"ControlPath={SSH}/{host.name}", *options, f"root@{host.mgmt_ip}"]


def connect(host):
    """Opens the shared connection: a key exchange takes seconds on an emulated CPU."""
    run(ssh_argv(host, "-M", "-N", "-f", "-o", "ServerAliveInterval=30"), timeout=60)


def ssh(host, script, *, check=True, timeout=60):
    """Runs a shell script on a host."""
    return run(ssh_argv(host) + ["bash", "-s"], stdin=script, check=check, timeout=timeout)


def check_libvirt(host, seconds=60):
    wait_for(f"libvirt on {host.name}",
             lambda: ssh(host, "virsh -q list", check=False).returncode == 0, seconds, interval=1)


def install(host):
    ssh(host, "lab-install", timeout=120)


def daemon(host, verb):
    return ssh(host, f"lab-daemon {verb}", timeout=90).stdout.strip()


def pfs(host, bond):
    """Names of the PFs as the host calls them."""
    macs = [host.pf_mac] + ([host.second_pf_mac] if bond else [])
    # A bond gives its ports one MAC; the card keeps its own.
    script = "for d in /sys/class/net/en*; do [ ! -e $d/device ] || ethtool -P ${d##*/} | sed \"s/.* /${d##*/} /\"; done"
    names = {mac: name for name, mac in (line.split() for line in ssh(host, script).stdout.splitlines())}
    return [names[mac] for mac in macs]
