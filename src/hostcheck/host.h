/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the checks share: reading the host's files below a root, and telling what was found. */

#include "src/hostcheck/hostcheck.h"

#include <limits.h>
#include <net/if.h>
#include <stdint.h>

#define HOST_TEXT_SIZE   512
#define HOST_CONFIG_SIZE 4096 /* of a PCI Express function's configuration space */

struct host {
        const struct hostcheck_options *options;
        hostcheck_each each;
        void *userdata;
        const char *check; /* that runs now */
        const char *subject;

        char command_line[4096]; /* of the kernel */
        char release[128];       /* of the kernel */
        bool is_x86;
        bool is_virtual; /* itself a virtual machine */
};

struct host_pf {
        char name[IF_NAMESIZE];
        char device[PATH_MAX]; /* its folder below the root: "/sys/devices/pci0000:00/.../0000:01:00.0" */
        char address[16];      /* "" when it is no PCI device */
        uint8_t config[HOST_CONFIG_SIZE];
        size_t config_size;     /* what of it could be read */
        unsigned sriov;         /* offset of the SR-IOV capability in it; 0: not there, or not to be read */
        int total_vfs, num_vfs; /* of sysfs; -1: the kernel knows of no SR-IOV here */
        bool is_vf;
};

/* Files. Paths are printf formats below the root. */

/* Text without its last newline. 0, or -errno; the buffer is then "". */
int host_read(const struct host *host, char *buffer, size_t size, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
/* -1 when there is no number. */
long long host_read_number(const struct host *host, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool host_exists(const struct host *host, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The last part of what a link points to. */
int host_link_name(const struct host *host, char *buffer, size_t size, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
/* The names in a folder, ordered, NULL-terminated; to be freed by host_list_free(). NULL: there is no such folder. */
char **host_list(const struct host *host, const char *format, ...) __attribute__((format(printf, 2, 3)));
void host_list_freep(char ***list);
size_t host_list_count(char *const *list);
/* Is there a line that begins like this? */
bool host_has_line(const struct host *host, const char *path, const char *beginning);

#define _cleanup_list_ __attribute__((cleanup(host_list_freep)))

/* The kernel's command line: a word ("nomsi"), or an item of a parameter ("iommu", "off" for "iommu=soft,off"). */
bool host_has_word(const struct host *host, const char *word);
bool host_has_parameter(const struct host *host, const char *name, const char *item);

/* Is a kernel module there: loaded, built in, or to be loaded? -1: nobody can tell. */
int host_has_module(const struct host *host, const char *name);
bool host_is_module_loaded(const struct host *host, const char *name);

/* PCI */
bool host_is_pci_address(const char *text);
/* Offset of an extended capability, or 0. */
unsigned host_find_extended_capability(const uint8_t *config, size_t size, uint16_t id);
uint16_t host_config_word(const uint8_t *config, unsigned offset);
/* Reads what may be read of a device's configuration space; its size in bytes. */
size_t host_read_config(const struct host *host, const char *device, uint8_t config[HOST_CONFIG_SIZE]);
/* 0, or -ENODEV. */
int host_read_pf(const struct host *host, const char *name, struct host_pf *ret);

#define PCI_EXTENDED_ACS   0x0d
#define PCI_EXTENDED_SRIOV 0x10

/* Runs `program --version` and keeps the beginning of what it prints; it may take two seconds. 0, or -errno (-ENOENT:
 * there is no such program). */
int host_run_version(const struct host *host, const char *program, char *buffer, size_t size);

/* Findings */
void host_ok(const struct host *host, const char *format, ...) __attribute__((format(printf, 2, 3)));
void host_report(const struct host *host, enum hostcheck_level level, const char *why, const char *remedy,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The checks: see the tables in hostcheck.c. */
void check_processor(const struct host *host);
void check_nested_paging(const struct host *host);
void check_pci_express(const struct host *host);
void check_iommu(const struct host *host);
void check_interrupt_remapping(const struct host *host);
void check_command_line(const struct host *host);
void check_vfio(const struct host *host);
void check_lockdown(const struct host *host);
void check_memory(const struct host *host);
void check_bridge(const struct host *host);
void check_traffic_control(const struct host *host);
void check_libvirt(const struct host *host);
void check_qemu(const struct host *host);

void check_sriov(const struct host *host, const struct host_pf *pf);
void check_pf_driver(const struct host *host, const struct host_pf *pf);
void check_vf_count(const struct host *host, const struct host_pf *pf);
void check_vf_memory(const struct host *host, const struct host_pf *pf);
void check_bus_numbers(const struct host *host, const struct host_pf *pf);
void check_isolation(const struct host *host, const struct host_pf *pf);
