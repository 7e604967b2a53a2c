/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libvirt's qemu hook: /etc/libvirt/hooks/qemu.d/vswitch DOMAIN OPERATION SUB-OPERATION EXTRA, the domain's XML on
 * standard input.
 *
 * Theory of operation: libvirt waits for this program, with the domain locked, and a non-zero exit has consequences:
 * it fails a start, and at `reconnect` it kills a running QEMU. So the program asks the daemon, within a bound,
 * and exits 0 whatever happens. One case differs: an incoming migration (`migrate begin`, run on the destination
 * before anything is copied) of a guest that comes with a VF, on a host that has none for it. libvirt accepts there
 * another PCI address but not a device less, so without a VF it must be refused, and what is printed here is what
 * the user of `virsh migrate` reads. Nobody to ask is the same case: the VF's address of the other host says
 * nothing here.
 *
 * For `migrate` and `restore` libvirt takes what is printed as the domain's new XML; nothing printed means unchanged,
 * and other scripts in qemu.d then still have their say.
 *
 * It never calls libvirt (that would deadlock), and it starts fast: no XML parser, no libvirt, no JSON.
 * Bounded is everything: standard input that never ends, a daemon that never answers, an output that nobody reads.
 */

#include "hooks/teamed_vf.h"
#include "src/control/cleanup.h"
#include "src/control/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#define MSEC UINT64_C(1000)

/* libvirt and its user wait for this long at the most; an incoming migration may have to wait for a VF to be
 * bound to vfio-pci, and the alternative to waiting is refusing; so may one that was saved with a VF. */
#define BOUND_USEC         (500 * MSEC)
#define BOUND_ARRIVAL_USEC (5000 * MSEC)
#define GRACE_USEC         (300 * MSEC) /* then the alarm ends it, wherever it hangs */
#define XML_SIZE_MAX       ((size_t) 8 << 20)

#define WAY_OUT                                                                                                        \
        "use `vswitch migrate` on the source host, or release the VF there first (vswitch nic release %s --hold)"

/* What the alarm says when nothing else could be said: "" means exit 0. */
static char last_words[512];

static void on_alarm(int signal_number)
{
        if (last_words[0] == '\0')
                _exit(0);
        if (write(STDERR_FILENO, last_words, strlen(last_words)) < 0)
                _exit(1);
        _exit(1);
}

static void set_alarm(uint64_t usec)
{
        struct itimerval timer = { .it_value = { .tv_sec = (time_t) (usec / 1000000),
                                                 .tv_usec = (suseconds_t) (usec % 1000000) } };

        signal(SIGPIPE, SIG_IGN);
        signal(SIGALRM, on_alarm);
        setitimer(ITIMER_REAL, &timer, NULL);
}

/* Standard input up to its end, the deadline, or a size that no domain has. *ret_complete: was it the end? */
static char *read_xml(uint64_t deadline, bool *ret_complete)
{
        size_t size = 64 << 10, length = 0;
        char *xml = malloc(size);

        *ret_complete = false;
        while (xml) {
                struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
                uint64_t now = client_now();
                ssize_t count;

                if (length + 1 == size) {
                        char *larger = size < XML_SIZE_MAX ? realloc(xml, 2 * size) : NULL;

                        if (!larger)
                                break;
                        xml = larger;
                        size *= 2;
                }
                if (now >= deadline || poll(&input, 1, (int) ((deadline - now) / 1000) + 1) <= 0)
                        break;
                count = read(STDIN_FILENO, xml + length, size - length - 1);
                if (count < 0 && (errno == EINTR || errno == EAGAIN))
                        continue;
                if (count <= 0) {
                        *ret_complete = true; /* closed counts as empty */
                        break;
                }
                length += (size_t) count;
        }
        if (xml)
                xml[length] = '\0';
        return xml;
}

static int print_xml(const char *xml)
{
        while (*xml) {
                ssize_t count = write(STDOUT_FILENO, xml, strlen(xml));

                if (count < 0 && errno != EINTR)
                        return -errno;
                if (count > 0)
                        xml += count;
        }
        return 0;
}

static int ask(char *argv[], const char *xml, uint64_t deadline, struct client_hook_answer *ret,
               struct vswitch_error *error)
{
        const char *socket_path = getenv("VSWITCH_SOCKET") ?: CONTROL_SOCKET;
        _cleanup_(client_freep) struct client *client = NULL;
        uint64_t now = client_now();
        int r;

        r = client_connect(socket_path, deadline > now ? deadline - now : 0, &client, error);
        if (r < 0)
                return r;
        now = client_now();
        return client_hook(client, argv[1], argv[2], argv[3], argv[4], xml, deadline > now ? deadline - now : 0, ret,
                           error);
}

int main(int argc, char *argv[])
{
        _cleanup_(client_hook_answer_clear) struct client_hook_answer answer = {};
        _cleanup_free_ char *xml = NULL;
        struct vswitch_error error = {};
        uint64_t begin = client_now(), bound;
        bool is_migration, is_filter, complete;
        int r;

        if (argc < 5) {
                fprintf(stderr, "This is libvirt's hook; libvirt calls it: %s DOMAIN OPERATION SUB-OPERATION EXTRA\n",
                        argc > 0 ? argv[0] : "vswitch");
                return 0;
        }
        is_migration = strcmp(argv[2], "migrate") == 0;
        is_filter = is_migration || strcmp(argv[2], "restore") == 0;
        bound = is_filter ? BOUND_ARRIVAL_USEC : BOUND_USEC;
        set_alarm(bound + GRACE_USEC);

        xml = read_xml(begin + bound / 2, &complete);
        if (is_migration && teamed_vf_present(xml ?: ""))
                snprintf(last_words, sizeof(last_words),
                         "vswitch: %s comes with a VF, and vswitchd on this host did not answer: " WAY_OUT "\n",
                         argv[1], argv[1]);

        if (is_migration && !complete)
                r = vswitch_error_set(&error, -ETIMEDOUT, "libvirt did not say what comes");
        else
                r = ask(argv, xml && complete ? xml : "", begin + bound, &answer, &error);
        if (r >= 0 && answer.refuse && is_migration) {
                fprintf(stderr, "%s\n", answer.sentence);
                return 1;
        }
        if (r >= 0 && answer.xml && is_filter)
                r = print_xml(answer.xml);
        if (r >= 0 || last_words[0] == '\0')
                return 0;
        fprintf(stderr, "vswitch: %s comes with a VF, and this host has nobody to give it one (%s): " WAY_OUT "\n",
                argv[1], vswitch_error_text(&error, r), argv[1]);
        return 1;
}
