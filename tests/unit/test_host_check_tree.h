/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A host for the tests of the host check: a folder with what its /sys, /proc, /dev and so on would say. As it is made
 * nothing is wrong with it; the tests then change one thing. It has one card, enp1s0 (igb, 0000:01:00.0 below the port
 * 0000:00:01.0), with 2 of 7 VFs, and a bridge.
 */

#include <stddef.h>
#include <stdint.h>

#define TREE_PF     "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0"
#define TREE_BRIDGE "/sys/devices/pci0000:00/0000:00:01.0"
#define TREE_VF0    "/sys/devices/pci0000:00/0000:00:01.0/0000:01:10.0"
#define TREE_RESOURCES                                                                                                 \
        "0x00000000fe000000 0x00000000fe01ffff 0x0000000000040200\n"                                                   \
        "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"                                                   \
        "0x000000000000e000 0x000000000000e01f 0x0000000000040101\n"                                                   \
        "0x00000000fe040000 0x00000000fe043fff 0x0000000000040200\n"                                                   \
        "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"                                                   \
        "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"                                                   \
        "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"

extern char tree_root[64];

void tree_make(void);
void tree_remove(void);

/* Paths are below the root; folders are made as needed, and what is there is replaced. */
void tree_write(const char *path, const char *text);
void tree_write_bytes(const char *path, const void *bytes, size_t size);
void tree_write_program(const char *path, const char *script);
void tree_link(const char *path, const char *target);
void tree_delete(const char *path);

/* A PCI Express configuration space with extended capabilities; ends with id 0. `sriov_total` fills an SR-IOV one. */
void tree_write_config(const char *path, size_t size, const uint16_t *capabilities, unsigned sriov_total);
