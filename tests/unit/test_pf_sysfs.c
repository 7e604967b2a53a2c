/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The sysfs half of the kernel's PF, on a tree of plain files. Writes land in the files and can be read back there;
 * what the kernel would do on them, a test does itself where it matters.
 */

#include "vswitch/pf_events.h"
#include "vswitch/pf_sysfs.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define PF "0000:01:00.0"
#define VF "0000:01:10.2"

static char root[] = "/tmp/vswitch-sysfs-XXXXXX";

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
        char command[2048];
        va_list arguments;
        int length = snprintf(command, sizeof(command), "set -e; cd %s; ", root);

        va_start(arguments, format);
        vsnprintf(command + length, sizeof(command) - (size_t) length, format, arguments);
        va_end(arguments);
        ck_assert_msg(system(command) == 0, "%s", command);
}

/* The first line of a file, without its end. */
static const char *content(const char *path)
{
        static char text[256];
        char full[PATH_MAX];
        FILE *file;

        snprintf(full, sizeof(full), "%s/%s", root, path);
        file = fopen(full, "re");
        ck_assert_msg(file != NULL, "%s", full);
        if (!fgets(text, sizeof(text), file))
                text[0] = '\0';
        text[strcspn(text, "\n")] = '\0';
        fclose(file);
        return text;
}

static void make_vf(unsigned index, const char *address)
{
        shell("mkdir -p bus/pci/devices/%s; cd bus/pci/devices/%s; ln -s ../../../../bus/pci subsystem; "
              "ln -s ../" PF " physfn; ln -s ../%s ../" PF "/virtfn%u; echo '(null)' >driver_override; echo 0 >enable; "
              "mkdir -p ../../../../kernel/iommu_groups/%u; ln -s ../../../../kernel/iommu_groups/%u iommu_group",
              address, address, address, index, index + 70, index + 70);
}

static void set_driver(const char *address, const char *driver)
{
        shell("rm -f bus/pci/devices/%s/driver", address);
        if (driver[0] != '\0')
                shell("ln -s ../../../../bus/pci/drivers/%s bus/pci/devices/%s/driver", driver, address);
}

static void set_up(void)
{
        ck_assert_ptr_nonnull(mkdtemp(root));
        pf_kernel_sysfs_root = root;
        shell("mkdir -p class/net/eth0 bus/pci/devices/" PF " bus/pci/drivers/igb bus/pci/drivers/igbvf "
              "bus/pci/drivers/vfio-pci; touch bus/pci/drivers_probe; "
              "for i in igb igbvf vfio-pci; do touch bus/pci/drivers/$i/unbind; done");
        shell("ln -s ../../../bus/pci/devices/" PF " class/net/eth0/device; cd bus/pci/devices/" PF "; "
              "ln -s ../../../../bus/pci subsystem; ln -s ../../../../bus/pci/drivers/igb driver; "
              "echo 7 >sriov_totalvfs; echo 3 >sriov_numvfs; echo 1 >sriov_drivers_autoprobe; echo 0x8086 >vendor; "
              "echo 0x10c9 >device; echo 0x1af4 >subsystem_vendor; echo 0x1100 >subsystem_device");
        /* Out of order, and with two digits. */
        make_vf(10, "0000:01:12.4");
        make_vf(2, "0000:01:10.4");
        make_vf(1, VF);
        set_driver(VF, "igbvf");
        shell("mkdir -p bus/pci/devices/" VF "/net/eth0v1");
}

static void tear_down(void)
{
        shell("rm -rf %s", root);
}

START_TEST(test_identify)
{
        struct pf pf = { .name = "eth0" };

        ck_assert_int_eq(pf_sysfs_identify("eth0", &pf, NULL), 0);
        ck_assert_str_eq(pf.address, PF);
        ck_assert_str_eq(pf.kernel_driver, "igb");
        ck_assert_uint_eq(pf.total_vfs, 7);
        ck_assert_uint_eq(pf.vendor, 0x8086);
        ck_assert_uint_eq(pf.device, 0x10c9);
        ck_assert_uint_eq(pf.subsystem_vendor, 0x1af4);
        ck_assert_uint_eq(pf.subsystem_device, 0x1100);
        ck_assert(pf.is_emulated);
        shell("echo 0x8086 >bus/pci/devices/" PF "/subsystem_vendor");
        ck_assert_int_eq(pf_sysfs_identify("eth0", &pf, NULL), 0);
        ck_assert(!pf.is_emulated);

        /* No SR-IOV; not on a PCI bus; no device at all. */
        shell("rm bus/pci/devices/" PF "/sriov_totalvfs");
        ck_assert_int_eq(pf_sysfs_identify("eth0", &pf, NULL), 0);
        ck_assert_str_eq(pf.address, PF);
        ck_assert_uint_eq(pf.total_vfs, 0);
        shell("rm bus/pci/devices/" PF "/subsystem; mkdir -p bus/usb; ln -s ../../../../bus/usb bus/pci/devices/" PF
              "/subsystem");
        ck_assert_int_eq(pf_sysfs_identify("eth0", &pf, NULL), 0);
        ck_assert_str_eq(pf.address, "");
        ck_assert_int_eq(pf_sysfs_identify("br0", &pf, NULL), 0);
        ck_assert_str_eq(pf.address, "");
}
END_TEST

START_TEST(test_list_vfs)
{
        struct vswitch_error error = { 0 };
        struct pf_vf *vfs = NULL;
        struct pf_vf vf;
        size_t count = 0;

        ck_assert_int_eq(pf_sysfs_list_vfs(PF, &vfs, &count, &error), 0);
        ck_assert_uint_eq(count, 3);
        ck_assert_uint_eq(vfs[0].index, 1);
        ck_assert_uint_eq(vfs[1].index, 2);
        ck_assert_uint_eq(vfs[2].index, 10);
        ck_assert_str_eq(vfs[0].address, VF);
        ck_assert_str_eq(vfs[0].driver, "igbvf");
        ck_assert_str_eq(vfs[0].netdev, "eth0v1");
        ck_assert_str_eq(vfs[0].iommu_group, "71");
        ck_assert_str_eq(vfs[1].driver, "");
        ck_assert_str_eq(vfs[1].netdev, "");
        free(vfs);

        ck_assert_int_eq(pf_sysfs_read_vf(PF, 10, &vf, &error), 0);
        ck_assert_str_eq(vf.address, "0000:01:12.4");
        ck_assert_int_eq(pf_sysfs_read_vf(PF, 3, &vf, &error), -ENODEV);
        ck_assert_str_eq(error.text, "PF " PF " has no VF 3");
        ck_assert_int_eq(pf_sysfs_read_vf("", 0, &vf, &error), -ENODEV);
        ck_assert_int_eq(pf_sysfs_list_vfs("0000:0f:00.0", &vfs, &count, &error), -ENODEV);

        shell("rm bus/pci/devices/" VF "/iommu_group");
        ck_assert_int_eq(pf_sysfs_read_vf(PF, 1, &vf, &error), 0);
        ck_assert_str_eq(vf.iommu_group, "");
}
END_TEST

START_TEST(test_vectors)
{
        unsigned vectors = 9;

        /* Under its network driver the files are the host's own. */
        shell("mkdir bus/pci/devices/" VF "/msi_irqs; touch bus/pci/devices/" VF "/msi_irqs/30");
        ck_assert_int_eq(pf_sysfs_vectors(VF, &vectors), -ENODATA);
        /* Without one, a guest may still drive a VF that is being removed. */
        ck_assert_int_eq(pf_sysfs_vectors("0000:01:10.4", &vectors), 0);
        ck_assert_uint_eq(vectors, 0);
        shell("mkdir -p bus/pci/devices/0000:01:10.4/msi_irqs; touch bus/pci/devices/0000:01:10.4/msi_irqs/31");
        ck_assert_int_eq(pf_sysfs_vectors("0000:01:10.4", &vectors), 0);
        ck_assert_uint_eq(vectors, 1);
        shell("rm -r bus/pci/devices/0000:01:10.4/msi_irqs");

        set_driver(VF, "vfio-pci");
        ck_assert_int_eq(pf_sysfs_vectors(VF, &vectors), 0);
        ck_assert_uint_eq(vectors, 1);
        shell("touch bus/pci/devices/" VF "/msi_irqs/31 bus/pci/devices/" VF "/msi_irqs/32");
        ck_assert_int_eq(pf_sysfs_vectors(VF, &vectors), 0);
        ck_assert_uint_eq(vectors, 3);
        shell("rm -r bus/pci/devices/" VF "/msi_irqs");
        ck_assert_int_eq(pf_sysfs_vectors(VF, &vectors), 0);
        ck_assert_uint_eq(vectors, 0);

        ck_assert_int_eq(pf_sysfs_vectors("0000:0f:10.0", &vectors), -ENODEV);
        ck_assert_int_eq(pf_sysfs_vectors("", &vectors), -ENODEV);
}
END_TEST

START_TEST(test_driver_names)
{
        ck_assert(pf_sysfs_driver_is_vfio("vfio-pci"));
        ck_assert(pf_sysfs_driver_is_vfio("mlx5_vfio_pci"));
        ck_assert(!pf_sysfs_driver_is_vfio(""));
        ck_assert(!pf_sysfs_driver_is_vfio("pci"));
        ck_assert(!pf_sysfs_driver_is_vfio("igbvf"));
        ck_assert(!pf_sysfs_driver_is_vfio("vfio-pci-stub"));
}
END_TEST

START_TEST(test_bind_to_vfio_writes_in_order)
{
        struct vswitch_error error = { 0 };

        /* Plain files take no driver: what is written is right, and the missing result is noticed. */
        ck_assert_int_eq(pf_sysfs_bind(VF, "vfio-pci", &error), -EIO);
        ck_assert_str_eq(content("bus/pci/drivers/igbvf/unbind"), VF);
        ck_assert_str_eq(content("bus/pci/drivers_probe"), VF);
        ck_assert_str_eq(error.text,
                         "driver vfio-pci did not take " VF " (the kernel log says why); its driver is now igbvf");
        /* And the override does not stay: the VF goes to whom it belongs. */
        ck_assert_str_eq(content("bus/pci/devices/" VF "/driver_override"), "");
}
END_TEST

START_TEST(test_bind_that_is_done)
{
        struct vswitch_error error = { 0 };

        set_driver(VF, "vfio-pci");
        ck_assert_int_eq(pf_sysfs_bind(VF, "vfio-pci", &error), 0);
        ck_assert_str_eq(content("bus/pci/devices/" VF "/driver_override"), "vfio-pci");
        ck_assert_str_eq(content("bus/pci/drivers/vfio-pci/unbind"), "");
        ck_assert_str_eq(content("bus/pci/drivers_probe"), "");

        /* Nothing to do is nothing written. */
        shell("chmod a-w bus/pci/devices/" VF "/driver_override; touch -d @0 bus/pci/devices/" VF "/driver_override");
        ck_assert_int_eq(pf_sysfs_bind(VF, "vfio-pci", &error), 0);
        shell("test $(stat -c %%Y bus/pci/devices/" VF "/driver_override) = 0");
}
END_TEST

START_TEST(test_unbind)
{
        struct vswitch_error error = { 0 };

        ck_assert_int_eq(pf_sysfs_bind(VF, "", &error), 0);
        ck_assert_str_eq(content("bus/pci/drivers/igbvf/unbind"), VF);
        ck_assert_str_eq(content("bus/pci/drivers_probe"), "");
        ck_assert_str_eq(content("bus/pci/devices/" VF "/driver_override"), "(null)");
        ck_assert_int_eq(pf_sysfs_bind("0000:01:10.4", "", &error), 0);
}
END_TEST

START_TEST(test_bind_says_what_is_missing)
{
        struct vswitch_error error = { 0 };

        ck_assert_int_eq(pf_sysfs_bind("0000:0f:10.0", "vfio-pci", &error), -ENODEV);
        ck_assert_str_eq(error.text, "there is no PCI device 0000:0f:10.0");

        shell("rm bus/pci/devices/" VF "/iommu_group");
        ck_assert_int_eq(pf_sysfs_bind(VF, "vfio-pci", &error), -EOPNOTSUPP);
        ck_assert_ptr_nonnull(strstr(error.text, "enable the IOMMU"));

        shell("rm -r bus/pci/drivers/vfio-pci");
        ck_assert_int_eq(pf_sysfs_bind(VF, "vfio-pci", &error), -ENODEV);
        ck_assert_ptr_nonnull(strstr(error.text, "modprobe vfio-pci"));

        /* Both were found before anything was touched. */
        ck_assert_str_eq(content("bus/pci/drivers/igbvf/unbind"), "");
        ck_assert_str_eq(content("bus/pci/devices/" VF "/driver_override"), "(null)");
}
END_TEST

START_TEST(test_vf_in_use_is_not_unbound)
{
        struct vswitch_error error = { 0 };
        bool is_open = false;

        set_driver(VF, "vfio-pci");
        shell("echo vfio-pci >bus/pci/devices/" VF "/driver_override");
        ck_assert_int_eq(pf_vf_is_open(VF, &is_open, &error), 0);
        ck_assert(!is_open);
        shell("echo 1 >bus/pci/devices/" VF "/enable");
        ck_assert_int_eq(pf_vf_is_open(VF, &is_open, &error), 0);
        ck_assert(is_open);

        ck_assert_int_eq(pf_sysfs_bind(VF, "igbvf", &error), -EBUSY);
        ck_assert_str_eq(error.text, VF " is in use: a process has it open through VFIO");
        ck_assert_str_eq(content("bus/pci/drivers/vfio-pci/unbind"), "");
        ck_assert_str_eq(content("bus/pci/devices/" VF "/driver_override"), "vfio-pci");

        /* Nor is it taken for the caller's, although it has the driver that it is to have. */
        ck_assert_int_eq(pf_sysfs_bind(VF, "vfio-pci", &error), -EBUSY);

        /* A device that a network driver has is enabled too, and is in nobody's hands. */
        set_driver(VF, "igbvf");
        ck_assert_int_eq(pf_vf_is_open(VF, &is_open, &error), 0);
        ck_assert(!is_open);
        ck_assert_int_eq(pf_vf_is_open("0000:0f:10.0", &is_open, &error), -ENODEV);
}
END_TEST

static enum pf_vf_use use_of(const char *address, const struct pf_vfio_nodes *nodes)
{
        struct vswitch_error error = { 0 };
        enum pf_vf_use use = PF_VF_USE_UNKNOWN;

        ck_assert_msg(pf_vf_use(address, nodes, &use, &error) == 0, "%s", error.text);
        return use;
}

/* What is not to be seen in sysfs, the list of open files tells, for all VFs at once. */
START_TEST(test_vf_use_in_two_parts)
{
        static char names[][64] = { "/dev/vfio/vfio", "/dev/vfio/71", "/dev/vfio/devices/vfio4" };
        const struct pf_vfio_nodes none = { 0 }, nodes = { names, 3 };
        enum pf_vf_use use;

        ck_assert_int_eq(use_of(VF, NULL), PF_VF_NOT_OPEN);
        set_driver(VF, "vfio-pci");
        ck_assert_int_eq(use_of(VF, NULL), PF_VF_USE_UNKNOWN);
        ck_assert_int_eq(use_of(VF, &none), PF_VF_NOT_OPEN);
        ck_assert_int_eq(use_of(VF, &nodes), PF_VF_OPEN); /* its group is 71 */
        shell("echo 1 >bus/pci/devices/" VF "/enable");
        ck_assert_int_eq(use_of(VF, NULL), PF_VF_OPEN);
        ck_assert_int_eq(use_of(VF, &none), PF_VF_OPEN);

        set_driver("0000:01:10.4", "vfio-pci");
        ck_assert_int_eq(use_of("0000:01:10.4", &nodes), PF_VF_NOT_OPEN);
        shell("mkdir -p bus/pci/devices/0000:01:10.4/vfio-dev/vfio4");
        ck_assert_int_eq(use_of("0000:01:10.4", &nodes), PF_VF_OPEN);

        ck_assert_int_eq(pf_vf_use("0000:0f:10.0", &nodes, &use, NULL), -ENODEV);
}
END_TEST

START_TEST(test_reset)
{
        struct vswitch_error error = { 0 };

        ck_assert_int_eq(pf_sysfs_reset(VF, &error), -EOPNOTSUPP);
        shell("touch bus/pci/devices/" VF "/reset");
        ck_assert_int_eq(pf_sysfs_reset(VF, &error), 0);
        ck_assert_str_eq(content("bus/pci/devices/" VF "/reset"), "1");
        ck_assert_int_eq(pf_sysfs_reset("0000:0f:10.0", &error), -ENODEV);
}
END_TEST

/*
 * The number of VFs
 */

#define NUMBER    "bus/pci/devices/" PF "/sriov_numvfs"
#define AUTOPROBE "bus/pci/devices/" PF "/sriov_drivers_autoprobe"

static int watch_writes(void)
{
        char path[PATH_MAX];
        int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

        snprintf(path, sizeof(path), "%s/bus/pci/devices/" PF, root);
        ck_assert_int_ge(inotify_add_watch(fd, path, IN_CLOSE_WRITE), 0);
        return fd;
}

/* The names of the files that were written, in their order, each with a blank. */
static const char *writes(int fd)
{
        static char names[256];
        char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
        ssize_t size = read(fd, buffer, sizeof(buffer));

        names[0] = '\0';
        for (ssize_t i = 0; i < size;) {
                const struct inotify_event *event = (const struct inotify_event *) (buffer + i);

                strcat(names, event->name);
                strcat(names, " ");
                i += (ssize_t) (sizeof(*event) + event->len);
        }
        close(fd);
        return names;
}

START_TEST(test_first_vfs)
{
        struct vswitch_error error = { 0 };
        int fd;

        shell("rm bus/pci/devices/" PF "/virtfn*; echo 0 >" NUMBER);
        fd = watch_writes();
        ck_assert_int_eq(pf_sysfs_set_vf_count(PF, "eth0", 5, &error), 0);
        /* Host drivers are kept away before there is something for them to take. */
        ck_assert_str_eq(writes(fd), "sriov_drivers_autoprobe sriov_numvfs ");
        ck_assert_str_eq(content(NUMBER), "5");
        ck_assert_str_eq(content(AUTOPROBE), "0");

        /* What is there already is not made again: that would take every VF away. */
        fd = watch_writes();
        ck_assert_int_eq(pf_sysfs_set_vf_count(PF, "eth0", 5, &error), 0);
        ck_assert_str_eq(writes(fd), "");
}
END_TEST

START_TEST(test_another_number_goes_by_way_of_none)
{
        struct vswitch_error error = { 0 };
        int fd = watch_writes();

        ck_assert_int_eq(pf_sysfs_set_vf_count(PF, "eth0", 7, &error), 0);
        ck_assert_str_eq(writes(fd), "sriov_numvfs sriov_drivers_autoprobe sriov_numvfs ");
        ck_assert_str_eq(content(NUMBER), "7");

        /* What the setting was before is not known here. */
        fd = watch_writes();
        ck_assert_int_eq(pf_sysfs_set_vf_count(PF, "eth0", 0, &error), 0);
        ck_assert_str_eq(writes(fd), "sriov_numvfs ");
        ck_assert_str_eq(content(NUMBER), "0");
        ck_assert_str_eq(content(AUTOPROBE), "0");

        /* Before Linux 4.12. */
        shell("rm " AUTOPROBE);
        ck_assert_int_eq(pf_sysfs_set_vf_count(PF, "eth0", 2, &error), 0);
        ck_assert_str_eq(content(NUMBER), "2");
}
END_TEST

START_TEST(test_autoprobe)
{
        struct vswitch_error error = { 0 };
        bool autoprobe = false;
        int fd = watch_writes();

        ck_assert_int_eq(pf_sysfs_read_autoprobe(PF, &autoprobe, &error), 0);
        ck_assert(autoprobe);
        ck_assert_int_eq(pf_sysfs_set_autoprobe(PF, true, &error), 0);
        ck_assert_str_eq(writes(fd), "");
        ck_assert_int_eq(pf_sysfs_set_autoprobe(PF, false, &error), 0);
        ck_assert_str_eq(content(AUTOPROBE), "0");
        ck_assert_int_eq(pf_sysfs_read_autoprobe(PF, &autoprobe, &error), 0);
        ck_assert(!autoprobe);

        shell("rm " AUTOPROBE);
        ck_assert_int_eq(pf_sysfs_read_autoprobe(PF, &autoprobe, &error), -EOPNOTSUPP);
        ck_assert_int_eq(pf_sysfs_set_autoprobe(PF, true, &error), -EOPNOTSUPP);
}
END_TEST

START_TEST(test_number_that_cannot_be)
{
        struct vswitch_error error = { 0 };
        int fd;

        fd = watch_writes();
        ck_assert_int_eq(pf_sysfs_set_vf_count(PF, "eth0", 8, &error), -ERANGE);
        ck_assert_str_eq(error.text, "eth0 can have 7 VFs at most, not 8");

        /* The kernel would wait for the user for ever. */
        set_driver(VF, "vfio-pci");
        shell("echo 1 >bus/pci/devices/" VF "/enable");
        ck_assert_int_eq(pf_sysfs_set_vf_count(PF, "eth0", 2, &error), -EBUSY);
        ck_assert_str_eq(error.text, "VF 1 (" VF ") is in use: a process has it open through VFIO");
        ck_assert_str_eq(writes(fd), "");

        shell("rm bus/pci/devices/" PF "/sriov_totalvfs");
        ck_assert_int_eq(pf_sysfs_set_vf_count(PF, "eth0", 1, &error), -EOPNOTSUPP);
        ck_assert_str_eq(error.text, "eth0 has no SR-IOV");
        ck_assert_int_eq(pf_sysfs_set_vf_count("", "eth0", 1, &error), -EOPNOTSUPP);
}
END_TEST

START_TEST(test_devices_on_top)
{
        ck_assert(!pf_sysfs_has_upper("eth0"));
        ck_assert(!pf_sysfs_has_upper("nosuch"));
        shell("touch class/net/eth0/upper_macvtap0");
        ck_assert(pf_sysfs_has_upper("eth0"));
}
END_TEST

/*
 * Device events
 */

#define EVENT(text) (text), sizeof(text)

START_TEST(test_events)
{
        static const char added[] = "add@/devices/pci0000:00/" VF "\0ACTION=add\0DEVPATH=/devices/pci0000:00/" VF
                                    "\0SUBSYSTEM=pci\0PCI_CLASS=20000\0PCI_SLOT_NAME=" VF "\0SEQNUM=2441";
        struct pf_event event = { 0 };

        ck_assert_int_eq(pf_events_parse(added, sizeof(added), &event), 1);
        ck_assert_int_eq(event.kind, PF_EVENT_ADDED);
        ck_assert_str_eq(event.address, VF);
        ck_assert_int_eq(pf_events_parse(EVENT("remove@/x\0SUBSYSTEM=pci\0PCI_SLOT_NAME=" VF "\0ACTION=remove"),
                                         &event),
                         1);
        ck_assert_int_eq(event.kind, PF_EVENT_REMOVED);
        ck_assert_int_eq(pf_events_parse(EVENT("bind@/x\0ACTION=bind\0SUBSYSTEM=pci\0PCI_SLOT_NAME=" VF), &event), 1);
        ck_assert_int_eq(event.kind, PF_EVENT_BOUND);

        /* Another bus, another action, no address, nothing. */
        ck_assert_int_eq(pf_events_parse(EVENT("add@/x\0ACTION=add\0SUBSYSTEM=usb\0PCI_SLOT_NAME=" VF), &event), 0);
        ck_assert_int_eq(pf_events_parse(EVENT("change@/x\0ACTION=change\0SUBSYSTEM=pci\0PCI_SLOT_NAME=" VF), &event),
                         0);
        ck_assert_int_eq(pf_events_parse(EVENT("add@/x\0ACTION=add\0SUBSYSTEM=pci"), &event), 0);
        ck_assert_int_eq(pf_events_parse("", 0, &event), 0);
        /* Cut off anywhere: the last line has no end (the sanitizers watch). */
        for (size_t size = 0; size < sizeof(added); size++) {
                char *exact = malloc(size ? size : 1);

                memcpy(exact, added, size);
                (void) pf_events_parse(exact, size, &event);
                free(exact);
        }
        ck_assert_int_eq(pf_events_parse(added, sizeof(added) - 1, &event), 0);
}
END_TEST

START_TEST(test_events_of_the_kernel_can_be_heard)
{
        struct vswitch_error error = { 0 };
        struct pf_event event;
        int fd = -1, r;

        ck_assert_msg(pf_events_open(&fd, &error) == 0, "%s", error.text);
        do
                r = pf_events_read(fd, &event);
        while (r >= 0);
        ck_assert_int_eq(r, -EAGAIN);
        close(fd);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("PF in sysfs");
        TCase *test_case = tcase_create("sysfs");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_checked_fixture(test_case, set_up, tear_down);
        tcase_add_test(test_case, test_identify);
        tcase_add_test(test_case, test_list_vfs);
        tcase_add_test(test_case, test_vectors);
        tcase_add_test(test_case, test_driver_names);
        tcase_add_test(test_case, test_bind_to_vfio_writes_in_order);
        tcase_add_test(test_case, test_bind_that_is_done);
        tcase_add_test(test_case, test_unbind);
        tcase_add_test(test_case, test_bind_says_what_is_missing);
        tcase_add_test(test_case, test_vf_in_use_is_not_unbound);
        tcase_add_test(test_case, test_vf_use_in_two_parts);
        tcase_add_test(test_case, test_reset);
        tcase_add_test(test_case, test_first_vfs);
        tcase_add_test(test_case, test_another_number_goes_by_way_of_none);
        tcase_add_test(test_case, test_autoprobe);
        tcase_add_test(test_case, test_number_that_cannot_be);
        tcase_add_test(test_case, test_devices_on_top);
        tcase_add_test(test_case, test_events);
        tcase_add_test(test_case, test_events_of_the_kernel_can_be_heard);
        suite_add_tcase(suite, test_case);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
