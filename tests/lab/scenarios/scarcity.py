# SPDX-License-Identifier: Apache-2.0
"""More NICs than VFs: weights decide, and may change while traffic runs."""
from .bench import G1, G2, SYNTHETIC, VF, expect
from .traffic import Traffic


def two_guests_one_vf(bench):
    """Two guests and one VF: the heavier one takes it, gives it back at weight 0, and the minds change under traffic."""
    node = bench.h1
    bench.stop_guests()
    # The sender has one VF, and one is left for guests.
    bench.configure(node, "scarcity { stay = 1 }", switch=f"reserve-vfs = {node.vfs - 2}")
    bench.undo.callback(bench.stop_guests)
    bench.start_guest(G1, node)
    bench.await_path(node, VF, guest=G1)
    bench.start_guest(G2, node)
    bench.await_path(node, SYNTHETIC, guest=G2)
    bench.await_reason(node, "no-free-vf", guest=G2)
    with Traffic(bench, G1, label="two guests, one VF: the first guest") as first, \
            Traffic(bench, G2, label="two guests, one VF: the second guest") as second:
        first.await_replies()
        second.await_replies()
        for weight, winner, loser in ((80, G2, G1), (10, G1, G2), (80, G2, G1)):
            bench.succeed(node, f"vswitch nic set g2 weight={weight}")
            bench.await_path(node, SYNTHETIC, guest=loser)
            bench.await_path(node, VF, guest=winner)
            first.await_replies()
            second.await_replies()
        bench.succeed(node, "vswitch nic set g2 weight=0")
        bench.await_path(node, SYNTHETIC, guest=G2)
        bench.await_path(node, VF, guest=G1)
        bench.await_reason(node, "weight-zero", guest=G2)
        first.await_replies()
        second.await_replies()
        claims = int(node.out("ls /run/vswitch/claims/*.json | wc -l"))
        expect(claims == 1, f"there is one VF to give, but {claims} claims")
