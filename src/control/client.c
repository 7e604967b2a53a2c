/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The client's end of the control channel.
 *
 * Theory of operation: the socket is connected here and then given to sd-bus, because the errno of connect() is what
 * tells an operator whether the daemon is not running or the socket not for him. sd-bus authenticates inside its
 * first call, with a bound of its own (90 s) that no one can set; so the authentication is driven here, against
 * our deadline, before anything is called.
 */

#include "src/control/client.h"
#include "src/control/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

struct client {
        sd_bus *bus;
        char *socket_path;
        const struct client_signals *signals;
        void *userdata;
};

uint64_t client_now(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static int connect_socket(const char *path, struct vswitch_error *error)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -1;

        if (strlen(path) >= sizeof(address.sun_path))
                return vswitch_error_set(error, -EINVAL, "the path of the control socket is too long: %s", path);
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return vswitch_error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
        if (connect(fd, (const struct sockaddr *) &address, sizeof(address)) >= 0)
                return TAKE_FD(fd);

        switch (errno) {
        case ENOENT:
        case ECONNREFUSED:
                return vswitch_error_set(error, -ECONNREFUSED,
                                         "no vswitchd answers on %s: start it (systemctl start vswitchd)", path);
        case EACCES:
        case EPERM:
                return vswitch_error_set(error, -EACCES,
                                         "no permission to open %s: it is for root and the members of its group", path);
        case EAGAIN:
                return vswitch_error_set(error, -ETIMEDOUT,
                                         "vswitchd does not take connections on %s: see journalctl -u vswitchd", path);
        default:
                return vswitch_error_set(error, -errno, "cannot connect to %s: %s", path, strerror(errno));
        }
}

static int lost(struct client *client, struct vswitch_error *error)
{
        return vswitch_error_set(error, -ECONNRESET, "vswitchd ended the connection on %s: see journalctl -u vswitchd",
                                 client->socket_path);
}

/* Until the authentication is through: only then the timeouts of calls hold. */
static int wait_until_ready(struct client *client, uint64_t deadline, struct vswitch_error *error)
{
        int r;

        for (;;) {
                uint64_t now = client_now();

                r = sd_bus_is_ready(client->bus);
                if (r > 0)
                        return 0;
                if (r >= 0)
                        r = sd_bus_process(client->bus, NULL);
                if (r < 0)
                        return lost(client, error);
                if (r > 0)
                        continue;
                if (now >= deadline)
                        return vswitch_error_set(error, -ETIMEDOUT,
                                                 "vswitchd does not answer on %s: see journalctl -u vswitchd",
                                                 client->socket_path);
                r = sd_bus_wait(client->bus, deadline - now);
                if (r < 0 && r != -EINTR)
                        return lost(client, error);
        }
}

int client_connect(const char *socket_path, uint64_t timeout_usec, struct client **ret, struct vswitch_error *error)
{
        uint64_t deadline = client_now() + timeout_usec;
        _cleanup_(client_freep) struct client *client = NULL;
        _cleanup_close_ int fd = connect_socket(socket_path, error);
        int r;

        if (fd < 0)
                return fd;
        client = calloc(1, sizeof(*client));
        if (!client)
                return vswitch_error_set(error, -ENOMEM, "out of memory");
        client->socket_path = strdup(socket_path);
        r = client->socket_path ? sd_bus_new(&client->bus) : -ENOMEM;
        if (r >= 0)
                r = sd_bus_set_fd(client->bus, fd, fd);
        if (r >= 0) {
                TAKE_FD(fd);
                r = sd_bus_negotiate_fds(client->bus, false);
        }
        if (r >= 0)
                r = sd_bus_start(client->bus);
        if (r < 0)
                return vswitch_error_set(error, r, "cannot talk to vswitchd on %s: %s", socket_path, strerror(-r));
        r = wait_until_ready(client, deadline, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(client);
        return 0;
}

void client_free(struct client *client)
{
        if (!client)
                return;
        sd_bus_close_unref(client->bus);
        free(client->socket_path);
        free(client);
}

void client_freep(struct client **client)
{
        client_free(*client);
}

static int explain(struct client *client, int result, const sd_bus_error *bus_error, struct vswitch_error *error)
{
        int number;

        if (!sd_bus_error_is_set(bus_error))
                return result == -ETIMEDOUT
                               ? vswitch_error_set(error, result,
                                                   "vswitchd does not answer on %s: see journalctl -u vswitchd",
                                                   client->socket_path)
                               : lost(client, error);
        number = protocol_error_number(bus_error->name);
        switch (number) {
        case -ECONNRESET:
                return lost(client, error);
        case -ETIMEDOUT:
                return vswitch_error_set(error, number, "vswitchd does not answer on %s: see journalctl -u vswitchd",
                                         client->socket_path);
        default:
                if (strcmp(bus_error->name, SD_BUS_ERROR_UNKNOWN_OBJECT) == 0)
                        return vswitch_error_set(error, number, "vswitchd has no such object (any more)");
                return vswitch_error_set(error, number, "%s", bus_error->message ?: bus_error->name);
        }
}

static int cannot_ask(struct vswitch_error *error, int r)
{
        return vswitch_error_set(error, r, "cannot ask vswitchd: %s", strerror(-r));
}

int client_new_call(struct client *client, const char *path, const char *interface, const char *member,
                    sd_bus_message **ret, struct vswitch_error *error)
{
        int r = sd_bus_message_new_method_call(client->bus, ret, CONTROL_SERVICE, path, interface, member);

        return r < 0 ? cannot_ask(error, r) : 0;
}

int client_send_call(struct client *client, sd_bus_message *message, uint64_t timeout_usec, sd_bus_message **ret,
                     struct vswitch_error *error)
{
        _cleanup_bus_error_ sd_bus_error bus_error = SD_BUS_ERROR_NULL;
        int r;

        /* To sd-bus 0 means "the default" (25 s); here it means that the time is over. */
        r = sd_bus_call(client->bus, message, timeout_usec ?: 1, &bus_error, ret);
        return r < 0 ? explain(client, r, &bus_error, error) : 0;
}

int client_call(struct client *client, const char *path, const char *interface, const char *member,
                uint64_t timeout_usec, sd_bus_message **ret, struct vswitch_error *error, const char *types, ...)
{
        _cleanup_message_ sd_bus_message *message = NULL;
        va_list arguments;
        int r;

        r = client_new_call(client, path, interface, member, &message, error);
        if (r < 0)
                return r;
        if (types) {
                va_start(arguments, types);
                r = sd_bus_message_appendv(message, types, arguments);
                va_end(arguments);
        }
        return r < 0 ? cannot_ask(error, r) : client_send_call(client, message, timeout_usec, ret, error);
}

int client_nic_acquire(struct client *client, const char *uuid, const char *alias, uint64_t timeout_usec,
                       struct vswitch_error *error)
{
        _cleanup_free_ char *path = NULL;
        int r = sd_bus_path_encode_many(&path, PROTOCOL_NIC_PATH, uuid, alias);

        if (r < 0)
                return r;
        return client_call(client, path, PROTOCOL_NIC, "Acquire", timeout_usec, NULL, error, NULL);
}

int client_nic_release(struct client *client, const char *uuid, const char *alias, enum control_hold hold,
                       uint64_t timeout_usec, struct vswitch_error *error)
{
        _cleanup_free_ char *path = NULL;
        int r = sd_bus_path_encode_many(&path, PROTOCOL_NIC_PATH, uuid, alias);

        if (r < 0)
                return r;
        return client_call(client, path, PROTOCOL_NIC, "Release", timeout_usec, NULL, error, "s",
                           protocol_hold_to_string(hold));
}

int client_pf_set_vfs(struct client *client, const char *pf, unsigned count, bool keep, uint64_t timeout_usec,
                      struct vswitch_error *error)
{
        _cleanup_free_ char *path = NULL;
        int r = sd_bus_path_encode_many(&path, PROTOCOL_PF_PATH, pf);

        if (r < 0)
                return r;
        return client_call(client, path, PROTOCOL_PF, "SetVfs", timeout_usec, NULL, error, "ub", count, (int) keep);
}

int client_pf_reserve(struct client *client, const char *pf, unsigned count, uint64_t timeout_usec,
                      char (*ret_addresses)[PF_ADDRESS_SIZE], struct vswitch_error *error)
{
        _cleanup_message_ sd_bus_message *reply = NULL;
        _cleanup_free_ char *path = NULL;
        const char *address;
        unsigned found = 0;
        int r = sd_bus_path_encode_many(&path, PROTOCOL_PF_PATH, pf);

        if (r < 0)
                return r;
        r = client_call(client, path, PROTOCOL_PF, "Reserve", timeout_usec, &reply, error, "u", count);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "s");
        while (r >= 0 && found < count && (r = sd_bus_message_read(reply, "s", &address)) > 0)
                snprintf(ret_addresses[found++], PF_ADDRESS_SIZE, "%s", address);
        if (r < 0 || found < count)
                return vswitch_error_set(error, r < 0 ? r : -EBADMSG, "vswitchd gave an answer that cannot be read");
        return 0;
}

int client_pf_reload(struct client *client, const char *pf, uint64_t timeout_usec, struct vswitch_error *error)
{
        _cleanup_free_ char *path = NULL;
        int r = sd_bus_path_encode_many(&path, PROTOCOL_PF_PATH, pf);

        if (r < 0)
                return r;
        return client_call(client, path, PROTOCOL_PF, "Reload", timeout_usec, NULL, error, NULL);
}

void client_hook_answer_clear(struct client_hook_answer *answer)
{
        free(answer->sentence);
        free(answer->xml);
        *answer = (struct client_hook_answer){};
}

int client_hook(struct client *client, const char *domain, const char *operation, const char *sub_operation,
                const char *extra, const char *xml, uint64_t timeout_usec, struct client_hook_answer *ret,
                struct vswitch_error *error)
{
        _cleanup_message_ sd_bus_message *reply = NULL;
        _cleanup_(client_hook_answer_clear) struct client_hook_answer answer = {};
        const char *sentence, *new_xml;
        int refuse, r;

        r = client_call(client, CONTROL_PATH, PROTOCOL_MANAGER, "Hook", timeout_usec, &reply, error, "sssss", domain,
                        operation, sub_operation, extra, xml);
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "bss", &refuse, &sentence, &new_xml);
        if (r < 0)
                return vswitch_error_set(error, r, "vswitchd gave an answer that cannot be read");
        answer.refuse = refuse;
        answer.sentence = strdup(sentence);
        if (!answer.sentence)
                return -ENOMEM;
        if (*new_xml) {
                answer.xml = strdup(new_xml);
                if (!answer.xml)
                        return -ENOMEM;
        }
        *ret = answer;
        answer = (struct client_hook_answer){}; // NOLINT(clang-analyzer-deadcode.DeadStores): its cleanup looks
        return 0;
}

static int on_event(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        struct client *client = userdata;
        const char *kind, *subject, *sentence;
        uint64_t usec;

        if (client->signals->event && sd_bus_message_read(message, "tsss", &usec, &kind, &subject, &sentence) >= 0)
                client->signals->event(usec, kind, subject, sentence, client->userdata);
        return 0;
}

static int on_changed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        struct client *client = userdata;
        _cleanup_free_ char *uuid = NULL, *alias = NULL;

        if (client->signals->nic_changed &&
            sd_bus_path_decode_many(sd_bus_message_get_path(message), PROTOCOL_NIC_PATH, &uuid, &alias) > 0)
                client->signals->nic_changed(uuid, alias, client->userdata);
        return 0;
}

int client_subscribe(struct client *client, const struct client_signals *signals, void *userdata,
                     struct vswitch_error *error)
{
        bool first = !client->signals;
        int r;

        client->signals = signals;
        client->userdata = userdata;
        if (!first)
                return 0;
        /* Between two peers a match is local: the server sends everything to everybody. */
        r = sd_bus_match_signal(client->bus, NULL, NULL, CONTROL_PATH, PROTOCOL_MANAGER, "Event", on_event, client);
        if (r >= 0)
                r = sd_bus_match_signal(client->bus, NULL, NULL, NULL, "org.freedesktop.DBus.Properties",
                                        "PropertiesChanged", on_changed, client);
        return r < 0 ? vswitch_error_set(error, r, "cannot listen to vswitchd: %s", strerror(-r)) : 0;
}

int client_wait(struct client *client, uint64_t timeout_usec, struct vswitch_error *error)
{
        bool delivered = false;
        int r;

        while ((r = sd_bus_process(client->bus, NULL)) > 0)
                delivered = true;
        if (r < 0 || sd_bus_is_open(client->bus) <= 0)
                return lost(client, error);
        if (delivered)
                return 1;

        r = sd_bus_wait(client->bus, timeout_usec);
        if (r == -EINTR)
                return 0;
        if (r < 0)
                return lost(client, error);
        while ((r = sd_bus_process(client->bus, NULL)) > 0)
                delivered = true;
        if (r < 0 || sd_bus_is_open(client->bus) <= 0)
                return lost(client, error);
        return delivered;
}

int client_fd(struct client *client)
{
        return sd_bus_get_fd(client->bus);
}
