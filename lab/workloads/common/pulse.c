#include "pulse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static _Atomic int64_t longest_us;

// Not the monotonic clock: CRIU gives a restored process a time namespace in which that goes on where it stood at the dump.
static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void *beat(void *unused) {
    (void)unused;
    for (int64_t before = now_us();;) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        int64_t now = now_us();
        if (now - before > atomic_load(&longest_us)) atomic_store(&longest_us, now - before);
        before = now;
    }
    return NULL;
}

void pulse_start(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, beat, NULL)) {
        fputs("cannot start a thread\n", stderr);
        exit(1);
    }
}

double pulse_longest_ms(void) { return (double)atomic_load(&longest_us) / 1e3; }
