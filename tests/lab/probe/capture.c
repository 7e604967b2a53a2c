/* SPDX-License-Identifier: Apache-2.0 */

/*
 * capture RUN FILE: notes every probe frame of run RUN that passes any interface of this machine in FILE, until
 * SIGTERM or SIGINT. Says "ready" when it listens. Runs on the hosts of the lab, so it is static and light: the
 * kernel filters and stamps into a ring, there are ten wake-ups a second, and FILE (on a tmpfs) is written to once
 * per megabyte.
 *
 * All interfaces, because a guest's tap appears only when the guest arrives.
 */

#include "recorder.h"
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#define WAKE_UP_MS 100

static volatile sig_atomic_t stopping;

static void stop(int signal_number)
{
        stopping = signal_number;
}

static void catch_signals(void)
{
        const struct sigaction action = { .sa_handler = stop };

        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGHUP, &action, NULL); /* the ssh session that started it */
}

static int fail(const char *what, int r)
{
        fprintf(stderr, "capture: %s: %s\n", what, strerror(-r));
        return EXIT_FAILURE;
}

static void capture_until_stopped(struct ring *ring, struct recorder *recorder)
{
        while (!stopping) {
                poll(NULL, 0, WAKE_UP_MS);
                ring_drain(ring, recorder_capture, recorder);
        }
        /* What passed just now sits in a block that the kernel has yet to complete. */
        poll(NULL, 0, 2 * WAKE_UP_MS);
        ring_drain(ring, recorder_capture, recorder);
}

int main(int argc, char *argv[])
{
        struct filter filter = { 0 };
        struct ring ring;
        struct recorder recorder;
        unsigned dropped;
        int r;

        if (argc != 3) {
                fprintf(stderr, "usage: capture RUN FILE\n");
                return 2;
        }
        catch_signals();
        r = recorder_open(&recorder, argv[2], (uint32_t) strtoul(argv[1], NULL, 10));
        if (r < 0)
                return fail(argv[2], r);
        filter_probe_port(&filter);
        r = ring_open(&ring, &filter);
        if (r < 0)
                return fail("packet socket", r);
        puts("ready");
        fflush(stdout);

        capture_until_stopped(&ring, &recorder);

        dropped = ring_dropped(&ring);
        if (dropped)
                fprintf(stderr, "capture: %u frames not noted, the ring was full\n", dropped);
        r = recorder_close(&recorder);
        return r < 0 ? fail(argv[2], r) : EXIT_SUCCESS;
}
