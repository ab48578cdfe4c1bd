// crowd processes|threads|mappings N: many of one kind, each with memory that it proves and changes every 10 ms. Answers as `memory`:
//   state   -> "LONGEST_PAUSE_MS BYTES_BAD BEATS"
//   verify  -> the same after every one of them has beaten once more and looked at all it has
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "../common/lines.h"
#include "../common/pulse.h"

enum { PAGE = 4096, WORDS = PAGE / sizeof(uint64_t), PAGES_EACH = 16, STACK = 65536, PATIENCE_MS = 5000 };

// Shared with child processes.
struct member {
    _Atomic uint64_t beats, bad;
};
static struct member *members;
static size_t member_count;

// `mappings` has one member, which holds them all.
static uint64_t **mappings;
static size_t mapping_count;

static void sleep_ms(long ms) { nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL); }

static void *map(size_t length, int flags) {
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return memory;
}

static void fill(uint64_t *page, uint64_t seed) {
    for (size_t i = 0; i < WORDS; i++) page[i] = (seed + i) * 0x9E3779B97F4A7C15u;
}

static uint64_t bad_bytes(const uint64_t *page, uint64_t seed) {
    uint64_t bad = 0;
    for (size_t i = 0; i < WORDS; i++)
        if (page[i] != (seed + i) * 0x9E3779B97F4A7C15u) bad += sizeof *page;
    return bad;
}

// One process or thread: every beat it looks at all of its memory and fills one page of it anew.
static void *live(void *argument) {
    struct member *self = argument;
    uint64_t(*memory)[WORDS] = map(PAGES_EACH * PAGE, MAP_PRIVATE), versions[PAGES_EACH] = {0}, number = (uint64_t)(self - members) << 32;
    for (size_t i = 0; i < PAGES_EACH; i++) fill(memory[i], number + i);
    for (uint64_t beat = 0;; beat++) {
        for (size_t i = 0; i < PAGES_EACH; i++) self->bad += bad_bytes(memory[i], number + i + versions[i] * PAGES_EACH);
        size_t page = beat % PAGES_EACH;
        versions[page]++;
        fill(memory[page], number + page + versions[page] * PAGES_EACH);
        self->beats++;
        sleep_ms(10);
    }
    return NULL;
}

// Neighbours of different protection, so that the kernel keeps each as a mapping of its own. Every other one can be written.
static void *live_in_mappings(void *argument) {
    struct member *self = argument;
    uint64_t *versions = calloc(mapping_count, sizeof *versions), beat = 0;
    mappings = calloc(mapping_count, sizeof *mappings);
    char *area = map(mapping_count * PAGE, MAP_PRIVATE);
    for (size_t i = 0; i < mapping_count; i++) {
        mappings[i] = (uint64_t *)(area + i * PAGE);
        fill(mappings[i], i);
        if (i % 2 && mprotect(mappings[i], PAGE, PROT_READ)) {
            perror("mprotect");
            exit(1);
        }
    }
    for (;; beat++) {
        for (size_t i = 0; i < mapping_count; i++) self->bad += bad_bytes(mappings[i], i + versions[i] * mapping_count);
        for (size_t n = 0; n < 64; n++) {
            size_t i = (beat * 64 + n) * 2 % mapping_count;
            versions[i]++;
            fill(mappings[i], i + versions[i] * mapping_count);
        }
        self->beats++;
        sleep_ms(10);
    }
    return NULL;
}

static void start_thread(void *(*run)(void *), struct member *member) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    if (pthread_create(&thread, &attributes, run, member)) {
        perror("pthread_create");
        exit(1);
    }
}

static void start_process(struct member *member) {
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        exit(1);
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        live(member);
    }
}

// A member that does not beat any more is as bad as a wrong page.
static void wait_for_all(void) {
    for (size_t i = 0; i < member_count; i++) {
        uint64_t before = members[i].beats;
        long waited = 0;
        while (members[i].beats < before + 2 && waited < PATIENCE_MS) {
            sleep_ms(5);
            waited += 5;
        }
        if (members[i].beats < before + 2) members[i].bad += PAGE;
    }
}

static size_t answer(const char *line, size_t length, char *reply, size_t room) {
    uint64_t bad = 0, beats = 0;
    if (length > 0 && line[0] == 'v') wait_for_all();
    for (size_t i = 0; i < member_count; i++) {
        bad += members[i].bad;
        beats += members[i].beats;
    }
    return (size_t)snprintf(reply, room, "%.1f %" PRIu64 " %" PRIu64, pulse_longest_ms(), bad, beats);
}

int main(int count, char **arguments) {
    const char *kind = count > 1 ? arguments[1] : "";
    size_t number = count > 2 ? strtoul(arguments[2], NULL, 10) : 0;
    if (number == 0 || (strcmp(kind, "processes") && strcmp(kind, "threads") && strcmp(kind, "mappings"))) {
        fputs("usage: crowd processes|threads|mappings N\n", stderr);
        return 2;
    }
    member_count = kind[0] == 'm' ? 1 : number;
    members = map(member_count * sizeof *members, MAP_SHARED);
    if (kind[0] == 'm') {
        mapping_count = number;
        start_thread(live_in_mappings, members);
    } else {
        for (size_t i = 0; i < member_count; i++)
            if (kind[0] == 'p') start_process(&members[i]);
            else start_thread(live, &members[i]);
    }
    pulse_start();
    serve_lines(7002, answer);
}
