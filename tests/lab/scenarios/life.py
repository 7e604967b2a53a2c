# SPDX-License-Identifier: Apache-2.0
"""What else happens to a guest: saved and restored, migrated in other ways, given a VF by its owner, its link set down."""
import re

from checktool import baseline
from checktool.collect import collect
from labtool.base import wait_for

from .bench import ABSENT, G1, G2, MIGRATION_SECONDS, MOVE_SECONDS, SYNTHETIC, VF, expect
from .phases import Migration
from .traffic import Traffic

_FILE = "/var/tmp/g1.saved"
# A guest needs a moment between closing its VF and using its other NIC.
_GUEST_OWN_GAP = 3


def _expect_nothing_of(bench, node, guest=G1):
    bench.await_path(node, ABSENT, guest=guest)
    wait_for(f"no claim to be left on {node.name}", lambda: not node.out("ls /run/vswitch/claims"), MOVE_SECONDS)


def _release(bench, node):
    bench.succeed(node, f"vswitch nic release {G1.name} --hold")
    bench.await_path(node, SYNTHETIC)


def _away_and_back(bench, away, back):
    """A guest that was released goes to a file and comes back: reachable, and on a VF by itself."""
    node = bench.h1
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        _release(bench, node)
        bench.succeed(node, away)
        _expect_nothing_of(bench, node)
        bench.succeed(node, back)
        bench.await_path(node, VF)
        traffic.await_replies()


def save_restore(bench):
    """`virsh save` after a release, `virsh restore`: nothing is left meanwhile, on a VF again afterwards."""
    bench.undo.callback(bench.h1.ssh, f"rm -f {_FILE}", False)
    _away_and_back(bench, f"virsh -q save {G1.name} {_FILE}", f"virsh -q restore {_FILE}")


def managed_save(bench):
    """`virsh managedsave` after a release, `virsh start`: the same."""
    bench.undo.callback(bench.h1.ssh, f"virsh -q managedsave-remove {G1.name}", False)
    _away_and_back(bench, f"virsh -q managedsave {G1.name}", f"virsh -q start {G1.name}")


def save_on_vf(bench):
    """`virsh save` of a guest on its VF: the daemon says why it never ends, and when it is aborted all is as before."""
    node = bench.h1
    bench.ready()
    bench.undo.callback(node.ssh, f"rm -f {_FILE}", False)
    size = bench.log_size(node)
    with Traffic(bench) as traffic:
        traffic.await_replies()
        save = node.background(f"virsh -q save {G1.name} {_FILE}; echo \"ended $?\"")
        wait_for("the daemon's warning", lambda: "before it could let go of its VF" in bench.log_since(node, size), 60)
        bench.succeed(node, f"virsh -q domjobabort {G1.name}")
        said, _ = save.communicate(timeout=MIGRATION_SECONDS)
        bench.note(f"the save: {said.strip()}")
        expect("ended 0" not in said, "a save that was aborted has succeeded")
        wait_for("the guest to run again", lambda: node.out(f"virsh -q domstate {G1.name}") == "running", 60)
        bench.await_path(node, VF, MIGRATION_SECONDS)
        traffic.await_replies()


def link_down(bench):
    """`virsh domif-setlink down` takes the VF away and nothing reaches the guest; `up` brings both back."""
    node = bench.h1
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        bench.succeed(node, f"virsh -q domif-setlink {G1.name} {G1.tap} down")
        bench.await_path(node, SYNTHETIC)
        bench.await_reason(node, "link-down")
        bench.succeed(node, f"virsh -q domif-setlink {G1.name} {G1.tap} up")
        bench.await_path(node, VF)
        traffic.await_replies()


def _owners_vf(bench, variant):
    node = bench.h1
    bench.run_daemon(node)
    bench.stop_guests()
    bench.undo.callback(bench.stop_guests)
    # The last one for guests, which vswitch takes last. Once libvirt has had a VF unmanaged, which is how vswitch attaches
    # one, it does not rebind it any more after it had it managed.
    bench.start_guest(G1, node, variant, vf=node.vfs - 2)
    bench.await_path(node, VF)
    with Traffic(bench) as traffic:
        traffic.await_replies()
        _release(bench, node)
        traffic.await_replies()
        bench.succeed(node, f"vswitch nic acquire {G1.name}")
        bench.await_path(node, VF)
        traffic.await_replies()
    traffic.expect_gap_below(_GUEST_OWN_GAP)
    bench.succeed(node, f"virsh -q destroy {G1.name}")
    _expect_nothing_of(bench, node)
    macs = node.out(f"ip -o link show dev {node.pf}")
    expect(G1.mac not in macs, f"a VF of {node.pf} has the guest's MAC after its end: {macs}")


def owners_vf_of_libvirt(bench):
    """A guest whose owner gave it a VF that libvirt programs: its tables follow; released, acquired, and nothing left."""
    _owners_vf(bench, "teaming-libvirt")


def owners_vf_plain(bench):
    """The same with a VF that the owner has prepared and libvirt leaves alone."""
    # The owner gave it to the guest without a MAC of its own to go back to: the host's driver makes a new one up.
    bench.undo.callback(lambda: baseline.save(collect([bench.h1.name])))
    _owners_vf(bench, "hostdev")


def _there_and_back(bench, options):
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        for source, target in ((bench.h1, bench.h2), (bench.h2, bench.h1)):
            bench.succeed(source, f"virsh -q migrate --live {options} {G1.name} {target.uri}")
            expect(bench.where() == target, f"after a migration with `{options}` g1 is not on {target.name}")
            bench.await_path(target, VF)
            bench.await_path(source, ABSENT)
            traffic.await_replies()


def migrate_p2p(bench):
    """Peer to peer, and tunnelled through libvirt's connection: as any other migration."""
    for options in ("--p2p", "--p2p --tunnelled"):
        _there_and_back(bench, options)


def migrate_post_copy(bench):
    """Post-copy after a release: reachable while its memory is fetched, a VF when all of it is there."""
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        for source, target in ((bench.h1, bench.h2), (bench.h2, bench.h1)):
            _release(bench, source)
            # So slow that most is still to be fetched when post-copy begins.
            migration = Migration(source, target, G1, options="--postcopy --bandwidth 1 --timeout 5 --timeout-postcopy "
                                                              "--postcopy-bandwidth 8")
            answer = migration.end()
            bench.note(f"QEMU went through {', '.join(migration.phases())}: {answer.text}")
            expect(answer.code == 0, f"the migration failed: {answer.text}")
            expect("postcopy-active" in migration.phases(), "it was over before post-copy began; nothing was shown")
            bench.await_path(target, VF)
            bench.await_path(source, ABSENT)
            traffic.await_replies()


def migrate_crosswise(bench):
    """Two guests at once, each to the other's host: both on a VF there, nothing left behind."""
    bench.ready()
    bench.undo.callback(bench.stop_guests)
    bench.start_guest(G2, bench.h2)
    bench.await_path(bench.h2, VF, guest=G2)
    with Traffic(bench, G1) as first, Traffic(bench, G2) as second:
        first.await_replies()
        second.await_replies()
        migrations = [(G1, bench.h1, bench.h2), (G2, bench.h2, bench.h1)]
        running = [Migration(source, target, guest) for guest, source, target in migrations]
        for migration, (guest, source, target) in zip(running, migrations):
            answer = migration.end(2 * MIGRATION_SECONDS)
            expect(answer.code == 0, f"{guest.name} from {source.name} to {target.name}: {answer.text}")
        for guest, source, target in migrations:
            bench.await_path(target, VF, guest=guest)
            bench.await_path(source, ABSENT, guest=guest)
        first.await_replies()
        second.await_replies()
    claims = [re.findall(r"\S+\.json", node.out("ls /run/vswitch/claims")) for node in (bench.h1, bench.h2)]
    expect([len(c) for c in claims] == [1, 1], f"one claim on each host is expected, there are {claims}")
