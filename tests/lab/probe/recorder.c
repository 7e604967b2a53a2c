/* SPDX-License-Identifier: Apache-2.0 */
#include "recorder.h"

#include <errno.h>

#define FILE_BUFFER (1u << 20)

int recorder_open(struct recorder *recorder, const char *path, uint32_t run)
{
        *recorder = (struct recorder){ .file = fopen(path, "we"), .run = run };
        if (!recorder->file)
                return -errno;
        setvbuf(recorder->file, NULL, _IOFBF, FILE_BUFFER);
        fputs(FILE_HEADER, recorder->file);
        return 0;
}

void recorder_write(struct recorder *recorder, const struct record *record)
{
        fwrite_unlocked(record, sizeof *record, 1, recorder->file);
}

void recorder_name_place(struct recorder *recorder, unsigned ifindex, const char *name)
{
        struct record record = { .kind = RECORD_PLACE, .place = (uint8_t) recorder->places_count };

        _Static_assert(sizeof record - offsetof(struct record, stamp_ns) == IFNAMSIZ, "a name fits");
        memcpy((char *) &record + offsetof(struct record, stamp_ns), name, strnlen(name, IFNAMSIZ));
        recorder->place_ifindexes[recorder->places_count++] = ifindex;
        recorder_write(recorder, &record);
}

static int recorder_place(struct recorder *recorder, unsigned ifindex)
{
        char name[IFNAMSIZ] = "";

        for (unsigned i = recorder->places_count; i-- > 0;)
                if (recorder->place_ifindexes[i] == ifindex)
                        return (int) i;
        if (recorder->places_count == RECORDER_MAX_PLACES)
                return -1;
        /* It may be gone already: the frames are still worth counting, at a place without a name. */
        if (!if_indextoname(ifindex, name))
                snprintf(name, sizeof name, "if%u", ifindex);
        recorder_name_place(recorder, ifindex, name);
        return (int) recorder->places_count - 1;
}

void recorder_capture(uint64_t stamp_ns, unsigned ifindex, bool outgoing, const uint8_t *packet, size_t size,
                      void *userdata)
{
        struct recorder *recorder = userdata;
        struct probe_frame frame;
        bool answer = false;
        const uint8_t *found = frame_in_packet(packet, size, &answer);
        int place;

        if (!found)
                return;
        memcpy(&frame, found, sizeof frame);
        if (!frame_valid(&frame, recorder->run))
                return;
        place = recorder_place(recorder, ifindex);
        if (place < 0)
                return;
        recorder_write(recorder, &(struct record){
                                         .kind = RECORD_SEEN,
                                         .sender = frame.sender,
                                         .version = frame.version,
                                         .place = (uint8_t) place,
                                         .sequence = be32toh(frame.sequence),
                                         .stamp_ns = stamp_ns + (uint64_t) recorder->clock_offset_ns,
                                         .extra = (outgoing ? RECORD_OUTGOING : 0) | (answer ? RECORD_ANSWER : 0),
                                 });
}

int recorder_close(struct recorder *recorder)
{
        int r = ferror(recorder->file) ? -EIO : 0;

        return fclose(recorder->file) < 0 ? -errno : r;
}
