// A family of processes with two threads each. They stand in a ring of pipes, and share memory:
//
//   server ─pipe─▶ child 1 (reader ─▶ writer) ─pipe─▶ child 2 ─▶ … ─pipe─▶ server
//
// Each line on TCP sends the next number round the ring; every child notes it in its slot of the shared memory, its two
// threads handing it over to each other. The answer is "NUMBER CHILDREN", or "broken" when a slot does not hold the number.
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common/lines.h"

enum { CHILDREN = 4 };

static uint64_t *slots; // one for each child, shared
static int ring_in, ring_out;

// The hand-over between the two threads of one child.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t in_hand;

static void need(int condition, const char *what) {
    if (condition) return;
    perror(what);
    exit(1);
}

static void *read_ring(void *unused) {
    (void)unused;
    uint64_t number;
    while (read(ring_in, &number, sizeof number) == sizeof number) {
        pthread_mutex_lock(&lock);
        in_hand = number;
        pthread_cond_signal(&changed);
        pthread_mutex_unlock(&lock);
    }
    exit(0); // whoever is before us in the ring is gone
}

static _Noreturn void be_child(uint64_t *slot) {
    pthread_t reader;
    need(!pthread_create(&reader, NULL, read_ring, NULL), "pthread_create");
    for (uint64_t last = 0;;) {
        pthread_mutex_lock(&lock);
        while (in_hand == last) pthread_cond_wait(&changed, &lock);
        last = in_hand;
        pthread_mutex_unlock(&lock);
        __atomic_store_n(slot, last, __ATOMIC_RELEASE);
        need(write(ring_out, &last, sizeof last) == sizeof last, "write");
    }
}

static size_t send_round(const char *line, size_t length, char *reply, size_t room) {
    static uint64_t number;
    uint64_t back = 0;
    (void)line, (void)length;
    number++;
    need(write(ring_out, &number, sizeof number) == sizeof number, "write");
    need(read(ring_in, &back, sizeof back) == sizeof back, "read");
    int whole = back == number;
    for (int i = 0; i < CHILDREN; i++) whole &= __atomic_load_n(&slots[i], __ATOMIC_ACQUIRE) == number;
    return (size_t)(whole ? snprintf(reply, room, "%" PRIu64 " %d", number, CHILDREN) : snprintf(reply, room, "broken"));
}

int main(void) {
    int pipes[CHILDREN + 1][2];
    slots = mmap(NULL, CHILDREN * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(slots != MAP_FAILED, "mmap");
    for (int i = 0; i <= CHILDREN; i++) need(!pipe(pipes[i]), "pipe");
    for (int i = 0; i <= CHILDREN; i++) {
        pid_t child = i < CHILDREN ? fork() : 0;
        need(child >= 0, "fork");
        if (child > 0) continue;
        // Child i reads pipe i and writes pipe i + 1; the server (last here) reads the last and writes the first.
        ring_in = pipes[i][0];
        ring_out = pipes[i < CHILDREN ? i + 1 : 0][1];
        for (int k = 0; k <= CHILDREN; k++) {
            if (pipes[k][0] != ring_in) close(pipes[k][0]);
            if (pipes[k][1] != ring_out) close(pipes[k][1]);
        }
        if (i < CHILDREN) be_child(&slots[i]);
    }
    serve_lines(7003, send_round);
}
