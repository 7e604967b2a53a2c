# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the daemon: traffic goes on, and after the restart everything converges."""
import re

from labtool.base import wait_for

from . import strace
from .bench import ABSENT, DEBUG, G1, LOG, MIGRATION_SECONDS, SYNTHETIC, VF, expect
from .phases import Migration
from .traffic import Traffic

_KILLED_GAP = 1.0
# Follows the log from a point on, so that it does not matter who is quicker.
_KILLER = """
dir=$(mktemp -d); mkfifo $dir/log
tail -c +{begin} -F {log} > $dir/log 2>/dev/null & follower=$!
timeout 60 grep -q -m1 '{line}' < $dir/log && kill -9 $(cat /run/lab-vswitchd.pid) && echo killed
kill $follower; rm -r $dir
"""


def kill9_on_vf(bench):
    """Killed while the guest is on its VF; nothing is lost, and a second restart writes nothing."""
    bench.ready()
    with Traffic(bench, label="kill -9 of the daemon, guest on its VF") as traffic:
        traffic.await_replies()
        bench.h1.ssh("lab-daemon kill")
        traffic.await_replies(count=20)
        bench.run_daemon(bench.h1)
        bench.await_path(bench.h1, VF)
        traffic.await_replies(count=20)
        expect(bench.nic(bench.h1)["situation"] == "on-vf", "after the restart the daemon does not see the VF path")
    traffic.expect_gap_below(_KILLED_GAP)
    _restart_without_a_write(bench)


def _restart_without_a_write(bench):
    with strace.from_start(bench, bench.h1) as trace:
        bench.await_daemon(bench.h1)
        wait_for("the daemon to know where the guest is",
                 lambda: bench.nic(bench.h1)["situation"] == "on-vf", 30)
    found = trace.result()
    expect(not found.netlink_writes, f"a restart with nothing to do wrote to the kernel: {found.netlink_writes}")
    expect(not found.sysfs_writes, f"a restart with nothing to do wrote to sysfs: {found.sysfs_writes}")
    bench.note(f"a restart with nothing to do: {found.netlink_reads} netlink reads, no writes")


def kill9_in_acquire(bench):
    """Killed while a VF is being prepared, and while it is being offered to the guest."""
    for line in ("prepare VF", "attach VF"):
        bench.ready(SYNTHETIC)
        _kill_at(bench, "acquire", line, "vswitch nic acquire g1 --no-wait", VF)


def kill9_in_release(bench):
    """Killed when the guest is asked to let go of its VF, and when the VF gets its old settings back."""
    for line in ("ask guest to unplug", "restore VF"):
        bench.ready()
        # The hold was asked for, so it is kept over the crash.
        _kill_at(bench, "release", line, "vswitch nic release g1 --hold --no-wait", SYNTHETIC)
        bench.succeed(bench.h1, "vswitch nic acquire g1")
        bench.await_path(bench.h1, VF)


def _kill_at(bench, move, line, command, path):
    size = bench.log_size(bench.h1)
    killer = bench.h1.background(_KILLER.format(line=line, begin=size + 1, log=LOG))
    with Traffic(bench, label=f"kill -9 of the daemon in {move}, at \"{line}\"") as traffic:
        traffic.await_replies()
        bench.succeed(bench.h1, command)
        said, _ = killer.communicate(timeout=90)
        expect("killed" in said, f"the daemon never logged {line!r}: {said}")
        wait_for("the daemon to be dead", lambda: bench.h1.out("lab-daemon status") == "stopped", 10)
        last = re.sub(r"^\S+ ", "", bench.log_since(bench.h1, size).splitlines()[-1])
        bench.note(f"killed at {line!r}; its last words: {last}")
        traffic.await_replies(count=10)
        bench.run_daemon(bench.h1, DEBUG)
        bench.await_path(bench.h1, path)
        traffic.await_replies()


def kill9_in_migration_source(bench):
    """Killed on the source when QEMU has asked the guest to let go of its VF: the migration goes on without it."""
    _kill_in_migration(bench, bench.h1, "on-vf -> withdrawing")


def kill9_in_migration_destination(bench):
    """Killed on the destination while the guest's state is being loaded: it arrives, and is on its VF in the end."""
    _kill_in_migration(bench, bench.h2, "guest expected -> incoming")


def _kill_in_migration(bench, victim, line):
    bench.ready()
    size = bench.log_size(victim)
    killer = victim.background(_KILLER.format(line=line, begin=size + 1, log=LOG))
    with Traffic(bench, label=f"kill -9 of the daemon in migration, at \"{line}\" on {victim.name}") as traffic:
        traffic.await_replies()
        migration = Migration(bench.h1, bench.h2, G1)
        said, _ = killer.communicate(timeout=120)
        expect("killed" in said, f"the daemon never logged {line!r}: {said}")
        answer = migration.end(MIGRATION_SECONDS)
        bench.note(f"QEMU went through {', '.join(migration.phases())}; virsh ended with {answer.code} {answer.text}")
        bench.run_daemon(victim, DEBUG)
        there, gone = (bench.h2, bench.h1) if answer.code == 0 else (bench.h1, bench.h2)
        bench.await_path(there, VF)
        bench.await_path(gone, ABSENT)
        traffic.await_replies()
