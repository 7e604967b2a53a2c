/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation
 *
 * Two tables of checks, one for the host and one for each PF. Every check runs, whatever the others found, and tells
 * by itself what it saw; a check that can say nothing here (an IOMMU group where there is no IOMMU) says so only where
 * another finding does not say it already. What the kernel decided (IOMMU groups, assigned memory, interrupt chips) is
 * believed more than what firmware tables promise: those only help to find out why it decided so.
 */

#include "src/hostcheck/hostcheck.h"
#include "src/hostcheck/host.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
        const char *name;
        void (*run)(const struct host *host);
} host_checks[] = {
        { "processor", check_processor },
        { "nested-paging", check_nested_paging },
        { "pci-express", check_pci_express },
        { "iommu", check_iommu },
        { "interrupt-remapping", check_interrupt_remapping },
        { "command-line", check_command_line },
        { "vfio", check_vfio },
        { "lockdown", check_lockdown },
        { "memory", check_memory },
        { "bridge", check_bridge },
        { "traffic-control", check_traffic_control },
        { "libvirt", check_libvirt },
        { "qemu", check_qemu },
};

static const struct {
        const char *name;
        void (*run)(const struct host *host, const struct host_pf *pf);
} pf_checks[] = {
        { "sr-iov", check_sriov },        { "driver", check_pf_driver },        { "vf-count", check_vf_count },
        { "vf-memory", check_vf_memory }, { "bus-numbers", check_bus_numbers }, { "isolation", check_isolation },
};

const char *hostcheck_level_to_string(enum hostcheck_level level)
{
        switch (level) {
        case HOSTCHECK_OK:
                return "ok";
        case HOSTCHECK_NOTE:
                return "note";
        case HOSTCHECK_WARNING:
                return "warning";
        case HOSTCHECK_PROBLEM:
                return "problem";
        }
        return "invalid";
}

__attribute__((format(printf, 5, 0))) static void tell(const struct host *host, enum hostcheck_level level,
                                                       const char *why, const char *remedy, const char *format,
                                                       va_list arguments)
{
        char seen[HOST_TEXT_SIZE];

        vsnprintf(seen, sizeof(seen), format, arguments);
        host->each(&(struct hostcheck_finding){ .level = level,
                                                .check = host->check,
                                                .subject = host->subject,
                                                .seen = seen,
                                                .why = why,
                                                .remedy = remedy },
                   host->userdata);
}

void host_ok(const struct host *host, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        tell(host, HOSTCHECK_OK, "", "", format, arguments);
        va_end(arguments);
}

void host_report(const struct host *host, enum hostcheck_level level, const char *why, const char *remedy,
                 const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        tell(host, level, why, remedy, format, arguments);
        va_end(arguments);
}

/* The release decides whose modules are looked at; of a copy it is the copy's, if it says. */
static void read_host(struct host *host)
{
        char processors[16384];
        struct utsname name;

        host_read(host, host->command_line, sizeof(host->command_line), "/proc/cmdline");
        if (host_read(host, host->release, sizeof(host->release), "/proc/sys/kernel/osrelease") < 0 &&
            uname(&name) == 0)
                snprintf(host->release, sizeof(host->release), "%.*s", (int) sizeof(host->release) - 1, name.release);
        host_read(host, processors, sizeof(processors), "/proc/cpuinfo");
        host->is_x86 = strstr(processors, "vendor_id") && strstr(processors, "flags");
        host->is_virtual = strstr(processors, " hypervisor") != NULL;
}

static void run_pf_checks(struct host *host, const struct host_pf *pf)
{
        host->subject = pf->name;
        for (size_t i = 0; i < ELEMENTS(pf_checks); i++) {
                host->check = pf_checks[i].name;
                pf_checks[i].run(host, pf);
                /* The others would only say the same in other words. */
                if (i == 0 && pf->total_vfs < 0)
                        return;
        }
}

static void check_every_pf(struct host *host)
{
        _cleanup_list_ char **names = host_list(host, "/sys/class/net");
        struct host_pf pf;
        size_t found = 0;

        for (size_t i = 0; names && names[i]; i++)
                if (host_read_pf(host, names[i], &pf) == 0 && !pf.is_vf && (pf.total_vfs >= 0 || pf.sriov > 0)) {
                        run_pf_checks(host, &pf);
                        found++;
                }
        if (found > 0)
                return;
        host->subject = "host";
        host->check = "sr-iov";
        host_report(
                host, HOSTCHECK_PROBLEM, "without a card that has SR-IOV there are no VFs",
                "put such a card in; on many cards SR-IOV must be turned on in the firmware's setup, or in the card's "
                "own by its vendor's tool",
                "no network device of this host has SR-IOV");
}

int hostcheck_run(const struct hostcheck_options *options, hostcheck_each each, void *userdata,
                  struct vswitch_error *error)
{
        struct host host = { .options = options, .each = each, .userdata = userdata, .subject = "host" };
        struct host_pf pf;

        read_host(&host);
        for (size_t i = 0; options->pfs && options->pfs[i]; i++)
                if (host_read_pf(&host, options->pfs[i], &pf) < 0)
                        return vswitch_error_set(error, -ENODEV,
                                                 "there is no network device %s in this network namespace; `ip link` "
                                                 "shows those there are",
                                                 options->pfs[i]);
        for (size_t i = 0; i < ELEMENTS(host_checks); i++) {
                host.check = host_checks[i].name;
                host_checks[i].run(&host);
        }
        for (size_t i = 0; options->pfs && options->pfs[i]; i++)
                if (host_read_pf(&host, options->pfs[i], &pf) == 0)
                        run_pf_checks(&host, &pf);
        if (!options->pfs)
                check_every_pf(&host);
        return 0;
}
