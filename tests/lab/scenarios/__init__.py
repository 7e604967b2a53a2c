# SPDX-License-Identifier: Apache-2.0
"""What the project must be able to do, shown in the lab.

A scenario is a function that brings the lab into a situation, does something, and
says what has to be true afterwards.  The leftover check (../checktool) runs after
each one, on all hosts.  Modules, each using only those above it:

    bench       the lab as scenarios use it: hosts, guests, paths, daemons
    traffic     light pings from all kinds of senders while something happens
    phases      doing something at a certain phase of a migration
    moves, migrations, failures, crashes, idle, bad_input
                the scenarios
    registry    their names
    cli         the command
"""
