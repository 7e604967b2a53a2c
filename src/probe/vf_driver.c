/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The kernel binds a VF by itself only where sriov_drivers_autoprobe lets it, and vswitch switches that off. So the
 * driver has to be named. Of cards that are not in the table, the modules' aliases tell (what modprobe goes by).
 */

#include "src/probe/vf_driver.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static const struct {
        const char *pf, *vf;
} drivers[] = {
        { "igb", "igbvf" },
        { "ixgbe", "ixgbevf" },
        { "i40e", "iavf" },
        { "ice", "iavf" },
        { "mlx5_core", "mlx5_core" },
        { "mlx4_core", "mlx4_core" },
        { "bnxt_en", "bnxt_en" },
        { "cxgb4", "cxgb4vf" },
        { "be2net", "be2net" },
        { "qede", "qede" },
        { "sfc", "sfc" },
        { "fm10k", "fm10k" },
        { "ionic", "ionic" },
        { "hns3", "hns3" },
        { "nfp", "nfp_netvf" },
        { "rvu_nicpf", "rvu_nicvf" },
};

static bool read_line(const char *path, char *line, size_t size)
{
        FILE *file = fopen(path, "re");
        bool has_line = file && fgets(line, (int) size, file);

        if (file)
                fclose(file);
        if (has_line)
                line[strcspn(line, "\n")] = '\0';
        return has_line;
}

/* "alias PATTERN MODULE"; the first that matches. */
static bool find_module(const char *modalias, char ret[static PF_DRIVER_NAME_SIZE])
{
        char path[PATH_MAX], line[512], pattern[256], module[PF_DRIVER_NAME_SIZE];
        bool found = false;
        struct utsname names;
        FILE *file;

        if (uname(&names) < 0)
                return false;
        snprintf(path, sizeof(path), "/lib/modules/%s/modules.alias", names.release);
        file = fopen(path, "re");
        while (file && !found && fgets(line, sizeof(line), file))
                found = sscanf(line, "alias %255s %31s", pattern, module) == 2 && !strstr(module, "vfio") &&
                        fnmatch(pattern, modalias, 0) == 0;
        if (file)
                fclose(file);
        if (found)
                strcpy(ret, module);
        return found;
}

int probe_vf_driver(const struct pf *pf, const char *vf_address, char ret[static PF_DRIVER_NAME_SIZE],
                    struct vswitch_error *error)
{
        char path[PATH_MAX], modalias[256];

        for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
                if (strcmp(drivers[i].pf, pf->kernel_driver) == 0) {
                        snprintf(ret, PF_DRIVER_NAME_SIZE, "%s", drivers[i].vf);
                        return 0;
                }
        snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/modalias", pf_kernel_sysfs_root, vf_address);
        if (read_line(path, modalias, sizeof(modalias)) && find_module(modalias, ret))
                return 0;
        return vswitch_error_set(error, -ENOENT,
                                 "no network driver is known for the VFs of %s (driver %s): install the module that "
                                 "drives them",
                                 pf->name, pf->kernel_driver);
}
