/* SPDX-License-Identifier: Apache-2.0 */

/* The parts of the probe that need no card: what counts mean, frames, notes, the file with the result. */

#include "src/probe/frame.h"
#include "src/probe/notes.h"
#include "src/probe/result.h"
#include "src/probe/verdict.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[64];

static void make_directory(void)
{
        strcpy(directory, "/tmp/vswitch-probe-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void remove_directory(void)
{
        char command[128];

        snprintf(command, sizeof(command), "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}

/*
 * Counts
 */

START_TEST(test_counts)
{
        static const struct {
                struct probe_count count;
                enum probe_verdict verdict;
        } cases[] = {
                { { 0, 0, 0 }, PROBE_NOT_TRIED }, { { 10, 0, 0 }, PROBE_NO },      { { 10, 10, 0 }, PROBE_YES },
                { { 10, 8, 0 }, PROBE_YES },      { { 10, 7, 3 }, PROBE_UNCLEAR }, { { 10, 1, 0 }, PROBE_UNCLEAR },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                ck_assert_int_eq(probe_verdict_of(&cases[i].count), cases[i].verdict);
}
END_TEST

START_TEST(test_every_finding_has_words)
{
        for (int i = 0; i < PROBE_FINDING_COUNT; i++) {
                const struct probe_finding_text *text = probe_finding_text((enum probe_finding) i);

                ck_assert_msg(text->name && text->question, "finding %d", i);
                for (int j = 0; j < i; j++)
                        ck_assert_str_ne(text->name, probe_finding_text((enum probe_finding) j)->name);
        }
}
END_TEST

/*
 * Conclusions
 */

/* A card that does what a class says, in the eyes of every sender. */
static void fill(struct probe_answer *answers, enum failover_steering steering)
{
        bool to_vf = steering != FAILOVER_STEERING_PF_WINS;
        bool to_pf = steering == FAILOVER_STEERING_BOTH || steering == FAILOVER_STEERING_PF_WINS;
        bool undriven_to_pf = steering != FAILOVER_STEERING_VF_WINS;

        memset(answers, 0, PROBE_FINDING_COUNT * sizeof(*answers));
        answers[PROBE_VF_TO_VF].verdict = PROBE_YES;
        answers[PROBE_PF_TO_VF].verdict = PROBE_YES;
        answers[PROBE_VF_TO_PF_UNLISTED].verdict = PROBE_NO;
        answers[PROBE_VF_TO_PF_LISTED].verdict = PROBE_YES;
        answers[PROBE_BOTH_VF_TO_VF].verdict = to_vf ? PROBE_YES : PROBE_NO;
        answers[PROBE_BOTH_VF_TO_PF].verdict = to_pf ? PROBE_YES : PROBE_NO;
        answers[PROBE_BOTH_PF_TO_VF].verdict = to_vf ? PROBE_YES : PROBE_NO;
        answers[PROBE_BOTH_PF_TO_PF].verdict = PROBE_NO;
        answers[PROBE_BOTH_VF_DOWN].verdict = undriven_to_pf ? PROBE_YES : PROBE_NO;
        answers[PROBE_BOTH_VF_UNBOUND].verdict = undriven_to_pf ? PROBE_YES : PROBE_NO;
}

static enum failover_steering steering_of(const struct probe_answer *answers)
{
        struct probe_conclusion conclusion;

        probe_conclude(answers, &conclusion);
        return conclusion.steering;
}

START_TEST(test_steering_classes)
{
        struct probe_answer answers[PROBE_FINDING_COUNT];

        fill(answers, (enum failover_steering) _i);
        ck_assert_int_eq(steering_of(answers), _i);

        /* The wire says the same, or it is unclear. */
        answers[PROBE_BOTH_WIRE_TO_VF] = answers[PROBE_BOTH_VF_TO_VF];
        answers[PROBE_BOTH_WIRE_TO_PF] = answers[PROBE_BOTH_VF_TO_PF];
        ck_assert_int_eq(steering_of(answers), _i);
        answers[PROBE_BOTH_WIRE_TO_PF].verdict =
                answers[PROBE_BOTH_WIRE_TO_PF].verdict == PROBE_YES ? PROBE_NO : PROBE_YES;
        ck_assert_int_eq(steering_of(answers), FAILOVER_STEERING_UNKNOWN);
}
END_TEST

/* Whichever of the answers that the class rests on is missing or unclear, the class is unknown, or the same. */
START_TEST(test_steering_is_unknown_in_doubt)
{
        static const enum probe_finding needed[] = { PROBE_VF_TO_VF, PROBE_VF_TO_PF_LISTED, PROBE_BOTH_VF_TO_VF,
                                                     PROBE_BOTH_VF_TO_PF };
        static const enum probe_verdict doubts[] = { PROBE_NOT_TRIED, PROBE_UNCLEAR };
        struct probe_answer answers[PROBE_FINDING_COUNT];

        for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
                for (size_t j = 0; j < 2; j++) {
                        fill(answers, (enum failover_steering) _i);
                        answers[needed[i]].verdict = doubts[j];
                        ck_assert_msg(steering_of(answers) == FAILOVER_STEERING_UNKNOWN, "%s is %s",
                                      probe_finding_text(needed[i])->name, probe_verdict_to_string(doubts[j]));
                }
        /* Nobody's answer alone makes another class of it. */
        for (int finding = 0; finding < PROBE_FINDING_COUNT; finding++)
                for (size_t j = 0; j < 2; j++) {
                        enum failover_steering steering;

                        fill(answers, (enum failover_steering) _i);
                        answers[finding].verdict = doubts[j];
                        steering = steering_of(answers);
                        ck_assert_msg(steering == FAILOVER_STEERING_UNKNOWN || (int) steering == _i, "%s makes %s",
                                      probe_finding_text((enum probe_finding) finding)->name,
                                      failover_steering_to_string(steering));
                }
}
END_TEST

/* Both get the frames only while the VF has a driver: then nothing delivers while a guest reboots. */
START_TEST(test_both_must_hold_without_a_driver)
{
        struct probe_answer answers[PROBE_FINDING_COUNT];

        fill(answers, FAILOVER_STEERING_BOTH);
        answers[PROBE_BOTH_VF_UNBOUND].verdict = PROBE_NO;
        ck_assert_int_eq(steering_of(answers), FAILOVER_STEERING_UNKNOWN);
        /* And the host must reach the VF. */
        fill(answers, FAILOVER_STEERING_BOTH);
        answers[PROBE_BOTH_PF_TO_VF].verdict = PROBE_NO;
        ck_assert_int_eq(steering_of(answers), FAILOVER_STEERING_UNKNOWN);
}
END_TEST

START_TEST(test_other_conclusions)
{
        struct probe_answer answers[PROBE_FINDING_COUNT] = { 0 };
        struct probe_conclusion conclusion;

        probe_conclude(answers, &conclusion);
        ck_assert_int_eq(conclusion.steering, FAILOVER_STEERING_UNKNOWN);
        ck_assert(!conclusion.reflects);
        ck_assert_int_eq(conclusion.filter_live, PROBE_LIVE_UNKNOWN);
        ck_assert_int_eq(conclusion.isolates_vlans, PROBE_NOT_TRIED);
        ck_assert_int_eq(conclusion.spoof_check_drops, PROBE_NOT_TRIED);

        answers[PROBE_BOTH_PF_TO_PF].verdict = PROBE_YES;
        answers[PROBE_FILTER_AT_ONCE].verdict = PROBE_NO;
        answers[PROBE_FILTER_AFTER_RESTART].verdict = PROBE_YES;
        answers[PROBE_VF_VLAN_TO_OTHER].verdict = PROBE_NO;
        answers[PROBE_VF_VLAN_TO_SAME].verdict = PROBE_YES;
        answers[PROBE_SPOOF_OWN].verdict = PROBE_YES;
        answers[PROBE_SPOOF_CHECKED].verdict = PROBE_NO;
        answers[PROBE_SPOOF_UNCHECKED].verdict = PROBE_YES;
        probe_conclude(answers, &conclusion);
        ck_assert(conclusion.reflects);
        ck_assert_int_eq(conclusion.filter_live, PROBE_LIVE_AFTER_RESTART);
        ck_assert_int_eq(conclusion.isolates_vlans, PROBE_YES);
        ck_assert_int_eq(conclusion.spoof_check_drops, PROBE_YES);

        /* What does not come anyway proves nothing. */
        answers[PROBE_VF_VLAN_TO_SAME].verdict = PROBE_NO;
        answers[PROBE_SPOOF_UNCHECKED].verdict = PROBE_NO;
        probe_conclude(answers, &conclusion);
        ck_assert_int_eq(conclusion.isolates_vlans, PROBE_UNCLEAR);
        ck_assert_int_eq(conclusion.spoof_check_drops, PROBE_UNCLEAR);

        answers[PROBE_SPOOF_UNCHECKED].verdict = PROBE_YES;
        answers[PROBE_SPOOF_CHECKED].verdict = PROBE_YES;
        probe_conclude(answers, &conclusion);
        ck_assert_int_eq(conclusion.spoof_check_drops, PROBE_NO);
}
END_TEST

/*
 * Capacity
 */

/* Looks for the capacity of a card that has room for `room` and then does as `overflow` says. */
static struct probe_capacity look(unsigned limit, unsigned room, enum probe_overflow overflow)
{
        struct probe_capacity capacity;
        unsigned largest = 0;

        probe_capacity_begin(&capacity, limit);
        for (int steps = 0; !capacity.done; steps++) {
                bool full = capacity.count > room;
                bool refused = full && overflow == PROBE_OVERFLOW_REFUSED;

                ck_assert_int_lt(steps, 100);
                largest = capacity.count > largest ? capacity.count : largest;
                if (refused)
                        capacity.count = room;
                probe_capacity_next(&capacity, refused,
                                    full && overflow == PROBE_OVERFLOW_DROPPED ? PROBE_NO : PROBE_YES,
                                    full && overflow == PROBE_OVERFLOW_PROMISCUOUS ? PROBE_YES : PROBE_NO);
        }
        /* A full card is never overfilled by much. */
        ck_assert_uint_le(largest, room + PROBE_CAPACITY_STEP);
        return capacity;
}

START_TEST(test_capacity)
{
        for (unsigned overflow = PROBE_OVERFLOW_REFUSED; overflow <= PROBE_OVERFLOW_PROMISCUOUS; overflow++)
                for (unsigned room = 0; room < 64; room++) {
                        struct probe_capacity capacity = look(64, room, (enum probe_overflow) overflow);

                        ck_assert_uint_eq(capacity.count, room);
                        ck_assert_uint_eq(capacity.overflow, overflow);
                }
}
END_TEST

START_TEST(test_capacity_beyond_the_limit)
{
        struct probe_capacity capacity = look(60, 1000, PROBE_OVERFLOW_DROPPED);

        ck_assert_uint_eq(capacity.count, 60);
        ck_assert_int_eq(capacity.overflow, PROBE_OVERFLOW_NOT_REACHED);
        ck_assert_uint_eq(look(0, 5, PROBE_OVERFLOW_DROPPED).count, 0);
}
END_TEST

/*
 * Frames
 */

static void assert_round_trip(struct probe_frame frame, uint16_t ethertype)
{
        uint8_t buffer[PROBE_FRAME_MAX];
        size_t size = probe_frame_build(&frame, buffer);
        struct probe_frame read;

        ck_assert_uint_ge(size, 60);
        ck_assert_uint_eq(buffer[12] << 8 | buffer[13], ethertype);
        ck_assert_int_eq(probe_frame_parse(buffer, size, &read), 0);
        ck_assert(vswitch_mac_equal(&read.destination, &frame.destination));
        ck_assert(vswitch_mac_equal(&read.source, &frame.source));
        ck_assert_uint_eq(read.run, frame.run);
        ck_assert_uint_eq(read.flight, frame.flight);
        ck_assert_uint_eq(read.sequence, frame.sequence);
        ck_assert_int_eq(read.is_neighbour_solicitation, frame.is_neighbour_solicitation);

        ck_assert_int_eq(probe_frame_parse(buffer, 59, &read), -EBADMSG);
        buffer[13] ^= 1;
        ck_assert_int_eq(probe_frame_parse(buffer, size, &read), -EBADMSG);
}

START_TEST(test_frames)
{
        struct probe_frame frame = {
                .destination = probe_mac(0xfffe, 1),
                .source = probe_mac(0xfffe, 5),
                .run = 0xfffe,
                .flight = 7,
                .sequence = 255,
        };
        uint8_t buffer[PROBE_FRAME_MAX];

        assert_round_trip(frame, PROBE_ETHERTYPE);
        frame.is_neighbour_solicitation = true;
        frame.destination = probe_neighbour_mac(0xfffe, 1);
        assert_round_trip(frame, 0x86dd);

        /* The tag stands before the type. */
        frame.vlan = 4093;
        ck_assert_uint_le(probe_frame_build(&frame, buffer), sizeof(buffer));
        ck_assert_int_eq(memcmp(buffer + 12, "\x81\x00\x0f\xfd\x86\xdd", 6), 0);
}
END_TEST

/* As RFC 4861 and RFC 4291 have it, so that a card that looks deeper sees what a host sends. */
START_TEST(test_neighbour_solicitation)
{
        struct probe_frame frame = {
                .destination = probe_neighbour_mac(0x1234, 0),
                .source = probe_mac(0x1234, 1),
                .is_neighbour_solicitation = true,
        };
        uint8_t f[PROBE_FRAME_MAX];
        size_t size = probe_frame_build(&frame, f);
        uint32_t sum = 0;

        ck_assert_int_eq(memcmp(f, "\x33\x33\xff\x70\x12\x34", 6), 0);
        ck_assert_uint_eq(f[14 + 6], 58);  /* next header */
        ck_assert_uint_eq(f[14 + 7], 255); /* hop limit */
        ck_assert_uint_eq((size_t) (f[18] << 8 | f[19]), size - 14 - 40);
        ck_assert_int_eq(memcmp(f + 14 + 24, "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff\x70\x12\x34", 16), 0);
        ck_assert_uint_eq(f[54], 135);
        ck_assert_int_eq(memcmp(f + 54 + 8 + 13, f + 14 + 24 + 13, 3), 0); /* the target's last bytes */

        /* The sum over pseudo header and body, checksum included. */
        for (size_t i = 14 + 8; i < size; i += 2)
                sum += (uint32_t) (f[i] << 8 | f[i + 1]);
        sum += (uint32_t) (size - 54) + 58;
        while (sum >> 16)
                sum = (sum & 0xffff) + (sum >> 16);
        ck_assert_uint_eq(sum, 0xffff);
}
END_TEST

START_TEST(test_macs)
{
        struct vswitch_mac a = probe_mac(0xffff, 0), b = probe_mac(0xffff, 1), group = probe_multicast_mac(0xffff, 0);
        struct vswitch_mac other;

        ck_assert(!vswitch_mac_equal(&a, &b));
        ck_assert(probe_mac_is_ours(&a) && probe_mac_is_ours(&b));
        ck_assert(!vswitch_mac_is_multicast(&a));
        ck_assert_uint_eq(a.bytes[0] & 2, 2); /* locally administered */
        ck_assert(vswitch_mac_is_multicast(&group));
        ck_assert_int_eq(vswitch_mac_parse("52:54:00:12:34:56", &other), 0);
        ck_assert(!probe_mac_is_ours(&other));
}
END_TEST

/*
 * Notes
 */

static struct probe_noted_vf noted_vf(void)
{
        struct probe_noted_vf vf = {
                .index = 3,
                .address = "0000:01:10.6",
                .driver = "igbvf",
                .netdev = "enp1s0v3",
                .attributes = {
                        .valid = PF_VF_MAC | PF_VF_VLAN | PF_VF_SPOOF_CHECK,
                        .vlan = 12,
                        .qos = 3,
                        .vlan_protocol = 0x8100,
                        .spoof_check = true,
                },
        };

        ck_assert_int_eq(vswitch_mac_parse("52:54:00:00:00:01", &vf.netdev_mac), 0);
        ck_assert_int_eq(vswitch_mac_parse("52:54:00:00:00:02", &vf.attributes.mac), 0);
        return vf;
}

static char notes_path[128];

static struct probe_notes open_notes(int expected, struct vswitch_error *error)
{
        struct probe_notes notes;

        snprintf(notes_path, sizeof(notes_path), "%s/probe-eth0.json", directory);
        ck_assert_int_eq(probe_notes_open(directory, "eth0", &notes, error), expected);
        return notes;
}

START_TEST(test_notes_outlive_a_kill)
{
        struct probe_noted_vf vf = noted_vf();
        struct vswitch_error error = { 0 };
        struct probe_notes notes;
        pid_t child = fork();
        int status;

        if (child == 0) {
                notes = open_notes(0, NULL);
                notes.vfs[notes.vfs_count++] = vf;
                ck_assert_int_eq(probe_notes_write(&notes, NULL), 0);
                raise(SIGKILL);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status));

        notes = open_notes(0, &error);
        ck_assert_uint_eq(notes.vfs_count, 1);
        ck_assert_uint_eq(notes.vfs[0].index, vf.index);
        ck_assert_str_eq(notes.vfs[0].address, vf.address);
        ck_assert_str_eq(notes.vfs[0].driver, vf.driver);
        ck_assert_str_eq(notes.vfs[0].netdev, vf.netdev);
        ck_assert(vswitch_mac_equal(&notes.vfs[0].netdev_mac, &vf.netdev_mac));
        ck_assert(vswitch_mac_equal(&notes.vfs[0].attributes.mac, &vf.attributes.mac));
        ck_assert_uint_eq(notes.vfs[0].attributes.valid, vf.attributes.valid);
        ck_assert_uint_eq(notes.vfs[0].attributes.vlan, 12);
        ck_assert_uint_eq(notes.vfs[0].attributes.qos, 3);
        ck_assert_uint_eq(notes.vfs[0].attributes.vlan_protocol, 0x8100);
        ck_assert(notes.vfs[0].attributes.spoof_check);

        /* One at a time. */
        open_notes(-EBUSY, &error);
        ck_assert_ptr_nonnull(strstr(error.text, "another probe"));

        probe_notes_close(&notes, false);
        notes = open_notes(0, &error);
        ck_assert_uint_eq(notes.vfs_count, 1);
        probe_notes_close(&notes, true);
        ck_assert_int_eq(access(notes_path, F_OK), -1);
        notes = open_notes(0, &error);
        ck_assert_uint_eq(notes.vfs_count, 0);
        probe_notes_close(&notes, true);
}
END_TEST

START_TEST(test_notes_that_cannot_be_understood)
{
        struct vswitch_error error = { 0 };
        FILE *file;

        snprintf(notes_path, sizeof(notes_path), "%s/probe-eth0.json", directory);
        file = fopen(notes_path, "w");
        fputs("{ \"version\": 1, \"vfs\": [ { \"index\": 0 } ] }", file);
        fclose(file);
        open_notes(-EBADMSG, &error);
        ck_assert_ptr_nonnull(strstr(error.text, notes_path));
        ck_assert_int_eq(access(notes_path, F_OK), 0);
}
END_TEST

/*
 * The result's file
 */

static struct pf card(void)
{
        return (struct pf){
                .name = "eth0",
                .kernel_driver = "igb",
                .vendor = 0x8086,
                .device = 0x10c9,
                .subsystem_vendor = 0x1af4,
                .subsystem_device = 0x1100,
                .driver_version = "6.12.0",
                .firmware_version = "1.2, 0x80000001 /x",
        };
}

static const struct probe_result measured = {
        .usec = 1795176000000000,
        .steering = FAILOVER_STEERING_PF_WINS,
        .reflects = true,
        .filter_capacity = 19,
        .capacity_is_bound = true,
        .vf_count = 4,
};

static char result_directory[80];

static void store(const struct pf *pf)
{
        struct vswitch_error error = { 0 };
        json_t *report = json_pack("{s:s}", "verdict", "measured");

        /* Neither it nor its parent is there at first. */
        snprintf(result_directory, sizeof(result_directory), "%s/lib/probe", directory);
        ck_assert_msg(probe_result_store(result_directory, pf, &measured, report, &error) == 0, "%s", error.text);
        json_decref(report);
}

static void write_result(const char *text)
{
        struct pf pf = card();
        char path[PATH_MAX];
        FILE *file;

        probe_result_path(result_directory, &pf, path);
        file = fopen(path, "w");
        ck_assert_ptr_nonnull(file);
        fputs(text, file);
        fclose(file);
}

START_TEST(test_result_is_kept)
{
        struct pf pf = card();
        struct probe_result result = { 0 };
        char path[PATH_MAX];

        store(&pf);
        store(&pf); /* in place of the older one */
        ck_assert_int_eq(probe_result_load(result_directory, &pf, &result, NULL), 0);
        ck_assert_uint_eq(result.usec, measured.usec);
        ck_assert_int_eq(result.steering, measured.steering);
        ck_assert(result.reflects);
        ck_assert_uint_eq(result.filter_capacity, 19);
        ck_assert(result.capacity_is_bound);
        ck_assert_uint_eq(result.vf_count, 4);
        ck_assert_str_eq(result.driver_version, "6.12.0");

        /* No slash or blank of a firmware's name gets into the file's. */
        probe_result_path(result_directory, &pf, path);
        ck_assert_ptr_nonnull(strstr(path, "/8086-10c9-1af4-1100-igb-1.2__0x80000001__x.json"));

        /* Another release of the kernel makes no other card of it. */
        strcpy(pf.driver_version, "6.13.0");
        ck_assert_int_eq(probe_result_load(result_directory, &pf, &result, NULL), 0);
        ck_assert_str_eq(result.driver_version, "6.12.0");
}
END_TEST

START_TEST(test_result_is_good_for_one_card_only)
{
        struct pf stored = card(), pf;
        struct probe_result result;

        store(&stored);
        pf = stored;
        pf.device++;
        ck_assert_int_eq(probe_result_load(result_directory, &pf, &result, NULL), -ENOENT);
        pf = stored;
        pf.subsystem_vendor = 0x8086; /* not the emulated one */
        ck_assert_int_eq(probe_result_load(result_directory, &pf, &result, NULL), -ENOENT);
        pf = stored;
        strcpy(pf.kernel_driver, "igb2");
        ck_assert_int_eq(probe_result_load(result_directory, &pf, &result, NULL), -ENOENT);
        pf = stored;
        strcpy(pf.firmware_version, "1.3");
        ck_assert_int_eq(probe_result_load(result_directory, &pf, &result, NULL), -ENOENT);
        /* The same file name, another firmware. */
        pf = stored;
        strcpy(pf.firmware_version, "1.2, 0x80000001 _x");
        ck_assert_int_eq(probe_result_load(result_directory, &pf, &result, NULL), -ENOENT);
        ck_assert_int_eq(probe_result_load("/nonexistent", &stored, &result, NULL), -ENOENT);
}
END_TEST

START_TEST(test_result_that_cannot_be_used)
{
        static const char *const cards =
                "\"card\":{\"vendor\":\"8086\",\"device\":\"10c9\",\"subsystem_vendor\":\"1af4\","
                "\"subsystem_device\":\"1100\",\"driver\":\"igb\","
                "\"firmware\":\"1.2, 0x80000001 /x\"}";
        static const char *const rests[] = {
                "\"version\": 2",
                "\"version\": 1",
                "\"version\":1,\"realtime_usec\":1,\"steering\":\"sideways\",\"reflects\":true,\"filter_capacity\":1,"
                "\"capacity_is_bound\":false,\"vf_count\":1,\"driver_version\":\"\"",
                "\"version\":1,\"realtime_usec\":1,\"steering\":\"both\",\"reflects\":true,\"filter_capacity\":-1,"
                "\"capacity_is_bound\":false,\"vf_count\":1,\"driver_version\":\"\"",
        };
        struct vswitch_error error = { 0 };
        struct pf pf = card();
        struct probe_result result;
        char text[1024];

        store(&pf);
        write_result("{ not JSON");
        ck_assert_int_eq(probe_result_load(result_directory, &pf, &result, &error), -EBADMSG);
        ck_assert_ptr_nonnull(strstr(error.text, ".json:1:"));
        for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
                snprintf(text, sizeof(text), "{%s,%s}", cards, rests[i]);
                write_result(text);
                error.text[0] = '\0';
                ck_assert_msg(probe_result_load(result_directory, &pf, &result, &error) == -EBADMSG, "%s", rests[i]);
                ck_assert_ptr_nonnull(strstr(error.text, "vswitch pf probe"));
        }
}
END_TEST

START_TEST(test_result_cannot_be_written)
{
        struct vswitch_error error = { 0 };
        struct pf pf = card();

        ck_assert_int_eq(probe_result_store("/proc/nowhere/probe", &pf, &measured, NULL, &error), -ENOENT);
        ck_assert_ptr_nonnull(strstr(error.text, "/proc/nowhere"));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("probe");
        TCase *pure = tcase_create("pure"), *files = tcase_create("files");
        SRunner *runner;
        int failed;

        tcase_add_test(pure, test_counts);
        tcase_add_test(pure, test_every_finding_has_words);
        tcase_add_loop_test(pure, test_steering_classes, FAILOVER_STEERING_BOTH, FAILOVER_STEERING_COUNT);
        tcase_add_loop_test(pure, test_steering_is_unknown_in_doubt, FAILOVER_STEERING_BOTH, FAILOVER_STEERING_COUNT);
        tcase_add_test(pure, test_both_must_hold_without_a_driver);
        tcase_add_test(pure, test_other_conclusions);
        tcase_add_test(pure, test_capacity);
        tcase_add_test(pure, test_capacity_beyond_the_limit);
        tcase_add_test(pure, test_frames);
        tcase_add_test(pure, test_neighbour_solicitation);
        tcase_add_test(pure, test_macs);
        suite_add_tcase(suite, pure);
        tcase_add_checked_fixture(files, make_directory, remove_directory);
        tcase_add_test(files, test_notes_outlive_a_kill);
        tcase_add_test(files, test_notes_that_cannot_be_understood);
        tcase_add_test(files, test_result_is_kept);
        tcase_add_test(files, test_result_is_good_for_one_card_only);
        tcase_add_test(files, test_result_that_cannot_be_used);
        tcase_add_test(files, test_result_cannot_be_written);
        suite_add_tcase(suite, files);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
