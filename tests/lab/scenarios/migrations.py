"""Migrations that succeed."""
from .bench import ABSENT, G1, MIGRATION_SECONDS, SYNTHETIC, VF, expect
from .traffic import Traffic

# Without anybody's help it is 16 s: the VF's MAC filter is live on the destination
# before the guest is there.
_SWITCH_OVER_GAP = 8


def _move(bench, source, target, command):
    bench.succeed(source, command.format(uri=target.uri))
    expect(bench.where() == target, f"after `{command}` g1 is not on {target.name}")
    bench.await_path(target, VF if target.vfs else SYNTHETIC)
    bench.await_path(source, ABSENT)


def _there_and_back(bench, command):
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        for source, target in ((bench.h1, bench.h2), (bench.h2, bench.h1)):
            _move(bench, source, target, command)
            traffic.await_replies()
    traffic.expect_gap_below(_SWITCH_OVER_GAP)


def plain(bench):
    """`virsh migrate` by anybody: on a VF on the other host afterwards, and back."""
    _there_and_back(bench, "virsh -q migrate --live g1 {uri}")


def vswitch(bench):
    """`vswitch migrate`: on a VF on the other host afterwards, and back."""
    _there_and_back(bench, "vswitch migrate g1 {uri}")


def there_and_back(bench):
    """There, back and there again, each as soon as libvirt says that the last one is done."""
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        for source, target in ((bench.h1, bench.h2), (bench.h2, bench.h1), (bench.h1, bench.h2)):
            bench.succeed(source, f"virsh -q migrate --live {G1.name} {target.uri}", MIGRATION_SECONDS)
        bench.await_path(bench.h2, VF)
        bench.await_path(bench.h1, ABSENT)
        traffic.await_replies()


def no_sriov(bench):
    """`vswitch migrate` to a host without SR-IOV: reachable there, the reason is shown; a VF again on the way back."""
    bench.ready()
    with Traffic(bench) as traffic:
        traffic.await_replies()
        _move(bench, bench.h1, bench.h2, "vswitch migrate g1 {uri}")
        traffic.await_replies()
        nic = bench.nic(bench.h2)
        expect(nic["reason"] == "no-sriov", f"the reason for having no VF is shown as {nic['reason']!r}, not no-sriov")
        bench.note(f"h2 says: {nic['reason_sentence']}; {nic['remedy']}")
        _move(bench, bench.h2, bench.h1, "vswitch migrate g1 {uri}")
        traffic.await_replies()
    traffic.expect_gap_below(_SWITCH_OVER_GAP)
