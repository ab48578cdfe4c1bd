// writer MIB MIB_PER_SECOND: a memory of random bytes of which pages are rewritten at a steady rate. Prints each half second what one write of a page cost, in nanoseconds.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
int main(int argc, char **argv)
{
    size_t pages = (size_t)atol(argv[1]) * 256, burst = (size_t)(atof(argv[2]) * 256 / 100);
    if (argc < 3 || pages == 0) return 2;
    char *memory = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned long x = 88172645463325252UL;
    for (size_t i = 0; i < pages * 512; i++) { x ^= x << 13; x ^= x >> 7; x ^= x << 17; memcpy(memory + i * 8, &x, 8); }
    printf("pid %d\n", getpid()); fflush(stdout);
    // Ends by itself, should whoever started it be killed.
    for (double end = now() + 600; now() < end;) {
        double spent = 0; size_t done = 0;
        for (int i = 0; i < 50; i++) {
            double began = now();
            for (size_t k = 0; k < burst; k++) { x ^= x << 13; x ^= x >> 7; x ^= x << 17; memory[(x % pages) * 4096 + x % 4096]++; }
            spent += now() - began; done += burst;
            struct timespec t = { 0, 10000000 }; nanosleep(&t, NULL);
        }
        printf("write %.1f\n", spent * 1e9 / (done ? done : 1)); fflush(stdout);
    }
    return 0;
}
