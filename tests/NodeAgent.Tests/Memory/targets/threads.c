// threads N [churn]: N threads that each keep a counter on their own stack and in the heap equal; with churn some end and are made anew all the time. "alive" at SIGTERM.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static volatile sig_atomic_t done;
static void on_term(int s) { (void)s; done = 1; }
static int churn;
static void *work(void *argument)
{
    volatile unsigned long here = 0, *there = argument;
    *there = 0;
    for (int i = 0; !done && (!churn || i < 20); i++) {
        here++; (*there)++;
        if (here != *there) { puts("a counter is wrong"); fflush(stdout); _exit(1); }
        struct timespec t = { 0, 2000000 };
        if (nanosleep(&t, NULL)) { puts("a sleep was interrupted"); fflush(stdout); _exit(1); }
    }
    return NULL;
}
int main(int argc, char **argv)
{
    int n = atoi(argv[1]);
    churn = argc > 2;
    struct sigaction action = { .sa_handler = on_term };
    sigaction(SIGTERM, &action, NULL);
    pthread_t *threads = calloc((size_t)n, sizeof *threads);
    unsigned long **counters = calloc((size_t)n, sizeof *counters);
    sigset_t all, old; sigfillset(&all); pthread_sigmask(SIG_BLOCK, &all, &old);
    for (int i = 0; i < n; i++) { counters[i] = malloc(4096); if (pthread_create(&threads[i], NULL, work, counters[i])) return 2; }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    puts("ready"); fflush(stdout);
    while (!done) {
        if (!churn) { usleep(10000); continue; }
        for (int i = 0; i < n && !done; i++) { pthread_join(threads[i], NULL); pthread_sigmask(SIG_BLOCK, &all, &old); pthread_create(&threads[i], NULL, work, counters[i]); pthread_sigmask(SIG_SETMASK, &old, NULL); }
    }
    puts("alive");
    return 0;
}
