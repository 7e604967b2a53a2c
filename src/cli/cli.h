/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The frame of the command line: what every verb gets and how a new one is added.
 *
 * A verb is a line in a table (main.c): its words, what it takes, a sentence for the help, and a function. The
 * function gets the rest of the command line and returns an exit code. What it has to show it makes as JSON; cli_show()
 * prints that, or hands it to the verb's renderer for people. So the text cannot say anything that the JSON does not.
 */

#include "src/control/client_json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Documented in docs/vswitch.md and in --help; programs depend on them. */
enum cli_exit {
        CLI_OK = 0,
        CLI_FAILED = 1,
        CLI_USAGE = 2,
        CLI_UNREACHABLE = 3, /* no daemon */
        CLI_NOT_FOUND = 4,
        CLI_DENIED = 5,
        CLI_TIMED_OUT = 6,
};

/* In the order of the table in options.c. */
enum cli_option {
        /* for every verb */
        CLI_HELP,
        CLI_VERSION,
        CLI_JSON,
        CLI_SOCKET,
        CLI_TIMEOUT,
        /* for those that say so */
        CLI_NO_WAIT,
        CLI_HOLD,
        CLI_CONNECT,
        CLI_PERSISTENT,
        CLI_UNDEFINE_SOURCE,
        CLI_MIGRATE_URI,
        CLI_BANDWIDTH,
        CLI_AUTO_CONVERGE,
        CLI_POST_COPY,
        CLI_UNSAFE,
        CLI_KEEP,
        CLI_ROOT,
        CLI_VFS,
        CLI_WIRE,
        CLI_DIRECTORY,
        CLI_FIX,
        CLI_LIVE,
        CLI_CONFIG,
        CLI_REPLACE,
        CLI_DRY_RUN,
        CLI_OPTION_COUNT,
};

#define CLI_BIT(option)    (1u << (option))
#define CLI_COMMON_OPTIONS (CLI_BIT(CLI_NO_WAIT) - 1)

struct cli;

struct cli_verb {
        const char *name;      /* "nic list" */
        const char *arguments; /* "[DOMAIN[/ALIAS]]" */
        const char *doc;       /* one sentence */
        const char *details;   /* more for its --help; may be NULL */
        int min, max;          /* how many arguments */
        unsigned options;      /* CLI_BIT()s beyond the common ones */
        bool privileged;       /* the daemon lets only root do it */
        int (*run)(struct cli *cli, int argc, char **argv);
        const char *program; /* instead of run: done by this program, with the same command line */
};

struct cli {
        const struct cli_verb *verbs;          /* ends with a nameless one */
        const struct cli_verb *verb;           /* the one that runs */
        const char *options[CLI_OPTION_COUNT]; /* the argument, "" for a flag, NULL when not given */
        const char *socket_path;
        uint64_t timeout_usec; /* for the end of a move; UINT64_MAX: for ever */
        uint64_t answer_usec;  /* for an answer of the daemon */
        struct client *client; /* after cli_connect() */
};

/* The whole program. */
int cli_main(int argc, char **argv, const struct cli_verb *verbs);

/* options.c */
struct cli_option_info {
        const char *name;
        char letter; /* or '\0' */
        const char *argument;
        const char *doc;
};
extern const struct cli_option_info cli_options[CLI_OPTION_COUNT];
/* Fills cli->options and moves the arguments to the front of argv: how many, or -1 after a complaint. */
int cli_parse_options(struct cli *cli, int argc, char **argv);

/* help.c */
void cli_print_help(const struct cli *cli);
void cli_print_verb_help(const struct cli_verb *verb);

/* output.c */
/* Prints "vswitch: SENTENCE" (and an error object with --json) and returns `code`. */
int cli_fail(struct cli *cli, enum cli_exit code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for what a function said; the code follows from `error_number`. */
int cli_fail_error(struct cli *cli, int error_number, const struct vswitch_error *error);
enum cli_exit cli_exit_of(int error_number);
const char *cli_exit_to_string(enum cli_exit code);
/* With --json prints `json`, else calls `render` with it. Returns CLI_OK. */
int cli_show(struct cli *cli, const json_t *json, void (*render)(const json_t *json));

/* Connects once; CLI_OK, or an exit code after having complained. */
int cli_connect(struct cli *cli);
/* All objects. */
int cli_objects(struct cli *cli, json_t **ret);

/* table.c */
#define TABLE_COLUMNS_MAX 16
struct table_column {
        const char *title;
        const char *key;                                               /* of a text; or */
        void (*text)(const json_t *object, char *buffer, size_t size); /* what to show instead */
};
/* One line for each object of the list; what is empty is shown as "-". */
void table_print(const json_t *list, const struct table_column *columns, size_t columns_count);
/* "key:  value" lines of one object, with the same columns. */
void table_print_object(const json_t *object, const struct table_column *columns, size_t columns_count);
const char *table_text(const json_t *object, const char *key); /* never NULL */
json_int_t table_number(const json_t *object, const char *key);
bool table_is_true(const json_t *object, const char *key);
/* Microseconds since 1970 as local time; "" for 0. */
void table_time(uint64_t usec, char *buffer, size_t size);

/* nics.c: which NICs the user means. */
/* Those of `root` that "DOMAIN" or "DOMAIN/ALIAS" names (name or UUID), or all when it is NULL. Never an empty list:
 * CLI_OK, or an exit code after having complained. */
int cli_find_nics(struct cli *cli, const json_t *root, const char *name, json_t **ret);
/* Exactly one. */
int cli_find_nic(struct cli *cli, const json_t *root, const char *name, const json_t **ret);

/* verb_nic.c */
/* "weight 50, VLAN 30 (priority 2), spoof check yes, at most 1000 Mbit/s": what is said, not what is usual. */
void nic_policy_text(const json_t *nic, char *buffer, size_t size);
/* A list that is short because nobody is heard looks like one that is complete: says so on standard error. */
void cli_warn_without_libvirt(const json_t *root);

/* move.c: waiting for the end of a move. */
enum move_result {
        MOVE_DONE,
        MOVE_FAILED, /* given up: the NIC says why */
        MOVE_TIMED_OUT,
        MOVE_NIC_GONE, /* the guest stopped, or left this host */
        MOVE_LOST,     /* the connection to the daemon */
};
struct move {
        const char *uuid, *alias;
        bool to_vf;
};
/* *ret_nic: as it was seen last, NULL when never. `error` for MOVE_LOST. */
enum move_result move_wait(struct client *client, const struct move *move, uint64_t deadline, json_t **ret_nic,
                           struct vswitch_error *error);
/* Why a move ended like this, and what to do, as a sentence. */
void move_explain(enum move_result result, const struct move *move, const json_t *nic, char *buffer, size_t size);

/* verb_switch.c: "usable", or the most important thing that is wrong with a switch. */
void switch_state_text(const json_t *view, char *buffer, size_t size);

/* The verbs. */
int verb_status(struct cli *cli, int argc, char **argv);
int verb_nic_list(struct cli *cli, int argc, char **argv);
int verb_nic_show(struct cli *cli, int argc, char **argv);
int verb_nic_why(struct cli *cli, int argc, char **argv);
int verb_nic_set(struct cli *cli, int argc, char **argv);
int verb_nic_release(struct cli *cli, int argc, char **argv);
int verb_nic_acquire(struct cli *cli, int argc, char **argv);
int verb_pf_list(struct cli *cli, int argc, char **argv);
int verb_pf_show(struct cli *cli, int argc, char **argv);
int verb_pf_set_vfs(struct cli *cli, int argc, char **argv);
int verb_switch_list(struct cli *cli, int argc, char **argv);
int verb_switch_show(struct cli *cli, int argc, char **argv);
int verb_host_check(struct cli *cli, int argc, char **argv);
int verb_monitor(struct cli *cli, int argc, char **argv);
int verb_migrate(struct cli *cli, int argc, char **argv);
