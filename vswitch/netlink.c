/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The request socket.
 *
 * Theory of operation: rtnetlink works inside sendmsg(). When it returns, the answer to a request, or the first
 * part of a dump, is in the socket's queue, so waiting for the answer is no wait at all and everything here can
 * be called from an event loop. Each request gets a sequence number; answers to any other number are leftovers
 * of a request that was given up and are skipped.
 *
 * A request ends with NLMSG_ERROR (0 or -errno), a dump with NLMSG_DONE. Both may carry attributes, of which
 * NLMSGERR_ATTR_MSG is the kernel's own sentence ("VF in reset. Try again"): it is what the operator needs, so
 * it goes into the error as it is.
 *
 * libnl builds and parses messages. It does not receive them: its receive path turns errno into its own, coarser
 * numbers and throws the kernel's sentence away.
 */

#include "cleanup.h"
#include "netlink.h"

#include <errno.h>
#include <netlink/attr.h>
#include <netlink/socket.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* The largest message is a RTM_NEWLINK with VF information: attributes end at 64 KiB each, so this is several
 * times more than any kernel sends. Pages that are never written cost nothing. */
#define RECEIVE_BUFFER_SIZE ((size_t) 1024 * 1024)

#define SOCKET_BUFFER_SIZE (1024 * 1024)

/* How often a dump is repeated that changed while it was read. A quiet host needs one repetition; a host where
 * links appear in a burst gets the truth when the burst is over. */
#define DUMP_ATTEMPTS_MAX 16

/* The kernel answers before sendmsg() returns; this bound only keeps a kernel bug from stopping the daemon. */
#define RECEIVE_TIMEOUT_SECONDS 10

struct vswitch_netlink {
        struct nl_sock *socket;
        uint8_t *buffer;
};

struct exchange {
        uint32_t sequence;
        vswitch_netlink_handler handler;
        void *userdata;
        int handler_result;
        bool interrupted;
};

static int enable_option(int fd, int option)
{
        int one = 1;

        return setsockopt(fd, SOL_NETLINK, option, &one, sizeof(one)) < 0 ? -errno : 0;
}

static int set_up(struct vswitch_netlink *netlink, struct vswitch_error *error)
{
        struct timeval timeout = { .tv_sec = RECEIVE_TIMEOUT_SECONDS };
        int fd;
        int r;

        netlink->buffer = malloc(RECEIVE_BUFFER_SIZE);
        netlink->socket = nl_socket_alloc();
        if (!netlink->buffer || !netlink->socket)
                return -ENOMEM;

        errno = 0;
        if (nl_connect(netlink->socket, NETLINK_ROUTE) < 0) {
                r = errno > 0 ? -errno : -EIO;
                return vswitch_error_set(error, r, "cannot open a netlink socket: %s", vswitch_error_text(NULL, r));
        }
        (void) nl_socket_set_buffer_size(netlink->socket, SOCKET_BUFFER_SIZE, SOCKET_BUFFER_SIZE);

        /* EXT_ACK: the kernel's words. CAP_ACK: without a copy of the request. GET_STRICT_CHK: the kernel filters
         * dumps by what the request says instead of ignoring it. All are older than Linux 5.0. */
        fd = nl_socket_get_fd(netlink->socket);
        r = enable_option(fd, NETLINK_EXT_ACK);
        if (r == 0)
                r = enable_option(fd, NETLINK_CAP_ACK);
        if (r == 0)
                r = enable_option(fd, NETLINK_GET_STRICT_CHK);
        if (r < 0)
                return vswitch_error_set(error, r, "cannot set up a netlink socket: %s (Linux 5.0 or newer is needed)",
                                         vswitch_error_text(NULL, r));
        (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        return 0;
}

int vswitch_netlink_open(struct vswitch_netlink **ret, struct vswitch_error *error)
{
        struct vswitch_netlink *netlink = calloc(1, sizeof(*netlink));
        int r;

        if (!netlink)
                return -ENOMEM;
        r = set_up(netlink, error);
        if (r < 0) {
                vswitch_netlink_close(netlink);
                return r;
        }
        *ret = netlink;
        return 0;
}

void vswitch_netlink_close(struct vswitch_netlink *netlink)
{
        if (!netlink)
                return;
        nl_socket_free(netlink->socket);
        free(netlink->buffer);
        free(netlink);
}

void vswitch_netlink_closep(struct vswitch_netlink **netlink)
{
        vswitch_netlink_close(*netlink);
}

struct nl_msg *vswitch_netlink_message(int type, int flags, const void *family_header, size_t size)
{
        struct nl_msg *message = nlmsg_alloc_simple(type, flags);

        if (!message)
                return NULL;
        if (nlmsg_append(message, (void *) family_header, size, NLMSG_ALIGNTO) < 0) {
                nlmsg_free(message);
                return NULL;
        }
        return message;
}

static void message_freep(struct nl_msg **message)
{
        nlmsg_free(*message);
}

static int send_message(struct vswitch_netlink *netlink, struct nl_msg *message, uint32_t *ret_sequence)
{
        struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        struct nlmsghdr *header = nlmsg_hdr(message);

        header->nlmsg_seq = nl_socket_use_seq(netlink->socket);
        header->nlmsg_pid = nl_socket_get_local_port(netlink->socket);
        *ret_sequence = header->nlmsg_seq;

        while (sendto(nl_socket_get_fd(netlink->socket), header, header->nlmsg_len, 0, (struct sockaddr *) &kernel,
                      sizeof(kernel)) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

/* Reads one datagram. Its length, or -errno. Datagrams that do not come from the kernel have length 0. */
static ssize_t receive_datagram(struct vswitch_netlink *netlink)
{
        struct sockaddr_nl sender = { 0 };
        struct iovec iov = { .iov_base = netlink->buffer, .iov_len = RECEIVE_BUFFER_SIZE };
        struct msghdr msg = { .msg_name = &sender, .msg_namelen = sizeof(sender), .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        do
                n = recvmsg(nl_socket_get_fd(netlink->socket), &msg, 0);
        while (n < 0 && errno == EINTR);

        if (n < 0)
                return errno == EAGAIN ? -ETIMEDOUT : -errno;
        if (msg.msg_flags & MSG_TRUNC)
                return -EMSGSIZE;
        return sender.nl_pid == 0 ? n : 0;
}

/* Puts what the kernel says about `error_number` into `error`. `attributes` is where NLMSGERR_ATTR_* begin. */
static int fail_in_kernels_words(struct vswitch_error *error, int error_number, const struct nlmsghdr *header,
                                 size_t attributes)
{
        const char *sentence = NULL;

        if (header->nlmsg_flags & NLM_F_ACK_TLVS && header->nlmsg_len > attributes) {
                const struct nlattr *first = (const struct nlattr *) ((const uint8_t *) header + attributes);
                const struct nlattr *text = nla_find(first, (int) (header->nlmsg_len - attributes), NLMSGERR_ATTR_MSG);

                if (text && nla_len(text) > 0 && strnlen(nla_data(text), (size_t) nla_len(text)) > 0)
                        sentence = nla_data(text);
                if (sentence) {
                        int length = (int) strnlen(sentence, (size_t) nla_len(text));
                        if (sentence[length - 1] == '.')
                                length--;
                        return vswitch_error_set(error, error_number, "%.*s", length, sentence);
                }
        }
        return vswitch_error_set(error, error_number, "%s", vswitch_error_text(NULL, error_number));
}

/* The end of a request or of a dump. */
static int finish(const struct nlmsghdr *header, struct vswitch_error *error)
{
        size_t attributes;
        int result = 0;

        if (header->nlmsg_type == NLMSG_ERROR) {
                const struct nlmsgerr *answer = nlmsg_data(header);

                if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*answer)))
                        return vswitch_error_set(error, -EBADMSG, "the kernel sent half an answer");
                attributes = NLMSG_LENGTH(sizeof(*answer));
                if (!(header->nlmsg_flags & NLM_F_CAPPED))
                        attributes += NLMSG_ALIGN(answer->msg.nlmsg_len - NLMSG_HDRLEN);
                result = answer->error;
        } else {
                /* NLMSG_DONE of a dump that failed half way carries an errno. */
                attributes = NLMSG_LENGTH(sizeof(int));
                if (header->nlmsg_len >= attributes)
                        result = *(const int *) nlmsg_data(header);
        }

        return result < 0 ? fail_in_kernels_words(error, result, header, attributes) : 0;
}

static int receive_answers(struct vswitch_netlink *netlink, struct exchange *exchange, struct vswitch_error *error)
{
        for (;;) {
                const struct nlmsghdr *header = (const struct nlmsghdr *) netlink->buffer;
                ssize_t length = receive_datagram(netlink);
                int remaining = (int) length;

                if (length < 0)
                        return vswitch_error_set(error, (int) length, "no answer from the kernel: %s",
                                                 vswitch_error_text(NULL, (int) length));

                for (; nlmsg_ok(header, remaining); header = nlmsg_next((struct nlmsghdr *) header, &remaining)) {
                        if (header->nlmsg_seq != exchange->sequence || header->nlmsg_type == NLMSG_NOOP)
                                continue;
                        if (header->nlmsg_flags & NLM_F_DUMP_INTR)
                                exchange->interrupted = true;
                        if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE)
                                return finish(header, error);

                        /* After the handler has seen enough the rest is still read: the kernel allows no second
                         * dump on a socket whose first one is not finished. */
                        if (exchange->handler && exchange->handler_result == 0)
                                exchange->handler_result = exchange->handler(header, exchange->userdata);
                }
        }
}

int vswitch_netlink_transact(struct vswitch_netlink *netlink, struct nl_msg *message, struct vswitch_error *error)
{
        return vswitch_netlink_dump(netlink, message, 0, NULL, NULL, NULL, error);
}

int vswitch_netlink_dump(struct vswitch_netlink *netlink, struct nl_msg *message, int flags,
                         vswitch_netlink_handler handler, void (*restart)(void *userdata), void *userdata,
                         struct vswitch_error *error)
{
        _cleanup_(message_freep) struct nl_msg *owned = message;

        if (!owned)
                return -ENOMEM;
        nlmsg_hdr(owned)->nlmsg_flags |= (uint16_t) (NLM_F_REQUEST | NLM_F_ACK | flags);

        for (int attempt = 0; attempt < DUMP_ATTEMPTS_MAX; attempt++) {
                struct exchange exchange = { .handler = handler, .userdata = userdata };
                int r;

                if (attempt > 0 && restart)
                        restart(userdata);

                r = send_message(netlink, owned, &exchange.sequence);
                if (r < 0)
                        return vswitch_error_set(error, r, "cannot send to the kernel: %s",
                                                 vswitch_error_text(NULL, r));
                r = receive_answers(netlink, &exchange, error);
                if (r < 0)
                        return r;
                if (exchange.handler_result != 0)
                        return exchange.handler_result;
                if (!exchange.interrupted)
                        return 0;
        }

        return vswitch_error_set(error, -EAGAIN, "the kernel's table changed each of the %d times it was read",
                                 DUMP_ATTEMPTS_MAX);
}
