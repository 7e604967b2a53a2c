# SPDX-License-Identifier: Apache-2.0
"""Migrations that are refused, fail or are cancelled: the guest is on its VF again on the source."""
from .bench import ABSENT, G1, MOVE_SECONDS, SYNTHETIC, VF, Failure, expect
from .phases import ABORT, Migration
from .traffic import Traffic

# Keeps a migration in its active phase long enough to do something.
_SLOW = "--bandwidth 1"
_ATTEMPTS = 3


def _take_all_vfs(bench, node):
    """A VF whose netdev is up on the host is somebody's, and not touched."""
    def set_all(state):
        node.ssh(f"for dev in /sys/class/net/{node.pf}/device/virtfn*/net/*; do "
                 f"[ ! -e $dev ] || ip link set ${{dev##*/}} {state}; done")
    set_all("up")
    bench.undo.callback(set_all, "down")
    return lambda: set_all("down")


def _back_on_vf(bench, traffic):
    """As if nothing had been tried."""
    expect(bench.where() == bench.h1, "g1 is not on h1 any more")
    bench.await_path(bench.h1, VF, MOVE_SECONDS)
    bench.await_path(bench.h2, ABSENT)
    traffic.await_replies()


def hook_refuses(bench):
    """No VF is free on the destination: a plain migration is refused with the way out, and that works."""
    bench.ready()
    free = _take_all_vfs(bench, bench.h2)
    with Traffic(bench) as traffic:
        traffic.await_replies()
        answer = bench.command(bench.h1, f"virsh -q migrate --live g1 {bench.h2.uri}")
        expect(answer.code != 0, "a plain migration to a host without a free VF was not refused")
        expect("vswitch migrate g1" in answer.text, f"the refusal does not name the way out: {answer.text}")
        bench.note(f"refused: {answer.text}")
        _back_on_vf(bench, traffic)

        bench.succeed(bench.h1, f"vswitch migrate g1 {bench.h2.uri}")
        bench.await_path(bench.h2, SYNTHETIC)
        traffic.await_replies()
        nic = bench.nic(bench.h2)
        expect(nic["reason"] == "no-free-vf", f"the reason is shown as {nic['reason']!r}, not no-free-vf")
        free()
        bench.succeed(bench.h2, "vswitch nic acquire g1")
        bench.await_path(bench.h2, VF)
        traffic.await_replies()


def destination_qemu_killed(bench):
    """The destination's QEMU is killed while memory is being copied."""
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        migration = Migration(bench.h1, bench.h2, G1, options=_SLOW)
        migration.await_phase("active")
        bench.h2.ssh(f"kill -9 $(cat /run/libvirt/qemu/{G1.name}.pid)")
        answer = migration.end()
        expect(answer.code != 0, "the migration succeeded although its destination was killed")
        bench.note(f"QEMU went through {', '.join(migration.phases())}: {answer.text}")
        _back_on_vf(bench, traffic)


def abort_in_setup(bench):
    """`virsh domjobabort` while the migration is being prepared: the VF there is leased, QEMU here has not begun."""
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        migration = Migration(bench.h1, bench.h2, G1)
        bench.h2.ssh("until [ -n \"$(ls /run/vswitch/claims)\" ]; do sleep 0.05; done", timeout=60)
        abort = bench.command(bench.h1, "virsh -q domjobabort g1")
        answer = migration.end()
        bench.note(f"abort: {abort.text or 'accepted'}; QEMU went through "
                   f"{', '.join(migration.phases()) or 'nothing'}: {answer.text}")
        expect(answer.code != 0, "the migration succeeded although it was cancelled")
        _back_on_vf(bench, traffic)
    _abort_at(bench, "setup", "")


def abort_in_wait_unplug(bench):
    """`virsh domjobabort` while QEMU waits for the guest to let go of its VF."""
    bench.ready()
    _abort_at(bench, "wait-unplug", "")


def abort_in_active(bench):
    """`virsh domjobabort` while memory is being copied: the guest has let go of its VF."""
    bench.ready()
    _abort_at(bench, "active", _SLOW)


def _abort_at(bench, phase, options):
    """Cancels the migration at a phase.  Where QEMU was quicker than the word, it is tried again."""
    for _ in range(_ATTEMPTS):
        with Traffic(bench) as traffic:
            traffic.await_replies()
            migration = Migration(bench.h1, bench.h2, G1, phase, ABORT, options)
            answer = migration.end()
            bench.note(f"at {phase}: QEMU went through {', '.join(migration.phases())}: {answer.text}")
            if answer.code == 0:
                bench.note("the word came too late, once more")
            else:
                _back_on_vf(bench, traffic)
                return
        bench.ready()
    raise Failure(f"the migration was quicker than the word {_ATTEMPTS} times; nothing was shown")
