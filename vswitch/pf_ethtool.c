/* SPDX-License-Identifier: Apache-2.0 */

#include "pf_ethtool.h"

#include "cleanup.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* A text of fixed size, perhaps without its NUL; drivers write "N/A" for what they do not know. */
static void copy_text(char *ret, size_t size, const char *text, size_t text_size)
{
        int length = (int) strnlen(text, text_size);

        if (strncmp(text, "N/A", text_size) == 0)
                length = 0;
        snprintf(ret, size, "%.*s", length, text);
}

void pf_ethtool_identify(struct pf *pf)
{
        struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
        struct ifreq request = { .ifr_data = (char *) &info };
        _cleanup_(vswitch_close_fdp) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        pf->driver_version[0] = '\0';
        pf->firmware_version[0] = '\0';
        memcpy(request.ifr_name, pf->name, sizeof(request.ifr_name));
        if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request) < 0)
                return;
        copy_text(pf->driver_version, sizeof(pf->driver_version), info.version, sizeof(info.version));
        copy_text(pf->firmware_version, sizeof(pf->firmware_version), info.fw_version, sizeof(info.fw_version));
}
