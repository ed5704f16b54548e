/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turnmark: plain stores into a shared mapping.
 *
 * The pages of a shared mapping belong to the kernel, so what was stored is in the file however the process ends; only
 * a crash of the machine loses it, and then nothing is to be learned about the message anyway. There is no system call
 * and no sync on the way of a turn: marking one costs a few stores into a cache line pair of the reactor's own.
 *
 *   offset  size  field
 *   0       8     "STEADTM1"
 *   8       4     starts of the node with this file
 *   16      1536  64 suspects: id 16, kills u32, number of the start that counted it last u32
 *   1552    8     a bit for each reactor whose thread ends the process in a turn
 *   4096    8192  64 marks of 128 bytes: number u64 (odd: a turn runs; highest bit: the id is lasting), id 16, text 104:
 *                 address and op, each ended by zeros up to a multiple of 8 bytes, at least one
 *   12288   32768 1,024 jobs of 32 bytes: state u32 (0: none, 1: it runs, 2: its thread ends the process), 4 unused, id 16, 8 unused
 *
 * A mark is written text first, then id, then its number made odd; ended by making it even: a death in between leaves
 * the turn before or this one, never a mixture that is believed. Words are relaxed atomics because the control thread
 * looks at them; the number is released.
 */
#include "node/turnmark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base.h"

#define MAGIC "STEADTM1"
#define LASTING (UINT64_C(1) << 63)
#define TEXT_WORDS (STEAD_TURNMARK_TEXT_SIZE / 8 - 1) /* the last word of a text is its end */

struct mark {
    _Atomic uint64_t number; /* odd while a turn runs; +1 at its start and its end; with LASTING in between, or not */
    _Atomic uint64_t id[2];  /* of its message */
    _Atomic uint64_t text[TEXT_WORDS];
};
_Static_assert(sizeof(struct mark) == 128, "two cache lines of a reactor's own");

enum { JOB_NONE, JOB_RUNS, JOB_BLAMED };

struct job {
    _Atomic uint32_t state;
    uint32_t unused;
    _Atomic uint64_t id[2]; /* of its request */
    uint64_t unused_too;
};

struct file {
    char magic[8];
    uint32_t starts; /* of the node with this file */
    uint32_t unused;
    struct stead_turnmark_suspect suspects[STEAD_TURNMARK_SUSPECTS_MAX];
    _Atomic uint64_t blamed; /* reactors */
    _Alignas(4096) struct mark marks[STEAD_REACTORS_MAX];
    struct job jobs[STEAD_TURNMARK_JOBS_MAX];
};
_Static_assert(sizeof(struct file) == 4096 + 8192 + 32768, "the layout above");
_Static_assert(STEAD_REACTORS_MAX <= 64, "a bit for each");

struct stead_turnmarks {
    struct file *file;                                                   /* mapped */
    struct stead_turnmark_suspect suspects[STEAD_TURNMARK_SUSPECTS_MAX]; /* as of the start */
    uint32_t suspect_count;
    struct stead_turnmark_death deaths[STEAD_REACTORS_MAX];
    uint32_t death_count;
};

/* The entry of `id`, or the one that may be given to it: empty, else the one counted longest ago. */
static struct stead_turnmark_suspect *suspect_entry(struct file *file, struct stead_id id)
{
    struct stead_turnmark_suspect *oldest = &file->suspects[0];

    for (uint32_t i = 0; i < STEAD_TURNMARK_SUSPECTS_MAX; i++) {
        struct stead_turnmark_suspect *suspect = &file->suspects[i];
        if (suspect->kills && stead_id_equal(suspect->id, id))
            return suspect;
        if (oldest->kills && (!suspect->kills || suspect->start < oldest->start))
            oldest = suspect;
    }
    *oldest = (struct stead_turnmark_suspect){.id = id};
    return oldest;
}

static struct stead_id read_id(const _Atomic uint64_t id_words[2])
{
    uint64_t words[2] = {atomic_load(&id_words[0]), atomic_load(&id_words[1])};
    struct stead_id id;

    memcpy(id.v, words, sizeof id.v);
    return id;
}

/* How often it has killed so far. */
static uint32_t kills_of(const struct file *file, struct stead_id id)
{
    for (uint32_t i = 0; i < STEAD_TURNMARK_SUSPECTS_MAX; i++)
        if (stead_id_equal(file->suspects[i].id, id))
            return file->suspects[i].kills;
    return 0;
}

/* How often it has killed now. */
static uint32_t count_kill(struct file *file, struct stead_id id)
{
    if (stead_id_is_zero(id))
        return 0;
    struct stead_turnmark_suspect *suspect = suspect_entry(file, id);
    suspect->start = file->starts;
    return ++suspect->kills;
}

/* "address op" of a mark. The op begins at the word behind the address's end. */
static void read_text(const struct mark *mark, char *ret_text)
{
    uint64_t words[TEXT_WORDS + 1];

    for (uint32_t i = 0; i < TEXT_WORDS; i++)
        words[i] = atomic_load_explicit(&mark->text[i], memory_order_relaxed);
    words[TEXT_WORDS] = 0;
    const char *address = (const char *)words;
    size_t address_size = strlen(address), op_at = (address_size / 8 + 1) * 8;
    const char *op = op_at < sizeof words ? address + op_at : "";
    snprintf(ret_text, STEAD_TURNMARK_TEXT_SIZE, *op ? "%s %s" : "%s", address, op);
}

/* Turns the marks that a dead process left into suspects. */
static void count_kills(struct stead_turnmarks *marks)
{
    struct file *file = marks->file;
    uint64_t blamed = atomic_load(&file->blamed);
    bool explained = blamed != 0;

    file->starts++;
    for (uint32_t i = 0; i < STEAD_TURNMARK_JOBS_MAX; i++) {
        if (atomic_load(&file->jobs[i].state) != JOB_BLAMED)
            continue;
        explained = true;
        (void)count_kill(file, read_id(file->jobs[i].id));
    }
    for (uint32_t i = 0; i < STEAD_REACTORS_MAX; i++) {
        uint64_t number = atomic_load(&file->marks[i].number);
        if (!(number & 1) || (explained && !(blamed >> i & 1)))
            continue;
        struct stead_turnmark_death *death = &marks->deaths[marks->death_count++];
        struct stead_id id = read_id(file->marks[i].id);
        bool counts = !(number & LASTING) || (blamed >> i & 1);
        death->kills = counts ? count_kill(file, id) : kills_of(file, id);
        read_text(&file->marks[i], death->text);
    }
    atomic_store(&file->blamed, 0);
    memset(file->marks, 0, sizeof file->marks);
    memset(file->jobs, 0, sizeof file->jobs);
}

static int map_file(const char *folder, struct file **ret_file, char *ret_why)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/" STEAD_TURNMARK_FILE, folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    /* The blocks are reserved: a store into a mapped hole on a full disk would be a SIGBUS in a turn. */
    int code = fd < 0 ? errno : posix_fallocate(fd, 0, sizeof(struct file));
    void *memory = MAP_FAILED;
    if (code == 0) {
        memory = mmap(NULL, sizeof(struct file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        code = memory == MAP_FAILED ? errno : 0;
    }
    if (fd >= 0)
        close(fd);
    if (code != 0) {
        snprintf(ret_why, STEAD_TURNMARK_WHY_SIZE, "%.150s: %s", path, strerror(code));
        return STEAD_EIO;
    }
    *ret_file = memory;
    return 0;
}

int stead_turnmarks_open(const char *folder, struct stead_turnmarks **ret_marks, char *ret_why)
{
    struct file *file;

    int code = map_file(folder, &file, ret_why);
    if (code != 0)
        return code;
    if (memcmp(file->magic, MAGIC, sizeof file->magic) != 0) {
        memset(file, 0, sizeof *file);
        memcpy(file->magic, MAGIC, sizeof file->magic);
    }
    struct stead_turnmarks *marks = stead_alloc_zero(sizeof *marks);
    marks->file = file;
    count_kills(marks);
    for (uint32_t i = 0; i < STEAD_TURNMARK_SUSPECTS_MAX; i++) {
        if (file->suspects[i].kills)
            marks->suspects[marks->suspect_count++] = file->suspects[i];
    }
    *ret_marks = marks;
    return 0;
}

void stead_turnmarks_close(struct stead_turnmarks **marks)
{
    if (!*marks)
        return;
    munmap((*marks)->file, sizeof *(*marks)->file);
    free(*marks);
    *marks = NULL;
}

void stead_turnmarks_forget(struct stead_turnmarks *marks)
{
    memset(marks->file->suspects, 0, sizeof marks->file->suspects);
}

bool stead_turnmarks_suspect(const struct stead_turnmarks *marks, uint32_t at,
                             struct stead_turnmark_suspect *ret_suspect)
{
    if (at >= marks->suspect_count)
        return false;
    *ret_suspect = marks->suspects[at];
    return true;
}

bool stead_turnmarks_death(const struct stead_turnmarks *marks, uint32_t at, struct stead_turnmark_death *ret_death)
{
    if (at >= marks->death_count)
        return false;
    *ret_death = marks->deaths[at];
    return true;
}

/* The 0 to 7 bytes at `at` as the low bytes of a word. Loads that overlap agree about the bytes they share. */
static inline uint64_t load_tail(const char *at, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)at;

    if (size >= 4)
        return stead_load32(bytes) | (uint64_t)stead_load32(bytes + size - 4) << (8 * (size - 4));
    if (size >= 2)
        return stead_load16(bytes) | (uint64_t)stead_load16(bytes + size - 2) << (8 * (size - 2));
    return size == 0 ? 0 : bytes[0];
}

/* Writes a text with at least one zero behind it, from word `at` on; what does not fit is cut. The next free word. */
static inline uint32_t put_text(struct mark *mark, uint32_t at, struct stead_slice slice)
{
    const char *text = (const char *)slice.data;
    size_t size = slice.size;

    for (; size >= 8 && at < TEXT_WORDS; size -= 8, text += 8)
        atomic_store_explicit(&mark->text[at++], stead_load64((const uint8_t *)text), memory_order_relaxed);
    if (at < TEXT_WORDS)
        atomic_store_explicit(&mark->text[at++], load_tail(text, size & 7), memory_order_relaxed);
    return at;
}

void stead_turnmarks_set(struct stead_turnmarks *marks, uint32_t reactor, const struct stead_turn_mark *mark)
{
    struct mark *it = &marks->file->marks[reactor];
    uint64_t number = atomic_load_explicit(&it->number, memory_order_relaxed);

    if (!mark) {
        atomic_store_explicit(&it->number, ((number & ~LASTING) | 1) + 1, memory_order_release);
        return;
    }
    if (!mark->same_text)
        put_text(it, put_text(it, 0, mark->address), mark->op);
    uint64_t id[2];
    memcpy(id, mark->id.v, sizeof id);
    atomic_store_explicit(&it->id[0], id[0], memory_order_relaxed);
    atomic_store_explicit(&it->id[1], id[1], memory_order_relaxed);
    number = (number & ~LASTING) | 1 | (mark->lasting ? LASTING : 0);
    atomic_store_explicit(&it->number, number, memory_order_release);
}

void stead_turnmarks_turn_blame(struct stead_turnmarks *marks, uint32_t reactor)
{
    if (atomic_load_explicit(&marks->file->marks[reactor].number, memory_order_relaxed) & 1)
        atomic_fetch_or(&marks->file->blamed, UINT64_C(1) << reactor);
}

void stead_turnmarks_job_begin(struct stead_turnmarks *marks, uint32_t slot, struct stead_id id)
{
    uint64_t words[2];

    if (slot >= STEAD_TURNMARK_JOBS_MAX)
        return;
    struct job *job = &marks->file->jobs[slot];
    memcpy(words, id.v, sizeof words);
    atomic_store_explicit(&job->id[0], words[0], memory_order_relaxed);
    atomic_store_explicit(&job->id[1], words[1], memory_order_relaxed);
    atomic_store_explicit(&job->state, JOB_RUNS, memory_order_release);
}

void stead_turnmarks_job_end(struct stead_turnmarks *marks, uint32_t slot)
{
    if (slot < STEAD_TURNMARK_JOBS_MAX)
        atomic_store_explicit(&marks->file->jobs[slot].state, JOB_NONE, memory_order_release);
}

void stead_turnmarks_job_blame(struct stead_turnmarks *marks, uint32_t slot)
{
    if (slot < STEAD_TURNMARK_JOBS_MAX)
        atomic_store_explicit(&marks->file->jobs[slot].state, JOB_BLAMED, memory_order_release);
}

uint64_t stead_turnmarks_look(const struct stead_turnmarks *marks, uint32_t reactor, char *ret_text)
{
    const struct mark *mark = &marks->file->marks[reactor];
    uint64_t number = atomic_load_explicit(&mark->number, memory_order_acquire);

    read_text(mark, ret_text);
    return number & 1 ? number : 0;
}
