// Does everything to its memory that programs do, at random and without pause, until SIGTERM. Then it writes one line that says how much it did, and stops itself so that it can be looked at.
// torture SEED [forks]
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define SLOTS 48
#define MIB (1UL << 20)

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

struct slot { char *at; size_t pages; int protection; int kind; };
static struct slot slots[SLOTS];
static uint64_t state;
static unsigned long steps, done[32];
static volatile sig_atomic_t end;

static void on_term(int s) { (void)s; end = 1; }

static uint64_t rnd(uint64_t bound)
{
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return state % bound;
}

static void scribble(char *at, size_t bytes)
{
    uint64_t v = rnd(UINT64_MAX - 1) + 1;
    for (size_t i = 0; i + 8 <= bytes; i += 8, v = v * 6364136223846793005UL + 1442695040888963407UL)
        memcpy(at + i, &v, 8);
}

enum { ANON, MEMFD_PRIVATE, MEMFD_SHARED, SHARED_ANON, FILE_PRIVATE, THP };

static void map(struct slot *s)
{
    s->kind = (int)rnd(10);
    s->pages = 1 + rnd(rnd(4) ? 256 : 1024);
    s->protection = PROT_READ | PROT_WRITE;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS, fd = -1;
    switch (s->kind) {
    case MEMFD_PRIVATE: case MEMFD_SHARED:
        fd = memfd_create("torture", 0);
        if (fd < 0 || ftruncate(fd, (off_t)(s->pages * PAGE))) abort();
        flags = s->kind == MEMFD_SHARED ? MAP_SHARED : MAP_PRIVATE;
        break;
    case SHARED_ANON: flags = MAP_SHARED | MAP_ANONYMOUS; break;
    case FILE_PRIVATE:
        fd = open("/proc/self/exe", O_RDONLY);
        s->pages = 2; flags = MAP_PRIVATE;
        break;
    case THP: s->pages = 1024 + rnd(1024); break;
    }
    s->at = mmap(NULL, s->pages * PAGE, s->protection, flags, fd, 0);
    if (fd >= 0) close(fd);
    if (s->at == MAP_FAILED) { s->at = NULL; return; }
    if (s->kind == THP) madvise(s->at, s->pages * PAGE, MADV_HUGEPAGE);
}

static void writable(struct slot *s)
{
    if (s->protection != (PROT_READ | PROT_WRITE)) {
        mprotect(s->at, s->pages * PAGE, PROT_READ | PROT_WRITE);
        s->protection = PROT_READ | PROT_WRITE;
    }
}

static int child(void)
{
    // A child that writes to what it shares with its parent, sometimes becomes another program, and always ends by itself.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < 200; i++) {
        struct slot *s = &slots[rnd(SLOTS)];
        if (!s->at) continue;
        writable(s);
        scribble(s->at + rnd(s->pages) * PAGE, 64);
        if (i == 100 && rnd(2)) execl("/bin/true", "true", NULL);
        if (i % 50 == 0) usleep(1000);
    }
    _exit(0);
}

static void step(int forks)
{
    struct slot *s = &slots[rnd(SLOTS)];
    if (!s->at) { map(s); return; }
    int what = (int)rnd(26);
    size_t page = rnd(s->pages), count = 1 + rnd(s->pages - page);
    char *at = s->at + page * PAGE;
    done[what]++;
    switch (what) {
    case 0: munmap(s->at, s->pages * PAGE); s->at = NULL; break;
    case 1: // a hole in the middle; the rest is forgotten but stays mapped when the slot is replaced: unmap it too
        munmap(at, count * PAGE);
        if (page) munmap(s->at, page * PAGE);
        if (page + count < s->pages) munmap(at + count * PAGE, (s->pages - page - count) * PAGE);
        s->at = NULL;
        break;
    case 2: { // move
        void *to = mremap(s->at, s->pages * PAGE, s->pages * PAGE + (rnd(2) ? 16 * PAGE : 0), MREMAP_MAYMOVE);
        if (to != MAP_FAILED) { if (s->kind != ANON && s->kind < THP) { /* growth of a file mapping is not touched */ } s->at = to; }
        break;
    }
    case 3: { // move and leave the old mapping behind, empty
        if (s->kind == ANON || s->kind >= THP) {
            void *to = mremap(s->at, s->pages * PAGE, s->pages * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
            if (to != MAP_FAILED) { munmap(s->at, s->pages * PAGE); s->at = to; }
        }
        break;
    }
    case 4: { // replace in place
        char *to = mmap(at, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (to == MAP_FAILED) abort();
        if (s->protection != (PROT_READ | PROT_WRITE)) mprotect(at, count * PAGE, s->protection);
        else if (rnd(2)) scribble(at, PAGE);
        break;
    }
    case 5: s->protection = PROT_NONE; mprotect(s->at, s->pages * PAGE, PROT_NONE); break;
    case 6: s->protection = PROT_READ; mprotect(s->at, s->pages * PAGE, PROT_READ); break;
    case 7: mprotect(at, count * PAGE, PROT_READ); mprotect(at, count * PAGE, s->protection); break;
    case 8: writable(s); madvise(at, count * PAGE, MADV_DONTNEED); break;
    case 9: writable(s); madvise(at, count * PAGE, MADV_FREE); break;
    case 10: writable(s); madvise(at, count * PAGE, MADV_DONTNEED); scribble(at, PAGE); break;
    case 11: { // the heap grows, is written, shrinks
        static intptr_t grown;
        intptr_t more = (intptr_t)((1 + rnd(64)) * PAGE), less = (intptr_t)(rnd(64) * PAGE);
        char *top = sbrk(more);
        if (top != (void *)-1) { grown += more; scribble(top, PAGE); }
        if (rnd(2) == 0 && grown >= less) { sbrk(-less); grown -= less; }
        break;
    }
    case 12: writable(s); memset(at, 0, count * PAGE); break;
    case 13: { volatile char c = s->protection == PROT_NONE ? 0 : *(volatile char *)at; (void)c; break; }
    case 14: if (forks && rnd(8) == 0) { pid_t p = fork(); if (p == 0) child(); } break;
    case 15: while (waitpid(-1, NULL, WNOHANG) > 0) {} break;
    case 16: writable(s); madvise(at, count * PAGE, MADV_POPULATE_WRITE); break;
    case 17: // the kernel writes into the memory, not the program
        { writable(s); int fd = open("/dev/urandom", O_RDONLY); if (read(fd, at, count > 8 ? 8 * PAGE : PAGE) < 0) {} close(fd); break; }
    case 18: if (s->kind == ANON || s->kind > THP) { writable(s); if (!madvise(at, PAGE, MADV_GUARD_INSTALL)) madvise(at, PAGE, MADV_GUARD_REMOVE); } break;
    case 19: if (rnd(16) == 0) madvise(s->at, s->pages * PAGE, rnd(2) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); break;
    case 20: if (rnd(16) == 0) { mlock(at, PAGE); munlock(at, PAGE); } break;
    default: { // plain writes, most of the time
        writable(s);
        int n = (int)rnd(64);
        for (int i = 0; i < n; i++) scribble(s->at + rnd(s->pages) * PAGE + 8 * rnd(504), 64);
    }
    }
}

int main(int argc, char **argv)
{
    state = strtoull(argv[1], NULL, 10) * 2654435761UL + 88172645463325252UL;
    int forks = argc > 2;
    struct sigaction action = { .sa_handler = on_term };
    sigaction(SIGTERM, &action, NULL);
    // A file mapping that shrank, or a page lost on purpose, must not look like a tracker's fault.
    puts("ready"); fflush(stdout);
    while (!end) {
        step(forks);
        if (++steps % 64 == 0) { struct timespec t = { 0, 200000 }; nanosleep(&t, NULL); }
    }
    if (forks) while (waitpid(-1, NULL, 0) > 0) {}
    printf("%lu steps\n", steps); fflush(stdout);
    for (;;) pause();
}
