/* SPDX-License-Identifier: Apache-2.0 */

#include "src/daemon/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static bool log_to_journal;
static int log_max_priority = LOG_INFO;

void log_open(int debug)
{
        log_to_journal = getenv("JOURNAL_STREAM") != NULL;
        if (debug)
                log_max_priority = LOG_DEBUG;
}

void log_line(int priority, const char *subject, const char *format, ...)
{
        char text[1024];
        va_list arguments;

        if (priority > log_max_priority)
                return;
        va_start(arguments, format);
        vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);

        if (log_to_journal) {
                fprintf(stderr, "<%d>%s%s%s\n", priority, subject ? subject : "", subject ? ": " : "", text);
                return;
        }
        struct timespec now;
        struct tm parts;
        char stamp[32];

        clock_gettime(CLOCK_REALTIME, &now);
        localtime_r(&now.tv_sec, &parts);
        strftime(stamp, sizeof(stamp), "%H:%M:%S", &parts);
        fprintf(stderr, "%s.%03ld %s%s%s%s\n", stamp, now.tv_nsec / 1000000, priority <= LOG_WARNING ? "warning: " : "",
                subject ? subject : "", subject ? ": " : "", text);
}
