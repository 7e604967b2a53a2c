/* SPDX-License-Identifier: Apache-2.0 */

/* The processor's part: guests at all, and their memory in hardware. */

#include "src/hostcheck/host.h"

#include <stdio.h>
#include <string.h>

/* Is `flag` in one of the lines of flags of /proc/cpuinfo ("flags", and "vmx flags" since Linux 5.9)? */
static bool has_flag(const struct host *host, const char *flag)
{
        char text[16384];
        size_t length = strlen(flag);

        host_read(host, text, sizeof(text), "/proc/cpuinfo");
        for (const char *found = strstr(text, flag); found; found = strstr(found + 1, flag))
                if (found > text && found[-1] == ' ' && strchr(" \n", found[length]))
                        return true;
        return false;
}

void check_processor(const struct host *host)
{
        static const char why[] = "without it there are no guests that a VF could be given to";
        bool intel = has_flag(host, "vmx"), amd = has_flag(host, "svm");

        /* It is there when the kernel could use what there is. */
        if (host_exists(host, "/dev/kvm"))
                host_ok(host, "/dev/kvm is there%s", intel ? " (vmx)" : amd ? " (svm)" : "");
        else if (host->is_x86 && !intel && !amd)
                host_report(host, HOSTCHECK_PROBLEM, why,
                            host->is_virtual ? "let the hypervisor pass vmx or svm on to this virtual machine (nested "
                                               "virtualization)"
                                             : "turn on VT-x (Intel) or SVM (AMD) in the firmware's setup",
                            "there is no /dev/kvm, and the processor shows no hardware virtualization (neither vmx nor "
                            "svm)");
        else
                host_report(
                        host, HOSTCHECK_PROBLEM, why,
                        intel ? "modprobe kvm_intel; if that fails, dmesg says why (often VT-x is locked off in the "
                                "firmware's setup)"
                        : amd ? "modprobe kvm_amd; if that fails, dmesg says why (often SVM is off in the firmware's "
                                "setup)"
                              : "the kernel must be built with KVM, and be started at the hypervisor's level (EL2 on "
                                "Arm)",
                        "there is no /dev/kvm");
}

void check_nested_paging(const struct host *host)
{
        static const char why[] =
                "the kernel then keeps a copy of the page tables of every guest, which makes guests slow "
                "and their DMA mappings expensive";
        static const struct {
                const char *flag, *module, *parameter;
        } kinds[] = { { "ept", "kvm_intel", "ept" }, { "npt", "kvm_amd", "npt" } };

        if (!host->is_x86)
                return; /* part of the virtualization extension elsewhere */
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
                char value[8];

                if (!has_flag(host, kinds[i].flag))
                        continue;
                host_read(host, value, sizeof(value), "/sys/module/%s/parameters/%s", kinds[i].module,
                          kinds[i].parameter);
                if (value[0] == 'N' || value[0] == '0')
                        host_report(
                                host, HOSTCHECK_WARNING, why,
                                "remove the option that turns it off (kvm_intel.ept=0, kvm_amd.npt=0: kernel command "
                                "line or /etc/modprobe.d)",
                                "nested paging (%s) is turned off in %s", kinds[i].flag, kinds[i].module);
                else
                        host_ok(host, "the processor has it (%s)", kinds[i].flag);
                return;
        }
        host_report(host, HOSTCHECK_WARNING, why,
                    host->is_virtual ? "let the hypervisor pass ept or npt on to this virtual machine"
                                     : "use a processor that has it: Intel since Nehalem, AMD since Barcelona",
                    "the processor shows no nested paging (neither ept nor npt)");
}
