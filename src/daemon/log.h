/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The daemon's log: one line per event on standard error, with systemd's "<N>" priority prefix when the journal reads
 * it, and with a time stamp when a person does. */

#include <syslog.h>

/* Call once at start-up. Debug lines are dropped unless `debug`. */
void log_open(int debug);

void log_line(int priority, const char *subject, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* `subject`: "g1/ua-net0", "enp1s0", "libvirt", or NULL. */
#define log_debug(subject, ...)   log_line(LOG_DEBUG, subject, __VA_ARGS__)
#define log_info(subject, ...)    log_line(LOG_INFO, subject, __VA_ARGS__)
#define log_notice(subject, ...)  log_line(LOG_NOTICE, subject, __VA_ARGS__)
#define log_warning(subject, ...) log_line(LOG_WARNING, subject, __VA_ARGS__)
#define log_error(subject, ...)   log_line(LOG_ERR, subject, __VA_ARGS__)
