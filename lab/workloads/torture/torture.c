// torture SEED: does to its memory whatever a program may do, and keeps a model that says what every byte has to be. Answers as `memory`:
//   state   -> "LONGEST_PAUSE_MS BYTES_BAD STEPS"
//   verify  -> the same after looking at every page
//   fault   -> the first wrong page in words, or "none"
//
// Areas of several kinds are mapped, grown, moved, split, protected, dropped and unmapped at random; children are forked and executed that
// look at their own copy for a while and report by their exit code. A page is filled from (seed of its area, its place in it, its version);
// version 0 is what the kernel gives for an untouched page: zeroes, or what the file has.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../common/lines.h"
#include "../common/pulse.h"

enum { PAGE = 4096, WORDS = PAGE / sizeof(uint64_t), AREAS = 40, MAX_PAGES = 1024, HUGE = 2 << 20, CHILDREN = 6, STEP_US = 500, FILE_PAGES = 128 };

enum kind { NOTHING, PRIVATE, SHARED, MEMFD, MEMFD_PRIVATE, FILE_PRIVATE, FILE_SHARED, HEAP, THP };
static const char *const kind_names[] = {"nothing",      "private", "shared", "memfd", "memfd, private", "file, private",
                                         "file, shared", "heap",    "huge pages"};

struct area {
    enum kind kind;
    uint64_t seed;
    char *start;
    size_t count, file_page; // pages; where in the file it begins
    int fd;
    uint32_t version[MAX_PAGES];
    uint8_t protection[MAX_PAGES]; // PROT_*
    bool hole[MAX_PAGES];          // unmapped out of the middle
    bool freed[MAX_PAGES];         // MADV_FREE since it was written: either what it was, or zeroes
};

// In memory of its own, away from what is tortured.
static struct area *areas;
static pid_t children[CHILDREN];
static int file_fd;
static uint64_t file_seed = 77, random_state, next_seed = 1000;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards everything above and the pages
static uint64_t steps, bytes_bad;
static char first_fault[256] = "none";

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t below(size_t limit) { return (size_t)(next_random() % limit); }

static _Noreturn void give_up(const char *doing) {
    fprintf(stderr, "torture: %s: %s\n", doing, strerror(errno));
    exit(1);
}

// Read back over the connection, so nothing depends on a log.
static void note_fault(const struct area *area, size_t page, size_t bad, const uint64_t *found) {
    bytes_bad += bad;
    if (strcmp(first_fault, "none") == 0)
        snprintf(first_fault, sizeof first_fault, "step %" PRIu64 ": %s at %p, page %zu of %zu, version %u%s, protection %d: %zu bytes bad, first word %" PRIx64,
                 steps, kind_names[area->kind], (const void *)area->start, page, area->count, area->version[page], area->freed[page] ? " freed" : "",
                 area->protection[page], bad, found[0]);
}

static void fill(uint64_t *page, uint64_t seed, size_t number, uint32_t version) {
    uint64_t state = (seed * 4099 + number + 1) * 0x9E3779B97F4A7C15u ^ ((uint64_t)version + 1) * 0xD1B54A32D192ED03u;
    for (size_t i = 0; i < WORDS; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        page[i] = state;
    }
}

static size_t differing(const uint64_t *page, const uint64_t *expected) {
    size_t bad = 0;
    for (size_t i = 0; i < WORDS; i++)
        if (page[i] != expected[i]) bad += sizeof *page;
    return bad;
}

static void expected_page(const struct area *area, size_t page, uint64_t *expected) {
    if (area->version[page] > 0) fill(expected, area->seed, page, area->version[page]);
    else if (area->kind == FILE_PRIVATE) fill(expected, file_seed, area->file_page + page, 1);
    else memset(expected, 0, PAGE);
}

static void check(struct area *area, size_t page) {
    uint64_t expected[WORDS];
    if (area->hole[page]) return;
    char *at = area->start + page * PAGE;
    bool closed = !(area->protection[page] & PROT_READ);
    if (closed && mprotect(at, PAGE, PROT_READ)) give_up("mprotect for a look");
    expected_page(area, page, expected);
    size_t bad = differing((uint64_t *)at, expected);
    if (bad > 0 && area->freed[page]) {
        // Nothing at all is as right as what it was; a mixture is not.
        static const uint64_t zero[WORDS];
        bad = differing((uint64_t *)at, zero);
    }
    if (bad > 0) note_fault(area, page, bad, (uint64_t *)at);
    if (closed && mprotect(at, PAGE, area->protection[page])) give_up("mprotect after a look");
}

static void check_all(bool private_only) {
    for (size_t i = 0; i < AREAS; i++) {
        enum kind kind = areas[i].kind;
        // A child sees what the parent goes on writing to.
        if (kind == NOTHING || (private_only && (kind == SHARED || kind == MEMFD || kind == FILE_SHARED))) continue;
        for (size_t page = 0; page < areas[i].count; page++) check(&areas[i], page);
    }
}

static bool is_open(const struct area *area, size_t page) { return !area->hole[page] && (area->protection[page] & PROT_WRITE); }

static void write_page(struct area *area, size_t page) {
    if (!is_open(area, page)) return;
    check(area, page);
    area->version[page]++;
    area->freed[page] = false;
    fill((uint64_t *)(area->start + page * PAGE), area->seed, page, area->version[page]);
}

static void forget(struct area *area, size_t from, size_t count) {
    for (size_t page = from; page < from + count; page++) {
        area->version[page] = 0;
        area->freed[page] = false;
    }
}

static struct area *free_slot(void) {
    for (size_t i = 1; i < AREAS; i++)
        if (areas[i].kind == NOTHING) return &areas[i];
    return NULL;
}

// The heap is area 0 and always there.
static struct area *some_area(void) {
    for (size_t tries = 0; tries < 8; tries++) {
        struct area *area = &areas[below(AREAS)];
        if (area->kind != NOTHING && area->count > 0) return area;
    }
    return NULL;
}

static void shared_name(const struct area *area, char *name, size_t room) {
    snprintf(name, room, "/var/tmp/shared-%d-%" PRIu64, (int)getpid(), area->seed);
}

static void map_area(void) {
    struct area *area = free_slot();
    if (!area) return;
    enum kind kind = PRIVATE + below(THP - PRIVATE + 1);
    if (kind == HEAP) kind = PRIVATE;
    memset(area, 0, sizeof *area);
    area->seed = next_seed++;
    area->count = kind == THP ? MAX_PAGES : 1 + below(64);
    area->fd = -1;
    int flags = kind == SHARED || kind == MEMFD || kind == FILE_SHARED ? MAP_SHARED : MAP_PRIVATE;
    if (kind == PRIVATE || kind == SHARED || kind == THP) flags |= MAP_ANONYMOUS;
    if (kind == MEMFD || kind == MEMFD_PRIVATE) {
        area->fd = memfd_create("torture", MFD_CLOEXEC);
        if (area->fd < 0 || ftruncate(area->fd, (off_t)(area->count * PAGE))) give_up("memfd");
    } else if (kind == FILE_PRIVATE) {
        area->fd = dup(file_fd);
        area->file_page = below(FILE_PAGES - area->count + 1);
    } else if (kind == FILE_SHARED) {
        char name[64];
        shared_name(area, name, sizeof name);
        area->fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (area->fd < 0 || ftruncate(area->fd, (off_t)(area->count * PAGE))) give_up(name);
    }
    size_t length = area->count * PAGE;
    char *start = mmap(NULL, kind == THP ? length + HUGE : length, PROT_READ | PROT_WRITE, flags, area->fd, (off_t)(area->file_page * PAGE));
    if (start == MAP_FAILED) give_up("mmap");
    if (kind == THP) {
        char *aligned = (char *)(((uintptr_t)start + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
        if (aligned > start) munmap(start, (size_t)(aligned - start));
        if (aligned + length < start + length + HUGE) munmap(aligned + length, (size_t)(start + HUGE - aligned));
        start = aligned;
        madvise(start, length, MADV_HUGEPAGE); // refused where the kernel has none: then it is plain memory
    }
    area->start = start;
    memset(area->protection, PROT_READ | PROT_WRITE, sizeof area->protection);
    area->kind = kind;
    for (size_t page = 0; page < area->count; page++)
        if (below(3)) write_page(area, page);
}

static void unmap_area(struct area *area) {
    if (area->kind == HEAP) return;
    check(area, below(area->count));
    // Page by page where holes are: what lies in them may be somebody else's by now.
    for (size_t page = 0; page < area->count; page++)
        if (!area->hole[page] && munmap(area->start + page * PAGE, PAGE)) give_up("munmap");
    if (area->fd >= 0) close(area->fd);
    if (area->kind == FILE_SHARED) {
        char name[64];
        shared_name(area, name, sizeof name);
        unlink(name);
    }
    area->kind = NOTHING;
}

static void punch(struct area *area) {
    if (area->kind == HEAP || area->count < 4) return;
    size_t from = below(area->count), count = 1 + below(area->count - from);
    for (size_t page = from; page < from + count; page++) {
        if (area->hole[page]) continue;
        if (munmap(area->start + page * PAGE, PAGE)) give_up("munmap of a part");
        area->hole[page] = true;
    }
    forget(area, from, count);
}

static bool has_holes(const struct area *area) {
    for (size_t page = 0; page < area->count; page++)
        if (area->hole[page] || area->protection[page] != (PROT_READ | PROT_WRITE)) return true;
    return false;
}

// Moves it elsewhere; anonymous private memory also grows or shrinks on the way. One mapping at a time is all that mremap takes.
static void move_area(struct area *area) {
    if (area->kind == HEAP || area->kind == THP || has_holes(area)) return;
    size_t count = area->count;
    if (area->kind == PRIVATE) count = 1 + below(96);
    char *place = mmap(NULL, count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) give_up("mmap of a place");
    char *moved = mremap(area->start, area->count * PAGE, count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    if (moved == MAP_FAILED) {
        // Parts that were written apart from each other are several mappings to the kernel. From Linux 6.17 on it moves them all, or, where one of them
        // is watched by a userfaultfd, those before that one: they come back.
        if (errno != EFAULT) give_up("mremap");
        unsigned char resident;
        for (size_t page = 0; page < area->count; page++)
            if (mincore(area->start + page * PAGE, PAGE, &resident) && errno == ENOMEM
                && mremap(place + page * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area->start + page * PAGE) == MAP_FAILED)
                give_up("mremap back");
        munmap(place, count * PAGE);
        return;
    }
    area->start = moved;
    if (count > area->count) {
        forget(area, area->count, count - area->count);
        memset(area->protection + area->count, PROT_READ | PROT_WRITE, count - area->count);
        memset(area->hole + area->count, 0, count - area->count);
    }
    area->count = count;
}

static void protect(struct area *area) {
    static const uint8_t choices[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE};
    uint8_t protection = choices[below(4)];
    size_t from = below(area->count), count = 1 + below(area->count - from);
    for (size_t page = from; page < from + count; page++) {
        if (area->hole[page] || area->protection[page] == protection) continue;
        if (mprotect(area->start + page * PAGE, PAGE, protection)) {
            if (errno == ENOMEM) return; // no more mappings to be had
            give_up("mprotect");
        }
        area->protection[page] = protection;
    }
}

static void drop(struct area *area) {
    bool anonymous = area->kind == PRIVATE || area->kind == HEAP || area->kind == THP;
    bool freeing = anonymous && below(2);
    size_t from = below(area->count), count = 1 + below(area->count - from);
    for (size_t page = from; page < from + count; page++) {
        if (area->hole[page]) continue;
        if (madvise(area->start + page * PAGE, PAGE, freeing ? MADV_FREE : MADV_DONTNEED)) {
            if (errno == EINVAL) continue;
            give_up("madvise");
        }
        if (freeing) area->freed[page] = true;
        else if (anonymous || area->kind == FILE_PRIVATE || area->kind == MEMFD_PRIVATE) forget(area, page, 1);
    }
}

static void change_heap(void) {
    struct area *heap = &areas[0];
    size_t count = below(256);
    if (brk(heap->start + count * PAGE)) give_up("brk");
    if (count < heap->count) forget(heap, count, heap->count - count);
    for (size_t page = heap->count; page < count; page++) {
        heap->version[page] = 0;
        heap->freed[page] = false;
        heap->protection[page] = PROT_READ | PROT_WRITE;
    }
    heap->count = count;
    for (size_t i = 0; i < 8 && count > 0; i++) write_page(heap, below(count));
}

// A child has its own copy of all private memory and changes it, which the parent must never see.
static void child_lives(void) {
    bytes_bad = 0;
    for (size_t round = 0; round < 5; round++) {
        check_all(true);
        for (size_t i = 0; i < 20; i++) {
            struct area *area = some_area();
            if (area && area->kind != SHARED && area->kind != MEMFD && area->kind != FILE_SHARED) write_page(area, below(area->count));
        }
        nanosleep(&(struct timespec){.tv_nsec = (long)below(40) * 1000000}, NULL);
    }
    check_all(true);
    _exit(bytes_bad ? 3 : 0);
}

static void start_child(void) {
    for (size_t i = 0; i < CHILDREN; i++) {
        if (children[i]) continue;
        bool executes = below(2);
        uint64_t seed = next_random();
        pid_t child = fork();
        if (child < 0) give_up("fork");
        if (child == 0) {
            if (!executes) {
                random_state = seed;
                child_lives();
            }
            char text[32];
            snprintf(text, sizeof text, "%" PRIu64, seed | 1);
            execl("/proc/self/exe", "torture", "child", text, (char *)NULL);
            _exit(4);
        }
        children[i] = child;
        return;
    }
}

static void collect_children(void) {
    for (size_t i = 0; i < CHILDREN; i++) {
        int status;
        if (!children[i] || waitpid(children[i], &status, WNOHANG) != children[i]) continue;
        children[i] = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
        bytes_bad += PAGE;
        if (strcmp(first_fault, "none") == 0)
            snprintf(first_fault, sizeof first_fault, "step %" PRIu64 ": a child ended with %s %d", steps, WIFEXITED(status) ? "exit code" : "signal",
                     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
}

static void step(void) {
    struct area *area = some_area();
    steps++;
    switch (below(24)) {
        case 0: map_area(); break;
        case 1: if (area && below(2)) unmap_area(area); break;
        case 2: if (area) punch(area); break;
        case 3: if (area) move_area(area); break;
        case 4: if (area) protect(area); break;
        case 5: if (area) drop(area); break;
        case 6: change_heap(); break;
        case 7: if (below(3) == 0) start_child(); break;
        case 8: collect_children(); break;
        case 9: if (below(16) == 0) check_all(false); break;
        default:
            for (size_t i = 0; area && i < 4; i++) write_page(area, below(area->count));
    }
}

static void *torture_for_ever(void *unused) {
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        step();
        pthread_mutex_unlock(&lock);
        nanosleep(&(struct timespec){.tv_nsec = STEP_US * 1000}, NULL);
    }
    return NULL;
}

static size_t answer(const char *line, size_t length, char *reply, size_t room) {
    pthread_mutex_lock(&lock);
    if (length > 0 && line[0] == 'v') check_all(false);
    int used = length > 0 && line[0] == 'f' ? snprintf(reply, room, "%s", first_fault)
                                            : snprintf(reply, room, "%.1f %" PRIu64 " %" PRIu64, pulse_longest_ms(), bytes_bad, steps);
    pthread_mutex_unlock(&lock);
    return (size_t)used;
}

static void prepare(uint64_t seed) {
    random_state = seed * 0x9E3779B97F4A7C15u | 1;
    // malloc keeps off the heap, which is tortured too.
    mallopt(M_MMAP_THRESHOLD, 0);
    mallopt(M_TRIM_THRESHOLD, -1);
    areas = mmap(NULL, AREAS * sizeof *areas, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (areas == MAP_FAILED) give_up("mmap");
    uintptr_t end = (uintptr_t)sbrk(0);
    areas[0] = (struct area){.kind = HEAP, .seed = 1, .start = (char *)((end + PAGE - 1) & ~(uintptr_t)(PAGE - 1)), .fd = -1};

    char name[64];
    uint64_t page[WORDS];
    snprintf(name, sizeof name, "/var/tmp/torture-%d", (int)getpid());
    file_fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file_fd < 0) give_up(name);
    for (size_t i = 0; i < FILE_PAGES; i++) {
        fill(page, file_seed, i, 1);
        if (write(file_fd, page, PAGE) != PAGE) give_up(name);
    }
}

int main(int count, char **arguments) {
    if (count == 3 && strcmp(arguments[1], "child") == 0) {
        // What was executed begins with nothing of its parent's.
        prepare(strtoull(arguments[2], NULL, 10));
        for (size_t i = 0; i < 400; i++) {
            size_t what = below(8);
            struct area *area = some_area();
            if (what == 0) map_area();
            else if (what == 1) change_heap();
            else if (area && what == 2) drop(area);
            else if (area && what == 3) protect(area);
            else if (area) write_page(area, below(area->count));
            if (i % 40 == 0) nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        }
        check_all(false);
        for (size_t i = 1; i < AREAS; i++)
            if (areas[i].kind == FILE_SHARED) unmap_area(&areas[i]);
        char name[64];
        snprintf(name, sizeof name, "/var/tmp/torture-%d", (int)getpid());
        unlink(name);
        return bytes_bad ? 3 : 0;
    }
    prepare(count > 1 ? strtoull(arguments[1], NULL, 10) : 1);
    for (size_t i = 0; i < AREAS / 2; i++) map_area();
    pulse_start();
    pthread_t thread;
    if (pthread_create(&thread, NULL, torture_for_ever, NULL)) give_up("pthread_create");
    serve_lines(7002, answer);
}
