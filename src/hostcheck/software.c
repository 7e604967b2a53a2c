/* SPDX-License-Identifier: Apache-2.0 */

/* Versions of libvirt and QEMU. */

#include "src/hostcheck/host.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define VERSION(major, minor) ((major) *1000 + (minor))

/* The first "N.N" of a text; 0: none. */
static int read_version(const char *text, char *buffer, size_t size)
{
        int major, minor, length;

        for (; *text; text++) {
                length = 0;
                if (isdigit((unsigned char) *text) && sscanf(text, "%d.%d%n", &major, &minor, &length) >= 2 &&
                    length > 0 && major >= 0 && minor >= 0 && minor < 1000) {
                        snprintf(buffer, size, "%.*s", (int) strspn(text, "0123456789."), text);
                        return VERSION(major, minor);
                }
        }
        return 0;
}

/* A version that is too old is a problem; one that is only untested, a warning. */
static void compare(const struct host *host, const char *name, const char *version, int number, int needed,
                    const char *needed_text, int tested, const char *tested_text)
{
        char remedy[HOST_TEXT_SIZE];

        if (number < needed) {
                snprintf(remedy, sizeof(remedy), "use %s %s or later", name, tested_text);
                host_report(host, HOSTCHECK_PROBLEM, needed_text, remedy, "%s %s", name, version);
        } else if (number < tested) {
                snprintf(remedy, sizeof(remedy), "use %s %s or later", name, tested_text);
                host_report(host, HOSTCHECK_WARNING, "vswitch is not tested with it", remedy, "%s %s", name, version);
        } else
                host_ok(host, "%s %s", name, version);
}

/* The first of the programs that there is; NULL: none. */
static const char *find_program(const struct host *host, const char *const *programs)
{
        for (size_t i = 0; programs[i]; i++)
                if (host_exists(host, "%s", programs[i]))
                        return programs[i];
        return NULL;
}

static void check_program(const struct host *host, const char *name, const char *program, int needed,
                          const char *needed_text, int tested, const char *tested_text)
{
        char text[512], version[64] = "";
        int number, r;

        if (!host->options->run_programs) {
                host_ok(host, "%s is there; it was not asked for its version", program);
                return;
        }
        r = host_run_version(host, program, text, sizeof(text));
        number = r < 0 ? 0 : read_version(text, version, sizeof(version));
        if (number > 0)
                compare(host, name, version, number, needed, needed_text, tested, tested_text);
        else
                host_report(host, HOSTCHECK_WARNING, "what it can do is not known",
                            "run it by hand: it should print its "
                            "version",
                            "%s --version %s", program,
                            r == -ETIMEDOUT ? "does not answer"
                            : r < 0         ? "fails"
                                            : "says something that is no version");
}

void check_libvirt(const struct host *host)
{
        static const char *const programs[] = { "/usr/sbin/virtqemud", "/usr/sbin/libvirtd",
                                                "/usr/local/sbin/virtqemud", "/usr/local/sbin/libvirtd", NULL };
        const char *program = find_program(host, programs);

        if (!program) {
                host_report(host, HOSTCHECK_PROBLEM, "vswitch moves the NICs of guests that libvirt runs",
                            "install libvirt's daemon (virtqemud or libvirtd)", "libvirt is not installed");
                return;
        }
        check_program(host, "libvirt", program, VERSION(7, 1),
                      "it cannot attach a VF to a NIC that is a team with it (<teaming> of a <hostdev>)", VERSION(9, 0),
                      "9.0");
        if (!host_exists(host, "/run/libvirt/virtqemud-sock") && !host_exists(host, "/run/libvirt/libvirt-sock"))
                host_report(host, HOSTCHECK_WARNING, "vswitchd hears of guests from it",
                            "systemctl enable --now virtqemud.socket (or libvirtd.socket)", "libvirt does not run");
}

void check_qemu(const struct host *host)
{
        char native[128] = "";
        const char *const programs[] = { native, "/usr/bin/qemu-kvm", "/usr/libexec/qemu-kvm",
                                         "/usr/bin/qemu-system-x86_64", NULL };
        const char *program;
        struct utsname name;

        if (uname(&name) == 0)
                snprintf(native, sizeof(native), "/usr/bin/qemu-system-%.64s", name.machine);
        program = find_program(host, programs);
        if (!program)
                host_report(host, HOSTCHECK_WARNING, "guests need it; only the usual places were looked at",
                            "install QEMU, or make sure that the guests' <emulator> is QEMU 7.2 or later",
                            "QEMU is not installed in /usr");
        else
                check_program(host, "QEMU", program, VERSION(4, 2), "it has no failover pairs of a virtio NIC and a VF",
                              VERSION(7, 2), "7.2");
}
