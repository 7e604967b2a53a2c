# SPDX-License-Identifier: Apache-2.0
# Run on a host by collect.py: prints everything the check looks at, in sections.
# Only programs that every host has; no Python there.
section() { printf '\n@@ %s\n' "$*"; }

for pf in $pfs; do
    section "link $pf";  ip -j -d link show dev "$pf"
done
section fdb;        bridge -j fdb show
section ingress;    tc -j filter show dev "$port" ingress
section egress;     tc -j filter show dev "$port" egress

section ports
for member in "/sys/class/net/$bridge"/brif/*; do
    echo "${member##*/} $(cat "$member/multicast_router")"
done

for pf in $pfs; do
    section "vfs $pf"
    for vf in "/sys/class/net/$pf"/device/virtfn*; do
        [ -e "$vf" ] || continue
        device=$(readlink -f "$vf")
        driver=$([ -e "$device/driver" ] && basename "$(readlink "$device/driver")")
        vectors=$(ls "$device/msi_irqs" 2>/dev/null | wc -l)
        echo "${vf##*virtfn} ${device##*/} ${driver:--} $vectors $(cat "$device/driver_override")"
    done
done

for kind in claims nics; do
    for file in /run/vswitch/$kind/* /run/vswitch/$kind/.[!.]*; do
        [ -e "$file" ] || continue
        section "file $kind ${file##*/}"
        cat "$file"
    done
done

# Whatever was ever started here has a log, whoever looked after it.
section history;    ls /var/log/libvirt/qemu
section daemon;     lab-daemon status
section domains
if domains=$(virsh -q list 2>&1); then
    echo answered
    echo "$domains" | while read -r id name state; do
        [ -n "$id" ] || continue
        section "domain $name $state"
        virsh dumpxml "$id"
    done
else
    echo "$domains"
fi
