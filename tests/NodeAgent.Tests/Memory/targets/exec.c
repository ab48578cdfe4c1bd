// Executes itself again every few milliseconds, from a second thread every other time, COUNT times, then says "alive". A tracker that meddles at the wrong moment breaks the chain.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static char **arguments;
static void *again(void *unused) { (void)unused; execv("/proc/self/exe", arguments); _exit(3); }
int main(int argc, char **argv)
{
    int left = atoi(argv[1]);
    if (argc == 2) { puts("ready"); fflush(stdout); }
    if (left == 0) { puts("alive"); return 0; }
    char *memory = malloc(1 << 20); memset(memory, left, 1 << 20);
    struct timespec t = { 0, 3000000 };
    if (nanosleep(&t, NULL)) { puts("a sleep was interrupted"); return 1; }
    char count[16]; snprintf(count, sizeof count, "%d", left - 1);
    char *next[] = { argv[0], count, "on", NULL };
    arguments = next;
    if (left % 2) again(NULL);
    pthread_t thread; pthread_create(&thread, NULL, again, NULL); pthread_join(thread, NULL);
    return 4;
}
