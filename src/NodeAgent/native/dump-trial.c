/*
 * A small process with known memory, for the agent to dump at its start: shows whether the shim keeps this CRIU from what it must not read,
 * and from nothing else. It is the first process of a pid namespace of its own, keeps no file open, and sleeps until it is killed.
 *
 * Three areas of 64 pages, and two of shared memory, each word of them its own address times a constant; src/NodeAgent/Criu/DumpTrial.cs knows the same numbers.
 * Its name becomes "ready" when all is written.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define AREAS 5
#define PRIVATE 3
#define FIRST 0x200000000000UL
#define APART 0x000010000000UL
#define PAGES 64
#define PATTERN 0x9E3779B97F4A7C15UL

int main(void) {
    int null = open("/dev/null", O_RDWR);
    if (null < 0) return 1;
    for (int fd = 0; fd < 3; fd++)
        if (dup2(null, fd) < 0) return 1;
    if (null > 2) close(null);
    if (setsid() < 0) return 1;
    for (uint64_t area = 0; area < AREAS; area++) {
        uint64_t *words = mmap((void *)(FIRST + area * APART), PAGES * 4096, PROT_READ | PROT_WRITE, (area < PRIVATE ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (words == MAP_FAILED) return 1;
        for (uint64_t i = 0; i < PAGES * 512; i++) words[i] = (uint64_t)(uintptr_t)&words[i] * PATTERN;
    }
    prctl(PR_SET_NAME, "ready");
    while (1) pause();
}
