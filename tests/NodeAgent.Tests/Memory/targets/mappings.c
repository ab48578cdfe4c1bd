// mappings [MORE]: has mappings of all kinds that a program may make, and that many more, and changes none of them after "ready".
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static char *make(int protection, int flags)
{
    char *at = mmap(NULL, 3 * 4096, protection, flags | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return NULL;
    if (protection & PROT_WRITE) memset(at, 1, 4096);
    return at;
}
int main(int count, char **words)
{
    int advice[] = { MADV_RANDOM, MADV_SEQUENTIAL, MADV_DONTFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_WIPEONFORK, MADV_MERGEABLE };
    for (unsigned i = 0; i < sizeof advice / sizeof *advice; i++) {
        char *at = make(PROT_READ | PROT_WRITE, MAP_PRIVATE);
        if (!at) return 2;
        // One in the middle: it is cut into three.
        madvise(at + 4096, 4096, advice[i]);
        madvise(at + 4096, 4096, advice[(i + 2) % 7]);
    }
    char *locked = make(PROT_READ | PROT_WRITE, MAP_PRIVATE);
    if (!locked || mlock(locked, 4096)) return 3;
    make(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_GROWSDOWN);
    make(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);
    make(PROT_READ | PROT_WRITE, MAP_SHARED);
    make(PROT_NONE, MAP_PRIVATE);
    make(PROT_READ | PROT_EXEC, MAP_PRIVATE);
    int memfd = memfd_create("a name with a space\nand a line", 0), self = open("/proc/self/exe", O_RDONLY);
    if (memfd < 0 || self < 0 || ftruncate(memfd, 1 << 20)) return 4;
    mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    mmap(NULL, 8192, PROT_READ, MAP_SHARED, memfd, 4096);
    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, self, 0);
    mmap(NULL, 4096, PROT_READ, MAP_SHARED, self, 0);
    int more = count > 1 ? atoi(words[1]) : 0;
    char *block = more ? mmap(NULL, more * 4096ul, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : NULL;
    // Each second page has another protection, so that no two are one mapping.
    for (int i = 0; i < more; i += 2) if (mprotect(block + i * 4096ul, 4096, PROT_READ | PROT_WRITE)) return 5;
    puts("ready");
    fflush(stdout);
    pause();
    return 0;
}
