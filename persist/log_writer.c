/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_writer: one thread, one batch, one sync for everything that the reactors of a node append.
 *
 * The problem: a sync costs 50 us however little it covers; thirty-two threads that each sync are twenty times slower
 * than one that syncs for all. So reactors only queue, and the batch of the next round is what was queued while this
 * round synced.
 *
 *   submitters                     writer's thread, one round
 *   ----------                     ------------------------------------------------------------------------
 *   push on a lock-free stack      take all, turn round (order of arrival)
 *   wake the writer if asleep      1. entries, marks and trims that may go: one write with sync -> SYNCED
 *                                  2. chunks of rows: one write without sync                    -> ROWS_WRITTEN
 *
 * The stack is one atomic pointer; a submit is one exchange loop and no system call while the writer is awake. Rows
 * come after the entries, in a write of their own: an answer that waits for its entry does not wait for a checkpoint's
 * rows too. ROUND_BYTES_MAX bounds the entries. Rows are bounded by what was appended in their round: few of them keep
 * the next entries waiting, and still they keep up, or what they move out of memory would grow without an end.
 *
 * Order across a power loss (format.h). RocksDB's recovery gives a prefix of the writes as long as the log's pages
 * reach the disk in order, which nobody promises for unsynced ones. So what must not overtake waits for a sync: a mark
 * is written only in a round that comes after a synced round that came after its chunks, a trim only after such a one
 * that wrote its mark. Marks and trims ride with later entries, so this costs no sync; when no entry comes, a mark just
 * waits, and replay is a little longer; settle() has it written all the same.
 *
 *   rows written (round r) -> [sync of a round > r] -> mark written, synced in that round or the next -> trim (next synced round)
 *
 * States of the writer: RUNNING -> STOPPING (destroy: the queue is emptied, marks are settled) -> ended; RUNNING ->
 * FAILED (nothing is written any more; what comes is freed) -> ended.
 */
#include "persist/log_writer.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "persist/format.h"
#include "runtime/base.h"

#define ROUND_BYTES_MAX (4u * 1024 * 1024) /* entries of one write; one entry may be larger */
#define ROWS_BYTES_LEAST (256u * 1024)     /* rows of one write, more when its round's entries are more */
#define ROUND_OPS_MAX 4096u

enum job_type { JOB_APPEND, JOB_ROWS, JOB_TRIM };

struct job {
    struct job *next;
    enum job_type type;
    uint16_t reactor;
    uint32_t shard;
    uint64_t index;            /* append: of the entry; rows: applied or 0; trim: up to */
    struct stead_writer bytes; /* owned */
};

struct job_list {
    struct job *first;
    struct job **end;
};

/* What is between a shard's last chunk and the deletion of its log. */
struct shard_marks {
    uint32_t shard;
    uint64_t mark;       /* applied index whose chunks are written; 0: none waits */
    uint64_t mark_round; /* the round that wrote the last of them */
    bool mark_in_write;  /* the mark is in the write under way */
    uint64_t marked;     /* applied index that is on disk, synced */
    uint64_t trim;       /* wanted: entries up to this one */
    uint64_t trimmed;    /* done */
};

struct stead_log_writer {
    struct stead_log_writer_options options;
    pthread_t thread;
    sem_t wake;

    _Atomic(struct job *) queue;   /* newest first; pushed by anyone, taken whole by the writer */
    atomic_bool asleep;            /* the writer waits on `wake` */
    atomic_bool stopping;          /* destroy was called */
    atomic_bool settle;            /* marks and trims shall not wait for entries */
    _Atomic uint64_t queued_bytes; /* submitted and not yet written */

    /* the writer's thread alone */
    struct job_list appends; /* taken from the queue, not yet written */
    struct job_list rows;
    struct shard_marks *shards;
    uint32_t shard_count;
    uint64_t round;        /* number of the present round, from 1 */
    uint64_t synced_round; /* the last round that synced */
    bool failed;
    struct stead_store_op ops[ROUND_OPS_MAX];
    struct stead_log_done done[ROUND_OPS_MAX];
    uint16_t done_reactor[ROUND_OPS_MAX]; /* to whom done[i] goes */
    struct stead_log_done sorted[ROUND_OPS_MAX];

    pthread_mutex_t stats_lock;
    struct stead_log_writer_stats stats;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void init_list(struct job_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void append_job(struct job_list *list, struct job *job)
{
    job->next = NULL;
    *list->end = job;
    list->end = &job->next;
}

static void destroy_first(struct job_list *list)
{
    struct job *job = list->first;
    list->first = job->next;
    if (list->first == NULL)
        list->end = &list->first;
    stead_writer_deinit(&job->bytes);
    free(job);
}

/* ---- Submitting: any thread ----------------------------------------------------------------- */

static void wake_writer(struct stead_log_writer *writer)
{
    if (atomic_exchange(&writer->asleep, false))
        sem_post(&writer->wake);
}

static void submit(struct stead_log_writer *writer, struct job job, struct stead_writer *bytes)
{
    STEAD_ASSERT(job.shard != 0 && job.reactor < writer->options.reactor_count);
    struct job *it = stead_alloc(sizeof *it);
    *it = job;
    stead_writer_init(&it->bytes);
    if (bytes != NULL && bytes->fixed) { /* caller's memory: it does not outlive the call */
        stead_write_raw(&it->bytes, bytes->data, bytes->size);
        stead_writer_reset(bytes);
    } else if (bytes != NULL) {
        it->bytes = *bytes;
        stead_writer_init(bytes);
    }
    atomic_fetch_add_explicit(&writer->queued_bytes, it->bytes.size, memory_order_relaxed);
    it->next = atomic_load_explicit(&writer->queue, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&writer->queue, &it->next, it))
        ;
    wake_writer(writer);
}

void stead_log_writer_append(struct stead_log_writer *writer, uint16_t reactor, uint32_t shard, uint64_t index,
                             struct stead_writer *entry)
{
    submit(writer, (struct job){.type = JOB_APPEND, .reactor = reactor, .shard = shard, .index = index}, entry);
}

void stead_log_writer_write_rows(struct stead_log_writer *writer, uint16_t reactor, uint32_t shard, uint64_t applied,
                                 struct stead_writer *mutations)
{
    submit(writer, (struct job){.type = JOB_ROWS, .reactor = reactor, .shard = shard, .index = applied}, mutations);
}

void stead_log_writer_trim(struct stead_log_writer *writer, uint32_t shard, uint64_t index)
{
    submit(writer, (struct job){.type = JOB_TRIM, .shard = shard, .index = index}, NULL);
}

void stead_log_writer_settle(struct stead_log_writer *writer)
{
    atomic_store(&writer->settle, true);
    wake_writer(writer);
}

uint64_t stead_log_writer_queued_bytes(const struct stead_log_writer *writer)
{
    return atomic_load_explicit(&writer->queued_bytes, memory_order_relaxed);
}

/* ---- Marks and trims ------------------------------------------------------------------------ */

static struct shard_marks *find_shard(struct stead_log_writer *writer, uint32_t shard)
{
    for (uint32_t i = 0; i < writer->shard_count; i++)
        if (writer->shards[i].shard == shard)
            return &writer->shards[i];
    writer->shards = stead_realloc(writer->shards, (writer->shard_count + 1) * sizeof(writer->shards[0]));
    struct shard_marks *marks = &writer->shards[writer->shard_count++];
    *marks = (struct shard_marks){.shard = shard};
    return marks;
}

/* The mark of a start, before this writer: what it allows to trim. */
static void learn_marked(struct stead_log_writer *writer, struct shard_marks *marks)
{
    uint64_t applied;
    if (marks->marked == 0 && stead_store_applied(writer->options.store, marks->shard, &applied) == 0)
        marks->marked = applied;
}

static uint32_t add_trim(struct stead_log_writer *writer, uint32_t op_count, struct shard_marks *marks)
{
    if (marks->trim <= marks->trimmed)
        return op_count;
    learn_marked(writer, marks);
    uint64_t index = marks->trim < marks->marked ? marks->trim : marks->marked;
    if (index <= marks->trimmed)
        return op_count;
    marks->trimmed = index;
    writer->ops[op_count] = (struct stead_store_op){.type = STEAD_STORE_TRIM, .shard = marks->shard, .index = index};
    return op_count + 1;
}

static uint32_t add_mark(struct stead_log_writer *writer, uint32_t op_count, struct shard_marks *marks)
{
    if (marks->mark == 0 || marks->mark_round >= writer->synced_round)
        return op_count;
    marks->mark_in_write = true;
    writer->ops[op_count] =
        (struct stead_store_op){.type = STEAD_STORE_APPLIED, .shard = marks->shard, .index = marks->mark};
    return op_count + 1;
}

/* Adds the marks and trims that may go with this synced write; gives the new count. */
static uint32_t add_marks(struct stead_log_writer *writer, uint32_t op_count)
{
    for (uint32_t i = 0; i < writer->shard_count && op_count + 2 <= ROUND_OPS_MAX; i++) {
        op_count = add_trim(writer, op_count, &writer->shards[i]);
        op_count = add_mark(writer, op_count, &writer->shards[i]);
    }
    return op_count;
}

/* The write with its sync is done: marks that were in it hold. */
static void settle_marks(struct stead_log_writer *writer)
{
    for (uint32_t i = 0; i < writer->shard_count; i++) {
        struct shard_marks *marks = &writer->shards[i];
        if (marks->mark_in_write) {
            marks->marked = marks->mark;
            marks->mark = 0;
            marks->mark_in_write = false;
        }
    }
}

static bool has_marks(const struct stead_log_writer *writer)
{
    for (uint32_t i = 0; i < writer->shard_count; i++)
        if (writer->shards[i].mark != 0)
            return true;
    return false;
}

static bool has_trims(const struct stead_log_writer *writer)
{
    for (uint32_t i = 0; i < writer->shard_count; i++)
        if (writer->shards[i].trim > writer->shards[i].trimmed && writer->shards[i].marked > writer->shards[i].trimmed)
            return true;
    return false;
}

/* ---- A round -------------------------------------------------------------------------------- */

/* Sorts what was queued, oldest first, into appends, rows and marks. */
static void take_queue(struct stead_log_writer *writer)
{
    struct job *newest = atomic_exchange(&writer->queue, NULL);
    struct job *oldest = NULL;
    while (newest != NULL) {
        struct job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct job *job = oldest;
        oldest = job->next;
        if (job->type == JOB_TRIM) {
            struct shard_marks *marks = find_shard(writer, job->shard);
            marks->trim = job->index > marks->trim ? job->index : marks->trim;
            free(job);
        } else {
            append_job(job->type == JOB_APPEND ? &writer->appends : &writer->rows, job);
        }
    }
}

static void fail(struct stead_log_writer *writer, int code)
{
    char sentence[STEAD_STORE_SENTENCE_MAX];
    stead_store_explain(writer->options.store, sentence, sizeof sentence);
    writer->failed = true;
    writer->options.failed(writer->options.context, code, sentence);
}

/* Hands done[0..count) out, each reactor's part in one call, in order. */
static void report(struct stead_log_writer *writer, uint32_t count)
{
    for (uint16_t reactor = 0; reactor < writer->options.reactor_count; reactor++) {
        uint32_t mine = 0;
        for (uint32_t i = 0; i < count; i++)
            if (writer->done_reactor[i] == reactor)
                writer->sorted[mine++] = writer->done[i];
        if (mine > 0)
            writer->options.done(writer->options.context, reactor, writer->sorted, mine);
    }
}

/* Notes that the entry is synced; one note for each shard, with its last index. */
static uint32_t note_synced(struct stead_log_writer *writer, uint32_t done_count, const struct job *job)
{
    for (uint32_t i = done_count; i-- > 0;) {
        if (writer->done[i].shard == job->shard && writer->done_reactor[i] == job->reactor) {
            writer->done[i].index = job->index;
            return done_count;
        }
    }
    writer->done[done_count] =
        (struct stead_log_done){.type = STEAD_LOG_SYNCED, .shard = job->shard, .index = job->index};
    writer->done_reactor[done_count] = job->reactor;
    return done_count + 1;
}

static void count_sync(struct stead_log_writer *writer, uint32_t op_count, uint64_t entry_count, uint64_t bytes,
                       uint64_t ns)
{
    uint64_t trims = 0;
    for (uint64_t i = entry_count; i < op_count; i++)
        trims += writer->ops[i].type == STEAD_STORE_TRIM;
    pthread_mutex_lock(&writer->stats_lock);
    writer->stats.syncs++;
    writer->stats.trims += trims;
    writer->stats.entries += entry_count;
    writer->stats.entry_bytes += bytes;
    stead_histogram_add(&writer->stats.sync_ns, ns);
    stead_histogram_add(&writer->stats.batch_entries, entry_count);
    stead_histogram_add(&writer->stats.batch_bytes, bytes);
    pthread_mutex_unlock(&writer->stats_lock);
}

/* Writes queued entries, as many as fit, with one sync. `force`: also when there are only marks. The bytes of them. */
static uint64_t write_appends(struct stead_log_writer *writer, bool force)
{
    uint32_t op_count = 0;
    uint64_t bytes = 0;
    for (struct job *job = writer->appends.first;
         job != NULL && op_count < ROUND_OPS_MAX / 2 && (op_count == 0 || bytes + job->bytes.size <= ROUND_BYTES_MAX);
         job = job->next) {
        writer->ops[op_count++] = (struct stead_store_op){
            .type = STEAD_STORE_APPEND, .shard = job->shard, .index = job->index, .bytes = stead_written(&job->bytes)};
        bytes += job->bytes.size;
    }
    uint32_t entry_count = op_count;
    if (entry_count == 0 && !force)
        return 0;
    op_count = add_marks(writer, op_count);
    uint64_t start_ns = now_ns();
    int code = stead_store_write(writer->options.store, writer->ops, op_count, true);
    if (code != 0) {
        fail(writer, code);
        return 0;
    }
    count_sync(writer, op_count, entry_count, bytes, now_ns() - start_ns);
    settle_marks(writer);
    writer->synced_round = writer->round;
    uint32_t done_count = 0;
    for (uint32_t i = 0; i < entry_count; i++) {
        done_count = note_synced(writer, done_count, writer->appends.first);
        destroy_first(&writer->appends);
    }
    atomic_fetch_sub_explicit(&writer->queued_bytes, bytes, memory_order_relaxed);
    report(writer, done_count);
    return bytes;
}

static void note_rows(struct stead_log_writer *writer, uint32_t at, const struct job *job)
{
    if (job->index != 0) {
        struct shard_marks *marks = find_shard(writer, job->shard);
        marks->mark = job->index;
        marks->mark_round = writer->round;
    }
    writer->done[at] = (struct stead_log_done){.type = STEAD_LOG_ROWS_WRITTEN, .shard = job->shard};
    writer->done_reactor[at] = job->reactor;
}

/* Writes queued chunks of rows, as many as fit beside so many bytes of entries, without a sync. */
static void write_rows(struct stead_log_writer *writer, uint64_t appended)
{
    uint64_t bytes = 0, bytes_max = appended < ROWS_BYTES_LEAST ? ROWS_BYTES_LEAST : appended;
    uint32_t op_count = 0;

    for (struct job *job = writer->rows.first;
         job != NULL && op_count < ROUND_OPS_MAX && (op_count == 0 || bytes + job->bytes.size <= bytes_max);
         job = job->next) {
        writer->ops[op_count] =
            (struct stead_store_op){.type = STEAD_STORE_ROWS, .shard = job->shard, .bytes = stead_written(&job->bytes)};
        bytes += job->bytes.size;
        op_count++;
    }
    if (op_count == 0)
        return;
    uint64_t start_ns = now_ns();
    int code = stead_store_write(writer->options.store, writer->ops, op_count, false);
    if (code != 0) {
        fail(writer, code);
        return;
    }
    pthread_mutex_lock(&writer->stats_lock);
    writer->stats.row_chunks += op_count;
    writer->stats.row_bytes += bytes;
    stead_histogram_add(&writer->stats.rows_ns, now_ns() - start_ns);
    pthread_mutex_unlock(&writer->stats_lock);
    for (uint32_t i = 0; i < op_count; i++) {
        note_rows(writer, i, writer->rows.first);
        destroy_first(&writer->rows);
    }
    atomic_fetch_sub_explicit(&writer->queued_bytes, bytes, memory_order_relaxed);
    report(writer, op_count);
}

static void discard_all(struct stead_log_writer *writer)
{
    while (writer->appends.first != NULL)
        destroy_first(&writer->appends);
    while (writer->rows.first != NULL)
        destroy_first(&writer->rows);
    atomic_store_explicit(&writer->queued_bytes, 0, memory_order_relaxed);
}

static void run_round(struct stead_log_writer *writer)
{
    uint64_t appended = 0;

    writer->round++;
    if (!writer->failed)
        appended = write_appends(writer, false);
    if (!writer->failed)
        write_rows(writer, appended);
    if (writer->failed)
        discard_all(writer);
}

/* ---- The thread ----------------------------------------------------------------------------- */

/* Sleeps until something is queued or the writer is to stop. */
static void sleep_until_woken(struct stead_log_writer *writer)
{
    atomic_store(&writer->asleep, true);
    /* Whoever queued before the store above saw a writer awake: look once more. */
    bool nothing =
        atomic_load(&writer->queue) == NULL && !atomic_load(&writer->stopping) && !atomic_load(&writer->settle);
    if (nothing || !atomic_exchange(&writer->asleep, false))
        while (sem_wait(&writer->wake) != 0)
            ; /* a signal */
}

/* Two syncs settle the marks that wait (at a clean stop, so that the next start replays nothing), a third one the trims
 * that these allow. */
static void settle(struct stead_log_writer *writer, bool trims)
{
    for (int i = 0; i < 3 && !writer->failed && (has_marks(writer) || (trims && has_trims(writer))); i++) {
        writer->round++;
        (void)write_appends(writer, true);
    }
}

static void *run_writer(void *argument)
{
    struct stead_log_writer *writer = argument;
    for (;;) {
        bool stopping = atomic_load(&writer->stopping); /* before the queue: what was queued before it is written */
        take_queue(writer);
        if (writer->appends.first != NULL || writer->rows.first != NULL)
            run_round(writer);
        else if (stopping)
            break;
        else if (atomic_exchange(&writer->settle, false))
            settle(writer, true);
        else
            sleep_until_woken(writer);
    }
    settle(writer, false);
    return NULL;
}

int stead_log_writer_create(const struct stead_log_writer_options *options, struct stead_log_writer **ret_writer)
{
    struct stead_log_writer *writer = stead_alloc_zero(sizeof *writer);
    writer->options = *options;
    init_list(&writer->appends);
    init_list(&writer->rows);
    stead_histogram_reset(&writer->stats.sync_ns);
    stead_histogram_reset(&writer->stats.rows_ns);
    stead_histogram_reset(&writer->stats.batch_entries);
    stead_histogram_reset(&writer->stats.batch_bytes);
    sem_init(&writer->wake, 0, 0);
    pthread_mutex_init(&writer->stats_lock, NULL);
    if (pthread_create(&writer->thread, NULL, run_writer, writer) != 0) {
        pthread_mutex_destroy(&writer->stats_lock);
        sem_destroy(&writer->wake);
        free(writer);
        return STEAD_ENOMEM;
    }
    *ret_writer = writer;
    return 0;
}

void stead_log_writer_destroy(struct stead_log_writer **writer)
{
    struct stead_log_writer *it = *writer;
    if (it == NULL)
        return;
    atomic_store(&it->stopping, true);
    wake_writer(it);
    pthread_join(it->thread, NULL);
    pthread_mutex_destroy(&it->stats_lock);
    sem_destroy(&it->wake);
    free(it->shards);
    free(it);
    *writer = NULL;
}

void stead_log_writer_stats(struct stead_log_writer *writer, struct stead_log_writer_stats *ret_stats)
{
    pthread_mutex_lock(&writer->stats_lock);
    *ret_stats = writer->stats;
    pthread_mutex_unlock(&writer->stats_lock);
}
