// shared MIB MIB_PER_SECOND: memory that belongs to no process alone, of every kind that CRIU knows, written in every way there is, and proven page by page.
// Answers on TCP what the workload `memory` does: state, verify -> "LONGEST_PAUSE_MS BYTES_BAD PAGES_WRITTEN".
//
// Each page is filled from (its object, its number, its version); version 0 is a hole and reads as zero. The versions stand in a table of their own, so a page of an
// older moment is found out. Object by object: mapped whole; its end unmapped; its beginning unmapped; a memfd that is mapped; one that is only written to; one that is cut and
// grown again; a SysV segment; one that another process writes; and one that is not a whole number of pages.
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

#include "../common/lines.h"

enum { PAGE = 4096, WORDS = PAGE / sizeof(uint64_t), TICK_US = 1000, ODD_END = 1000 };
enum kind { WHOLE, NO_END, NO_BEGINNING, MAPPED_FILE, WRITTEN_FILE, CUT_FILE, SYSV, OTHERS, ODD_FILE, KINDS };

struct object {
    char *mapped; // of the page `first`; NULL where it is a file
    int fd;
    size_t first, end; // the pages that may be touched
    uint32_t *versions;
};

// In shared memory itself, with the versions: two processes go by it.
struct control {
    pthread_mutex_t lock;
    uint64_t written, bytes_bad;
    double longest_pause_ms;
};

static struct object objects[KINDS];
static struct control *control;
static size_t page_count;
static double pages_per_tick;

static void give_up(const char *what) {
    perror(what);
    exit(1);
}

static void *share(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) give_up("mmap");
    return memory;
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void content_of(enum kind kind, size_t page, uint32_t version, uint64_t *words) {
    if (version == 0) {
        memset(words, 0, PAGE);
        return;
    }
    uint64_t state = (page + 1) * 0x9E3779B97F4A7C15u ^ ((uint64_t)version << 8 | (uint64_t)kind) * 0xD1B54A32D192ED03u;
    for (size_t i = 0; i < WORDS; i++) words[i] = next_random(&state);
}

static size_t length_of(enum kind kind, size_t page) { return kind == ODD_FILE && page == page_count - 1 ? ODD_END : PAGE; }

static void write_page(enum kind kind, size_t page) {
    struct object *object = &objects[kind];
    uint64_t words[WORDS];
    size_t length = length_of(kind, page);
    content_of(kind, page, ++object->versions[page], words);
    if (object->mapped)
        memcpy(object->mapped + (page - object->first) * PAGE, words, length);
    else if (pwrite(object->fd, words, length, (off_t)(page * PAGE)) != (ssize_t)length)
        give_up("pwrite");
    control->written++;
}

static void make_hole(enum kind kind, size_t page) {
    struct object *object = &objects[kind];
    if (object->mapped ? madvise(object->mapped + (page - object->first) * PAGE, PAGE, MADV_REMOVE) : fallocate(object->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(page * PAGE), PAGE))
        give_up("a hole");
    object->versions[page] = 0;
}

static void cut(size_t pages) {
    struct object *object = &objects[CUT_FILE];
    if (ftruncate(object->fd, (off_t)(pages * PAGE))) give_up("ftruncate");
    for (size_t page = pages; page < page_count; page++) object->versions[page] = 0;
    if (ftruncate(object->fd, (off_t)(page_count * PAGE))) give_up("ftruncate");
}

static void check_page(enum kind kind, size_t page) {
    struct object *object = &objects[kind];
    uint64_t want[WORDS], have[WORDS];
    size_t length = length_of(kind, page);
    content_of(kind, page, object->versions[page], want);
    if (object->mapped)
        memcpy(have, object->mapped + (page - object->first) * PAGE, length);
    else if (pread(object->fd, have, length, (off_t)(page * PAGE)) != (ssize_t)length)
        memset(have, 0x55, length); // shorter than it was
    for (size_t i = 0; i < length / sizeof *want; i++)
        if (want[i] != have[i]) control->bytes_bad += sizeof *want;
}

// A page is looked at before it is changed: damage does not wait for `verify`.
static void change_one(enum kind kind, uint64_t *random) {
    struct object *object = &objects[kind];
    size_t page = object->first + next_random(random) % (object->end - object->first);
    check_page(kind, page);
    if (next_random(random) % 16 == 0)
        make_hole(kind, page);
    else
        write_page(kind, page);
    if (kind == CUT_FILE && next_random(random) % 256 == 0) cut(page_count / 2 + next_random(random) % (page_count / 2));
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void change_for_ever(int other, uint64_t random) {
    double due = 0, before = now_ms();
    for (;;) {
        nanosleep(&(struct timespec){.tv_nsec = TICK_US * 1000}, NULL);
        double now = now_ms();
        pthread_mutex_lock(&control->lock);
        if (now - before > control->longest_pause_ms) control->longest_pause_ms = now - before;
        for (due += pages_per_tick; due >= 1; due -= 1) change_one(other ? OTHERS : (enum kind)(next_random(&random) % KINDS), &random);
        pthread_mutex_unlock(&control->lock);
        before = now;
    }
}

static void *change_in_thread(void *unused) {
    (void)unused;
    change_for_ever(0, 88172645463325252u);
    return NULL;
}

static size_t answer(const char *line, size_t length, char *reply, size_t room) {
    for (int kind = 0; length > 0 && line[0] == 'v' && kind < KINDS; kind++)
        for (size_t page = objects[kind].first; page < objects[kind].end; page++) {
            pthread_mutex_lock(&control->lock);
            check_page((enum kind)kind, page);
            pthread_mutex_unlock(&control->lock);
        }
    pthread_mutex_lock(&control->lock);
    int used = snprintf(reply, room, "%.1f %" PRIu64 " %" PRIu64, control->longest_pause_ms, control->bytes_bad, control->written);
    pthread_mutex_unlock(&control->lock);
    return (size_t)used;
}

static void make(enum kind kind) {
    struct object *object = &objects[kind];
    size_t bytes = page_count * PAGE, half = page_count / 2;
    *object = (struct object){.fd = -1, .end = page_count, .versions = share(page_count * sizeof(uint32_t))};
    if (kind == MAPPED_FILE || kind == WRITTEN_FILE || kind == CUT_FILE || kind == ODD_FILE) {
        object->fd = memfd_create("shared", 0);
        if (object->fd < 0 || ftruncate(object->fd, (off_t)(kind == ODD_FILE ? bytes - PAGE + ODD_END : bytes))) give_up("memfd");
        if (kind == MAPPED_FILE && (object->mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, object->fd, 0)) == MAP_FAILED) give_up("mmap");
    } else if (kind == SYSV) {
        int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
        if (id < 0 || (object->mapped = shmat(id, NULL, 0)) == (void *)-1) give_up("shmat");
    } else {
        object->mapped = share(bytes);
    }
    for (size_t page = 0; page < page_count; page++) write_page(kind, page);
    if (kind == NO_END) {
        if (munmap(object->mapped + half * PAGE, bytes - half * PAGE)) give_up("munmap");
        object->end = half;
    } else if (kind == NO_BEGINNING) {
        if (munmap(object->mapped, half * PAGE)) give_up("munmap");
        object->mapped += half * PAGE;
        object->first = half;
    }
}

int main(int count, char **arguments) {
    size_t mib = count > 1 ? strtoul(arguments[1], NULL, 10) : 32;
    double rate = count > 2 ? strtod(arguments[2], NULL) : 0;
    if (mib == 0) {
        fprintf(stderr, "usage: shared MIB MIB_PER_SECOND\n");
        return 2;
    }
    page_count = (mib << 8) / KINDS + 2;
    pages_per_tick = rate * 256 * TICK_US / 1e6 / 2;
    control = share(sizeof *control);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&control->lock, &attributes);
    for (int kind = 0; kind < KINDS; kind++) make((enum kind)kind);

    pid_t other = fork();
    if (other < 0) give_up("fork");
    if (other == 0) {
        prctl(PR_SET_PDEATHSIG, 9);
        change_for_ever(1, 1442695040888963407u);
    }
    pthread_t writer;
    if (pthread_create(&writer, NULL, change_in_thread, NULL)) return 1;
    serve_lines(7002, answer);
}
