"""The commands."""
import argparse
import json
import os
import signal
import subprocess
import sys
import time

from . import guests, hosts, image, machine, net, state
from .addresses import MAX_GUESTS, MAX_HOSTS, BOND, PF_MONITOR_IDS, WIRE_SENDER, Guest, Host
from .base import LabError, require_tools, say
from .paths import PROBE, RUN


def _lab_hosts():
    return [Host(h["number"]) for h in state.load()["hosts"]]


def _host(name):
    for host in _lab_hosts():
        if host.name == name:
            return host
    raise LabError(f"no such host: {name}")


def cmd_up(args):
    no_sriov = set(args.no_sriov)
    wanted = [Host(n) for n in range(1, args.hosts + 1)]
    unknown = no_sriov - {h.name for h in wanted}
    if unknown:
        raise LabError(f"--no-sriov: no such host: {', '.join(sorted(unknown))}")
    if os.geteuid():
        raise LabError("the lab needs root: namespaces, taps, images")
    require_tools()
    with state.locked():
        if state.is_up():
            raise LabError("a lab is up: lab status, lab down")
        if state.remains():
            say("removing what a killed lab left behind")
            state.teardown()
        image.ensure()
        accel = machine.accelerator()
        if not args.no_install:
            hosts.build_project()
        try:
            failure = _bring_up_with_guests(wanted, args, no_sriov, accel)
        except hosts.HostSilent as err:
            say(f"{err}; once more")
            failure = _bring_up_with_guests(wanted, args, no_sriov, accel)
    _summary()
    if failure:
        raise failure


def _bring_up_with_guests(wanted, args, no_sriov, accel):
    with state.guarded():
        _bring_up(wanted, args, no_sriov, accel)
        return _start_guests(args.guests, wanted, args.nics)


def _start_guests(count, wanted, nics):
    """A guest that does not come up is returned as an error: the lab stays, to be looked at."""
    try:
        for number in range(1, count + 1):
            guests.start(Guest(number), wanted[0], "teaming", wanted, nics=nics)
    except LabError as err:
        return err


def _bring_up(wanted, args, no_sriov, accel):
    RUN.mkdir(mode=0o700)
    hosts.prepare(wanted, args.vfs, no_sriov, args.bond)
    if not args.no_install:
        hosts.stage_project()
    guests.prepare()
    net.create(wanted)
    say(f"booting {', '.join(h.name for h in wanted)} ({accel})")
    processes, senders = {}, [WIRE_SENDER]
    for host in wanted:
        sriov = host.name not in no_sriov
        processes[host.name] = machine.boot(host, accel, sriov, args.bond, hosts.MEMORY_MB)
    for host in wanted:
        machine.await_complete(host, processes[host.name])
        senders += net.add_senders(host, with_vf=host.name not in no_sriov)
    hosts.await_ready(wanted, processes, accel)
    described = []
    for host in wanted:
        hosts.connect(host)
        hosts.check_libvirt(host)
        pfs = hosts.pfs(host, args.bond)
        described.append({"name": host.name, "number": host.number, "mgmt": host.mgmt_ip, "pf": pfs[0], "pfs": pfs,
                          "port": BOND if args.bond else pfs[0],
                          "vfs": 0 if host.name in no_sriov else args.vfs})
    state.save({"accelerator": accel, "since": time.time(), "hosts": described,
                "senders": [{**vars(s), "netns": s.netns} for s in senders]})


def _summary():
    lab = state.load()
    print(f"lab up ({lab['accelerator']})")
    for h in lab["hosts"]:
        print(f"  {h['name']}  {h['mgmt']}  PF {' and '.join(h['pfs'])}, {h['vfs']} VFs each")
    print("  senders: " + ", ".join(f"{s['netns']} {s['ip4']}" for s in lab["senders"]))
    print("  lab ssh h1, lab guest start g1, lab status, lab down")


def cmd_down(_args):
    with state.locked():
        if not state.remains():
            say("no lab is up")
        state.teardown()


def cmd_image(args):
    require_tools()
    image.ensure()


def cmd_install(args):
    with state.locked():
        chosen = _lab_hosts()
        hosts.build_project()
        hosts.stage_project()
        for host in chosen:
            running = hosts.daemon(host, "status") != "stopped"
            hosts.install(host)
            if running or args.start:
                hosts.daemon(host, "restart")
            say(f"{host.name}: installed")


def cmd_ssh(args):
    host = _host(args.host)
    command = [" ".join(args.command)] if args.command else []
    options = [] if args.command else ["-t"]
    return subprocess.call(hosts.ssh_argv(host, *options) + command)


def cmd_guest(args):
    guest, lab = guests.named(args.guest), _lab_hosts()
    if args.vf is not None and args.variant not in guests.WITH_VF:
        raise LabError(f"--vf goes with the variants {' and '.join(guests.WITH_VF)}")
    if args.verb == "start":
        guests.start(guest, _host(args.host), args.variant, lab, args.vf or 0, wait=not args.no_wait, nics=args.nics,
                     ill=args.ill)
    elif args.verb == "stop":
        guests.stop(guest, lab)
    else:
        return guests.console(guest, lab)


def cmd_carrier(args):
    host = _host(args.host)
    known = next(h["pfs"] for h in state.load()["hosts"] if h["name"] == host.name)
    ids = dict(zip(known, PF_MONITOR_IDS))
    if args.pf not in ids:
        raise LabError(f"{host.name} has no such PF: {args.pf} (it has {' and '.join(known)})")
    answer = machine.monitor(host, f"set_link {ids[args.pf]} {args.state}")
    if answer:
        raise LabError(answer)


def cmd_daemon(args):
    answer = hosts.daemon(_host(args.host), args.verb)
    if answer:
        print(answer)


_STATUS_SCRIPT = r"""
echo "daemon $(lab-daemon status)"
for g in $(virsh -q list --name); do
    vf=$(virsh -q dumpxml $g | grep -c "type='transient'")
    echo "guest $g $([ $vf = 0 ] && echo synthetic || echo 'VF attached')"
done
"""


def cmd_status(args):
    lab = state.load()
    for h in lab["hosts"]:
        h["daemon"], h["guests"] = "?", {}
        answer = hosts.ssh(Host(h["number"]), _STATUS_SCRIPT, check=False)
        for line in answer.stdout.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "daemon":
                h["daemon"] = rest
            elif kind == "guest":
                name, _, path = rest.partition(" ")
                h["guests"][name] = path
    if args.json:
        print(json.dumps(lab, indent=1))
        return
    _summary()
    for h in lab["hosts"]:
        running = ", ".join(f"{g} ({p})" for g, p in h["guests"].items()) or "no guest"
        print(f"  {h['name']}: {running}; daemon {h['daemon']}")


def cmd_probe(args):
    program = PROBE / "probe.py"
    if not program.is_file():
        raise LabError(f"missing {program}")
    os.execv(sys.executable, [sys.executable, str(program), *args.arguments])


def _count(limit):
    def parse(text):
        value = int(text)
        if not 0 <= value <= limit:
            raise argparse.ArgumentTypeError(f"must be at most {limit}")
        return value
    return parse


def _parser():
    parser = argparse.ArgumentParser(prog="lab", description="a two-host SR-IOV lab in virtual machines")
    commands = parser.add_subparsers(dest="command_name", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="make the lab")
    up.add_argument("--hosts", type=_count(MAX_HOSTS), default=2)
    up.add_argument("--vfs", type=_count(7), default=4, help="per host; the last one is a sender")
    up.add_argument("--guests", type=_count(MAX_GUESTS), default=1, help="started on h1")
    up.add_argument("--nics", type=int, choices=range(1, 4), default=1, help="of each guest; default: 1")
    up.add_argument("--no-sriov", action="append", default=[], metavar="HOST")
    up.add_argument("--bond", action="store_true", help="two PFs for each host, as an active-backup bond")
    up.add_argument("--no-install", action="store_true", help="hosts without the project")
    up.set_defaults(run=cmd_up)

    commands.add_parser("down", help="remove every trace of it").set_defaults(run=cmd_down)

    image_ = commands.add_parser("image", help="build the hosts' image, if it is not there or its inputs changed")
    image_.set_defaults(run=cmd_image)
    install = commands.add_parser("install", help="build the project and put it on the running hosts")
    install.add_argument("--start", action="store_true", help="start the daemon where it was stopped")
    install.set_defaults(run=cmd_install)

    status = commands.add_parser("status", help="hosts, guests, paths, daemons")
    status.add_argument("--json", action="store_true")
    status.set_defaults(run=cmd_status)

    ssh = commands.add_parser("ssh", help="a shell or a command on a host")
    ssh.add_argument("host")
    ssh.add_argument("command", nargs=argparse.REMAINDER)
    ssh.set_defaults(run=cmd_ssh)

    guest = commands.add_parser("guest", help="start, stop, console")
    guest.add_argument("verb", choices=["start", "stop", "console"])
    guest.add_argument("guest", metavar="NAME")
    guest.add_argument("--host", default="h1")
    guest.add_argument("--variant", choices=guests.VARIANTS, default="teaming")
    guest.add_argument("--vf", type=_count(6), help="for the variants with a VF in the XML")
    guest.add_argument("--nics", type=int, choices=range(1, 4), default=1,
                       help="NICs on br0; the first has the addresses")
    guest.add_argument("--ill", choices=guests.ILLS, help="a guest that does not do what it should")
    guest.add_argument("--no-wait", action="store_true", help="do not wait for an answer")
    guest.set_defaults(run=cmd_guest)

    carrier = commands.add_parser("carrier", help="the link of a PF")
    carrier.add_argument("host")
    carrier.add_argument("pf")
    carrier.add_argument("state", choices=["on", "off"])
    carrier.set_defaults(run=cmd_carrier)

    daemon = commands.add_parser("daemon", help="vswitchd on a host")
    daemon.add_argument("host")
    daemon.add_argument("verb", choices=["start", "stop", "kill", "restart", "status"])
    daemon.set_defaults(run=cmd_daemon)

    probe = commands.add_parser("probe", help="measure frame loss (probe/probe.py)", add_help=False)
    probe.set_defaults(run=cmd_probe, arguments=[])
    return parser


def _interrupted(signum, _frame):
    raise SystemExit(128 + signum)


def main(argv):
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, _interrupted)
    # The probe has options of its own, which argparse would take for unknown ones of the lab's.
    own, rest = (argv[:1], argv[1:]) if argv[:1] == ["probe"] else (argv, [])
    args = _parser().parse_args(own)
    if rest:
        args.arguments = rest
    try:
        return args.run(args) or 0
    except LabError as err:
        print(f"lab: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
