/* SPDX-License-Identifier: Apache-2.0 */

/* The table of cards: who is which row, what it computes, and that docs/cards.md says the same. */

#include "vswitch/pf_card.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 16
#define LINE_SIZE   1024

static struct pf card(const char *driver, uint16_t device, bool emulated)
{
        struct pf pf = { .device = device, .is_emulated = emulated };

        snprintf(pf.kernel_driver, sizeof(pf.kernel_driver), "%s", driver);
        return pf;
}

static const char *name_of(const char *driver, bool emulated)
{
        struct pf pf = card(driver, 0, emulated);

        return pf_card_find(&pf)->name;
}

static unsigned capacity(const char *driver, uint16_t device, unsigned vf_count)
{
        struct pf pf = card(driver, device, false);

        return pf_card_filter_capacity(&pf, vf_count);
}

START_TEST(test_find)
{
        ck_assert_str_eq(name_of("igb", true), "igb in QEMU");
        ck_assert_str_eq(name_of("igb", false), "igb");
        ck_assert_str_eq(name_of("mlx5_core", false), "mlx5_core");
        ck_assert_str_eq(name_of("e1000e", true), "any other");
        ck_assert_str_eq(name_of("nosuch", false), "any other");
        ck_assert_str_eq(name_of("", false), "any other");
}
END_TEST

START_TEST(test_capacity)
{
        ck_assert_uint_eq(capacity("igb", 0x10c9, 0), 23);
        ck_assert_uint_eq(capacity("igb", 0x10c9, 7), 16);
        ck_assert_uint_eq(capacity("igb", 0x1521, 7), 24);
        ck_assert_uint_eq(capacity("igb", 0x1533, 0), 15);
        ck_assert_uint_eq(capacity("igb", 0x150e, 0), 23);
        ck_assert_uint_eq(capacity("igb", 0x10c9, 24), 0);
        ck_assert_uint_eq(capacity("igb", 0xffff, 0), 0);
        ck_assert_uint_eq(capacity("ixgbe", 0x10fb, 63), 64);
        ck_assert_uint_eq(capacity("bnxt_en", 0x16d7, 8), 3);
        ck_assert_uint_eq(capacity("ice", 0x1592, 8), 0);
}
END_TEST

/* ---- the document ---- */

/* Cuts "| a | b |" into its cells, without the blanks around them. */
static size_t cut(char *line, char *cells[COLUMNS_MAX])
{
        size_t count = 0;

        for (char *cell = line + 1, *end; count < COLUMNS_MAX && (end = strchr(cell, '|')); cell = end + 1) {
                *end = '\0';
                cell += strspn(cell, " ");
                for (char *last = end - 1; last >= cell && *last == ' '; last--)
                        *last = '\0';
                cells[count++] = cell;
        }
        return count;
}

/* The row of this card below the heading; asserts that there is one and that every cell but the first has its mark. */
static void find_row(const char *heading, const char *name, char line[LINE_SIZE], char *cells[COLUMNS_MAX],
                     size_t expected)
{
        char start[64];
        FILE *file = fopen(VSWITCH_TEST_DOCUMENT, "re");
        bool below = false, found = false;

        ck_assert_ptr_nonnull(file);
        snprintf(start, sizeof(start), "| %s |", name);
        while (!found && fgets(line, LINE_SIZE, file)) {
                if (strncmp(line, "## ", 3) == 0)
                        below = strncmp(line + 3, heading, strlen(heading)) == 0;
                found = below && strncmp(line, start, strlen(start)) == 0;
        }
        fclose(file);
        ck_assert_msg(found, "docs/cards.md has no row for \"%s\" below \"%s\"", name, heading);
        ck_assert_uint_eq(cut(line, cells), expected);
        for (size_t i = 1; i < expected; i++)
                ck_assert_msg(strcmp(cells[i], "-") == 0 || strchr("PSCN", cells[i][strlen(cells[i]) - 1]) != NULL,
                              "%s: \"%s\" does not say how it is known", name, cells[i]);
}

static bool starts_with(const char *text, const char *start)
{
        return strncmp(text, start, strlen(start)) == 0;
}

START_TEST(test_document_has_every_card)
{
        static const struct {
                enum pf_vf_attribute attribute;
                size_t column;
        } columns[] = {
                { PF_VF_MAC, 1 },        { PF_VF_VLAN, 2 }, { PF_VF_SPOOF_CHECK, 4 }, { PF_VF_TRUST, 5 },
                { PF_VF_LINK_STATE, 6 }, { PF_VF_RATE, 7 }, { PF_VF_QUERY_RSS, 9 },
        };
        char line[LINE_SIZE];
        char *cells[COLUMNS_MAX];
        size_t index = 0;

        for (const struct pf_card *row; (row = pf_card_at(index)); index++) {
                find_row("What can be set", row->name, line, cells, 11);
                for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
                        const char *cell = cells[columns[i].column];
                        char attribute[32];

                        pf_attribute_names(columns[i].attribute, attribute, sizeof(attribute));
                        ck_assert_msg(starts_with(cell, "no") == !!(row->cannot_set & columns[i].attribute),
                                      "%s, %s: \"%s\"", row->name, attribute, cell);
                        ck_assert_msg(!!strstr(cell, "resets") == !!(row->resets_vf & columns[i].attribute),
                                      "%s, %s: \"%s\"", row->name, attribute, cell);
                }
                ck_assert_msg(starts_with(cells[3], "yes") == row->vlan_8021ad, "%s: %s", row->name, cells[3]);
                ck_assert_msg(starts_with(cells[8], "yes") == row->min_rate, "%s: %s", row->name, cells[8]);
                ck_assert_msg(starts_with(cells[10], "yes") == row->statistics, "%s: %s", row->name, cells[10]);

                find_row("What the embedded switch does", row->name, line, cells, 5);
                ck_assert_int_eq(starts_with(cells[1], "goes to both"), row->steering == PF_CARD_STEERING_BOTH);
                ck_assert_int_eq(!!strstr(cells[1], "gets back"), row->reflects);
        }
        ck_assert_uint_eq(index, 9);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("cards");
        TCase *test_case = tcase_create("table");
        SRunner *runner = srunner_create(suite);
        int failed;

        tcase_add_test(test_case, test_find);
        tcase_add_test(test_case, test_capacity);
        tcase_add_test(test_case, test_document_has_every_card);
        suite_add_tcase(suite, test_case);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
