"""The laboratory for vswitch: real drivers, real libvirt, emulated silicon.

Layers, from the outside in:

L0    this machine.  A network namespace `vlab` holds two bridges: `wire` (the
      LAN between the hosts) and `mgmt` (ssh, libvirt).  Probe senders are
      further namespaces, all on this machine, so that they share one clock.
host  h1, h2, ...: QEMU machines with an emulated IOMMU and an emulated igb NIC
      (seven VFs) on `wire`.  Debian's kernel and libvirt run in them.
guest g1, g2, ...: started by libvirt inside a host.

Modules, each using only those above it:

    addresses   names, MACs and IPs of everything: the one place for the scheme
    base        errors, progress, running programs, waiting for conditions
    paths       where things lie: sources, cache, run-time state
    initramfs   kernel modules and a cpio archive, written without tools
    image       the hosts' root file system and disk image, ssh keys
    machine     QEMU: which accelerator works here, command line, monitor
    net         namespaces, bridges, taps, senders
    state       one lab at a time; what is up; cleaning up whatever happens
    hosts       boot, ssh, install, daemon
    guests      domain XML, start, stop, console
    cli         the commands
"""
