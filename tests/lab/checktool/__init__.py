# SPDX-License-Identifier: Apache-2.0
"""The leftover check: does a host's kernel hold what its guests ask for, and nothing else?

It shares nothing with the product: it reads the kernel, libvirt and the files
under /run/vswitch by other means (iproute2, sysfs, virsh) and has its own idea of
what a clean host looks like.  A mistake in the product is therefore not repeated
here.  Modules, each using only those above it:

    snapshot    one host's state, parsed from the output of one script run there
    collect     runs that script, on all hosts at once
    baseline    what the hosts were like before anybody had a VF
    rules       snapshot and baseline in, sentences out
    cli         the command
"""
