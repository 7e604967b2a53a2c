/* SPDX-License-Identifier: Apache-2.0 */

/* Tables for people, from the JSON for programs. */

#include "src/cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define CELL_SIZE 256

const char *table_text(const json_t *object, const char *key)
{
        return json_string_value(json_object_get(object, key)) ?: "";
}

json_int_t table_number(const json_t *object, const char *key)
{
        return json_integer_value(json_object_get(object, key));
}

bool table_is_true(const json_t *object, const char *key)
{
        return json_is_true(json_object_get(object, key));
}

void table_time(uint64_t usec, char *buffer, size_t size)
{
        time_t seconds = (time_t) (usec / 1000000);
        struct tm parts;

        buffer[0] = '\0';
        if (usec > 0 && localtime_r(&seconds, &parts))
                strftime(buffer, size, "%Y-%m-%d %H:%M:%S", &parts);
}

static void cell(const json_t *object, const struct table_column *column, char buffer[static CELL_SIZE])
{
        buffer[0] = '\0';
        if (column->text)
                column->text(object, buffer, CELL_SIZE);
        else
                snprintf(buffer, CELL_SIZE, "%s", table_text(object, column->key));
        if (buffer[0] == '\0')
                strcpy(buffer, "-");
}

static size_t width_of(const json_t *list, const struct table_column *column)
{
        size_t width = strlen(column->title), index;
        char buffer[CELL_SIZE];
        const json_t *object;

        json_array_foreach (list, index, object) {
                size_t length;

                cell(object, column, buffer);
                length = strlen(buffer);
                if (length > width)
                        width = length;
        }
        return width;
}

void table_print(const json_t *list, const struct table_column *columns, size_t columns_count)
{
        size_t widths[TABLE_COLUMNS_MAX], index;
        char buffer[CELL_SIZE];
        const json_t *object;

        for (size_t i = 0; i < columns_count; i++) {
                widths[i] = i + 1 < columns_count ? width_of(list, &columns[i]) : 0;
                printf("%-*s%s", (int) widths[i], columns[i].title, i + 1 < columns_count ? "  " : "\n");
        }
        json_array_foreach (list, index, object) {
                for (size_t i = 0; i < columns_count; i++) {
                        cell(object, &columns[i], buffer);
                        printf("%-*s%s", (int) widths[i], buffer, i + 1 < columns_count ? "  " : "\n");
                }
        }
}

void table_print_object(const json_t *object, const struct table_column *columns, size_t columns_count)
{
        char buffer[CELL_SIZE];
        size_t width = 0;

        for (size_t i = 0; i < columns_count; i++)
                if (strlen(columns[i].title) > width)
                        width = strlen(columns[i].title);
        for (size_t i = 0; i < columns_count; i++) {
                cell(object, &columns[i], buffer);
                printf("%s:%*s %s\n", columns[i].title, (int) (width - strlen(columns[i].title)), "", buffer);
        }
}
