# SPDX-License-Identifier: Apache-2.0
"""The scenarios' names.  They run in this order."""
from dataclasses import dataclass
from typing import Callable

from . import bad_input, crashes, failures, idle, life, migrations, moves, scarcity, troubles


# Kinds of labs, and what `lab up` needs to be told for each.  Scenarios run in this order.
USUAL, NO_SRIOV, BOND = "usual", "no-sriov", "bond"
OPTIONS = {USUAL: [], NO_SRIOV: ["--no-sriov", "h2"], BOND: ["--bond"]}


@dataclass(frozen=True)
class Scenario:
    name: str
    run: Callable
    main: bool = False          # part of the short set that CI runs
    lab: str = USUAL

    @property
    def summary(self):
        return self.run.__doc__.strip().splitlines()[0]


ALL = [
    Scenario("acquire", moves.acquire, main=True),
    Scenario("release", moves.release, main=True),
    Scenario("migrate-plain", migrations.plain, main=True),
    Scenario("migrate-vswitch", migrations.vswitch, main=True),
    Scenario("there-and-back", migrations.there_and_back, main=True),
    Scenario("hook-refuses", failures.hook_refuses, main=True),
    Scenario("destination-qemu-killed", failures.destination_qemu_killed, main=True),
    Scenario("abort-in-setup", failures.abort_in_setup, main=True),
    Scenario("abort-in-wait-unplug", failures.abort_in_wait_unplug, main=True),
    Scenario("abort-in-active", failures.abort_in_active, main=True),
    Scenario("kill9-on-vf", crashes.kill9_on_vf, main=True),
    Scenario("kill9-in-acquire", crashes.kill9_in_acquire, main=True),
    Scenario("kill9-in-release", crashes.kill9_in_release, main=True),
    Scenario("kill9-in-migration-source", crashes.kill9_in_migration_source, main=True),
    Scenario("kill9-in-migration-destination", crashes.kill9_in_migration_destination, main=True),
    Scenario("guest-reboot", moves.guest_reboot, main=True),
    Scenario("two-nics", moves.two_nics, main=True),
    Scenario("no-vf-driver", troubles.no_vf_driver, main=True),
    Scenario("keeps-vf", troubles.keeps_vf, main=True),
    Scenario("two-guests-one-vf", scarcity.two_guests_one_vf, main=True),
    Scenario("numvfs-zero", troubles.numvfs_zero, main=True),
    Scenario("libvirtd-restarted", troubles.libvirtd_restarted, main=True),
    Scenario("five-migrations", troubles.five_migrations, main=True),
    Scenario("save-restore", life.save_restore, main=True),
    Scenario("managed-save", life.managed_save),
    Scenario("save-on-vf", life.save_on_vf),
    Scenario("link-down", life.link_down, main=True),
    Scenario("owners-vf-of-libvirt", life.owners_vf_of_libvirt, main=True),
    Scenario("owners-vf-plain", life.owners_vf_plain),
    Scenario("migrate-p2p", life.migrate_p2p),
    Scenario("migrate-post-copy", life.migrate_post_copy),
    Scenario("migrate-crosswise", life.migrate_crosswise),
    Scenario("idle", idle.idle),
    Scenario("bad-input", bad_input.bad_input, main=True),
    Scenario("migrate-no-sriov", migrations.no_sriov, main=True, lab=NO_SRIOV),
    Scenario("carrier-lost", troubles.carrier_lost, main=True, lab=BOND),
]


def named(name):
    """The scenario of that name, or None."""
    return next((s for s in ALL if s.name == name), None)
