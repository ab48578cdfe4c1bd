// memory MIB MIB_PER_SECOND [shared]: holds MIB of random data that it can prove, rewrites MIB_PER_SECOND of it, and notes every
// moment it could not run. Answers on TCP:
//   state   -> "LONGEST_PAUSE_MS BYTES_BAD PAGES_WRITTEN"
//   verify  -> the same after looking at every page
//
// Each page is filled from (its number, its version). The versions stand in a table of their own, so a page that comes back
// from an older moment is found out, although it would be right in itself.
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../common/lines.h"

enum { PAGE = 4096, WORDS = PAGE / sizeof(uint64_t), TICK_US = 1000, LONG_PAUSE_MS = 20 };

static uint64_t (*pages)[WORDS];
static uint32_t *versions;
static size_t page_count;
static double pages_per_tick;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards everything below and the pages' contents
static atomic_bool writer_waits;                         // a mutex is not fair: who looks at all pages would keep it, and the pause would be its own
static uint64_t written, bytes_bad;
static double longest_pause_ms;

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t seed_of(size_t page, uint32_t version) {
    return ((uint64_t)page + 1) * 0x9E3779B97F4A7C15u ^ ((uint64_t)version + 1) * 0xD1B54A32D192ED03u;
}

static void fill_page(size_t page) {
    uint64_t state = seed_of(page, versions[page]);
    for (size_t i = 0; i < WORDS; i++) pages[page][i] = next_random(&state);
}

static uint64_t bad_bytes_in(size_t page) {
    uint64_t state = seed_of(page, versions[page]), bad = 0;
    for (size_t i = 0; i < WORDS; i++)
        if (pages[page][i] != next_random(&state)) bad += sizeof(uint64_t);
    return bad;
}

static void lock_as_writer(void) {
    atomic_store(&writer_waits, true);
    pthread_mutex_lock(&lock);
    atomic_store(&writer_waits, false);
}

// A page is looked at before it is written anew: damage does not wait for `verify`.
static void rewrite_some(double *due, uint64_t *random) {
    lock_as_writer();
    for (*due += pages_per_tick; *due >= 1; *due -= 1) {
        size_t page = next_random(random) % page_count;
        bytes_bad += bad_bytes_in(page);
        versions[page]++;
        fill_page(page);
        written++;
    }
    pthread_mutex_unlock(&lock);
}

static void note_pause(FILE *log, double ms, double now) {
    lock_as_writer();
    if (ms > longest_pause_ms) longest_pause_ms = ms;
    pthread_mutex_unlock(&lock);
    if (ms > LONG_PAUSE_MS) {
        fprintf(log, "pause %.1f ms until %.3f\n", ms, now / 1e3);
        fflush(log);
    }
}

// Not the monotonic clock: CRIU gives a restored process a time namespace in which that goes on where it stood at the dump.
static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void *write_for_ever(void *unused) {
    (void)unused;
    FILE *log = fopen("/tmp/pauses", "w");
    if (!log) {
        perror("/tmp/pauses");
        exit(1);
    }
    double due = 0, before = now_ms();
    uint64_t random = 88172645463325252u;
    for (;;) {
        nanosleep(&(struct timespec){.tv_nsec = TICK_US * 1000}, NULL);
        double now = now_ms();
        note_pause(log, now - before, now);
        before = now;
        rewrite_some(&due, &random);
    }
}

static void verify_all(void) {
    for (size_t page = 0; page < page_count;) {
        pthread_mutex_lock(&lock);
        for (size_t end = page + 64; page < end && page < page_count; page++) bytes_bad += bad_bytes_in(page);
        pthread_mutex_unlock(&lock);
        while (atomic_load(&writer_waits)) sched_yield();
    }
}

static size_t answer(const char *line, size_t length, char *reply, size_t room) {
    if (length > 0 && line[0] == 'v') verify_all();
    pthread_mutex_lock(&lock);
    int used = snprintf(reply, room, "%.1f %" PRIu64 " %" PRIu64, longest_pause_ms, bytes_bad, written);
    pthread_mutex_unlock(&lock);
    return (size_t)used;
}

int main(int count, char **arguments) {
    size_t mib = count > 1 ? strtoul(arguments[1], NULL, 10) : 64;
    double rate = count > 2 ? strtod(arguments[2], NULL) : 0;
    if (mib == 0) {
        fprintf(stderr, "usage: memory MIB MIB_PER_SECOND [shared]\n");
        return 2;
    }
    page_count = mib << 8;
    pages_per_tick = rate * 256 * TICK_US / 1e6;
    int sharing = count > 3 && strcmp(arguments[3], "shared") == 0 ? MAP_SHARED : MAP_PRIVATE;
    pages = mmap(NULL, page_count * PAGE, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
    versions = calloc(page_count, sizeof *versions);
    if (pages == MAP_FAILED || !versions) {
        perror("memory");
        return 1;
    }
    for (size_t page = 0; page < page_count; page++) fill_page(page);

    pthread_t writer;
    if (pthread_create(&writer, NULL, write_for_ever, NULL)) return 1;
    serve_lines(7002, answer);
}
