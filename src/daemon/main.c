/* SPDX-License-Identifier: Apache-2.0 */

/* vswitchd: arguments, configuration, signals; the work is in the manager. */

#include "src/config/config.h"
#include "src/daemon/log.h"
#include "src/daemon/manager.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* As documented in docs/vswitchd.md. */
enum exit_code {
        EXIT_OK = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_CONFIGURATION = 3,
        EXIT_ALREADY_RUNNING = 4,
        EXIT_DENIED = 5,
};

struct arguments {
        const char *config_file;
        bool check_only;
        bool debug;
};

static void print_help(void)
{
        puts("vswitchd [OPTIONS]\n"
             "\n"
             "Moves the NICs of this host's guests between the software switch and SR-IOV VFs.\n"
             "\n"
             "  -c, --config FILE   configuration file (" VSWITCH_CONFIG_FILE ")\n"
             "  -t, --test          check the configuration file and exit\n"
             "  -d, --debug         log every event and action\n"
             "      --version       print the version and exit\n"
             "  -h, --help          print this and exit\n"
             "\n"
             "Exit codes: 0 stopped by a signal, 1 failed, 2 usage, 3 configuration, 4 another vswitchd runs,\n"
             "5 permission denied. Stopping it changes nothing for the guests: their traffic stays where it is.");
}

/* Returns -1 to go on, or an exit code. */
static int parse_arguments(int argc, char **argv, struct arguments *ret)
{
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' }, { "test", no_argument, NULL, 't' },
                { "debug", no_argument, NULL, 'd' },        { "version", no_argument, NULL, 'V' },
                { "help", no_argument, NULL, 'h' },         { 0 },
        };

        *ret = (struct arguments){ .config_file = VSWITCH_CONFIG_FILE };
        for (int option; (option = getopt_long(argc, argv, "c:tdh", options, NULL)) != -1;) {
                switch (option) {
                case 'c':
                        ret->config_file = optarg;
                        break;
                case 't':
                        ret->check_only = true;
                        break;
                case 'd':
                        ret->debug = true;
                        break;
                case 'V':
                        puts("vswitchd " VSWITCH_VERSION);
                        return EXIT_OK;
                case 'h':
                        print_help();
                        return EXIT_OK;
                default:
                        fputs("Try 'vswitchd --help'.\n", stderr);
                        return EXIT_USAGE;
                }
        }
        if (optind < argc) {
                fprintf(stderr, "vswitchd: it takes no arguments, only options: '%s'. Try 'vswitchd --help'.\n",
                        argv[optind]);
                return EXIT_USAGE;
        }
        return -1;
}

static int exit_code_of(int error_number)
{
        switch (error_number) {
        case -EADDRINUSE:
                return EXIT_ALREADY_RUNNING;
        case -EACCES:
        case -EPERM:
                return EXIT_DENIED;
        default:
                return EXIT_FAILED;
        }
}

static int add_signals(sd_event *loop)
{
        static const int signals[] = { SIGTERM, SIGINT };
        sigset_t set;
        int r;

        sigemptyset(&set);
        for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
                sigaddset(&set, signals[i]);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
                r = sd_event_add_signal(loop, NULL, signals[i], NULL, NULL); /* the default handler ends the loop */
                if (r < 0)
                        return r;
        }
        signal(SIGPIPE, SIG_IGN);
        return 0;
}

static int run(const struct config *config)
{
        const struct manager_options options = {
                .config = config,
                .softswitch_driver = &softswitch_bridge_driver,
                .pf_driver = &pf_kernel_driver,
                .runtime_directory = VSWITCH_RUNTIME_DIR,
                .state_directory = VSWITCH_STATE_DIR,
                .control_socket = CONTROL_SOCKET,
        };
        struct vswitch_error error = { 0 };
        struct manager *manager = NULL;
        sd_event *loop = NULL;
        int r = sd_event_default(&loop);

        if (r >= 0)
                r = add_signals(loop);
        if (r >= 0)
                r = manager_new(loop, &options, &manager, &error);
        if (r < 0) {
                fprintf(stderr, "vswitchd: %s\n", vswitch_error_text(&error, r));
                sd_event_unref(loop);
                return exit_code_of(r);
        }
        sd_event_set_watchdog(loop, true);
        sd_notify(0, "READY=1");
        log_notice(NULL, "vswitchd " VSWITCH_VERSION " started");
        r = sd_event_loop(loop);
        sd_notify(0, "STOPPING=1");
        log_notice(NULL, "vswitchd stops; the guests' traffic stays where it is");
        manager_free(manager);
        sd_event_unref(loop);
        return r < 0 ? EXIT_FAILED : EXIT_OK;
}

int main(int argc, char **argv)
{
        struct vswitch_error error = { 0 };
        struct config *config = NULL;
        struct arguments arguments;
        int code = parse_arguments(argc, argv, &arguments);
        int r;

        if (code >= 0)
                return code;
        log_open(arguments.debug);
        r = config_load(arguments.config_file, &config, &error);
        if (r < 0) {
                fprintf(stderr, "vswitchd: %s\n", vswitch_error_text(&error, r));
                return r == -EACCES ? EXIT_DENIED : EXIT_CONFIGURATION;
        }
        if (arguments.check_only) {
                printf("%s: good, %zu switch%s\n", arguments.config_file, config->switches_count,
                       config->switches_count == 1 ? "" : "es");
                config_free(config);
                return EXIT_OK;
        }
        if (geteuid() != 0) {
                fprintf(stderr, "vswitchd: it changes the host's network and must run as root\n");
                config_free(config);
                return EXIT_DENIED;
        }
        code = run(config);
        config_free(config);
        return code;
}
