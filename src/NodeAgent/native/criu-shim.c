/*
 * Keeps `criu dump` from reading memory that the engine moves itself.
 *
 * Preloaded into CRIU. CRIU asks the kernel with ioctl(PAGEMAP_SCAN) which pages of a process it has to save; this answers for the ranges
 * that the engine owns that there are none, and passes everything else on. The dump is then as quick for 4 GiB as for 4 MiB.
 *
 * Objects of shared memory it walks with lseek(SEEK_DATA): for those that the engine owns there is no data.
 *
 * Both come from the file named in EVACUATOR_OWNED, little endian:
 *     u32 magic "EVOR"   u32 version 2   u64 number of ranges   u64 number of objects
 *     range:  u32 pid  u32 zero  u64 start  u64 end     sorted by pid and start, not overlapping, whole pages
 *     object: u32 major  u32 minor  u64 inode           of its device; sorted by inode
 * Without the variable nothing is changed. With it and no readable file, every PAGEMAP_SCAN and SEEK_DATA fails: a dump that quietly saved everything
 * would freeze the container for as long as its memory is large.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PAGEMAP_SCAN 0xC0606610UL
#define MAGIC 0x524F5645u

struct scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask, category_anyof_mask, return_mask;
};

struct header {
    uint32_t magic, version;
    uint64_t ranges, objects;
};

struct range {
    uint32_t pid, zero;
    uint64_t start, end;
};

struct object {
    uint32_t major, minor;
    uint64_t inode;
};

_Static_assert(sizeof(struct scan) == 96, "struct pm_scan_arg");
_Static_assert(sizeof(struct header) == 24, "header of the file");
_Static_assert(sizeof(struct range) == 24, "range of the file");
_Static_assert(sizeof(struct object) == 16, "object of the file");

static const struct range *ranges;
static const struct object *objects;
static uint64_t count, object_count;
static enum { UNREAD, OFF, ON, BROKEN } state;

static void read_ranges(void) {
    const char *path = getenv("EVACUATOR_OWNED");
    struct stat status;
    int fd;

    state = OFF;
    if (!path || !*path) return;
    state = BROKEN;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (fstat(fd, &status) == 0 && (uint64_t)status.st_size >= sizeof(struct header)) {
        const struct header *header = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        uint64_t content = (uint64_t)status.st_size - sizeof *header;
        if (header != MAP_FAILED && header->magic == MAGIC && header->version == 2 && header->ranges <= content / sizeof *ranges &&
            header->objects <= content / sizeof *objects && header->ranges * sizeof *ranges + header->objects * sizeof *objects == content) {
            ranges = (const struct range *)(header + 1);
            objects = (const struct object *)(ranges + header->ranges);
            count = header->ranges;
            object_count = header->objects;
            state = ON;
        }
    }
    close(fd);
}

/* The process whose pagemap this is: its link reads /proc/PID/pagemap. 0 if it is not one. */
static uint32_t pid_of(int fd) {
    char link[64], target[64];
    unsigned pid;
    ssize_t length;
    char end;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, target, sizeof target - 1);
    if (length <= 0) return 0;
    target[length] = 0;
    return sscanf(target, "/proc/%u/pagema%c", &pid, &end) == 2 && end == 'p' ? pid : 0;
}

/* The first range of the process that ends after the address; count if there is none. */
static uint64_t find(uint32_t pid, uint64_t address) {
    uint64_t low = 0, high = count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (ranges[middle].pid < pid || (ranges[middle].pid == pid && ranges[middle].end <= address))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* One scan as several, over the gaps between owned ranges. The answer of the kernel's own form: regions filled, walk_end = where to go on. */
static long scan_gaps(int fd, struct scan *asked, uint32_t pid) {
    uint64_t at = asked->start, filled = 0, pages = 0, next = find(pid, asked->start);

    while (at < asked->end) {
        struct scan part = *asked;
        uint64_t gap_end = asked->end;
        const struct range *owned = next < count && ranges[next].pid == pid ? &ranges[next] : NULL;

        if (owned && owned->start <= at) {
            at = owned->end;
            next++;
            continue;
        }
        if (owned && owned->start < gap_end) gap_end = owned->start;
        part.start = at;
        part.end = gap_end;
        part.vec = asked->vec + filled * 24;
        part.vec_len = asked->vec_len - filled;
        if (part.vec_len == 0 && asked->vec_len != 0) break;
        if (asked->max_pages) part.max_pages = asked->max_pages - pages;
        long got = syscall(SYS_ioctl, fd, PAGEMAP_SCAN, &part);
        if (got < 0) return got;
        for (long i = 0; i < got; i++) {
            const uint64_t *region = (const uint64_t *)(uintptr_t)(part.vec + (uint64_t)i * 24);
            pages += (region[1] - region[0]) / 4096;
        }
        /* A walk of more than 512 regions that is through may tell the beginning of its last stretch as its end (kernel 6.7 to 6.18). */
        if (got > 0 && ((const uint64_t *)(uintptr_t)(part.vec + ((uint64_t)got - 1) * 24))[1] > part.walk_end) part.walk_end = gap_end;
        filled += (uint64_t)got;
        at = part.walk_end;
        if (part.walk_end < gap_end) break; /* its vector or its number of pages is full */
        if (asked->max_pages && pages >= asked->max_pages) break;
    }
    asked->walk_end = at < asked->end ? at : asked->end;
    return (long)filled;
}

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    void *argument;
    uint32_t pid;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (request == PAGEMAP_SCAN) {
        if (state == UNREAD) read_ranges();
        if (state == BROKEN) {
            errno = EIO;
            return -1;
        }
        if (state == ON && (pid = pid_of(fd)) != 0) return (int)scan_gaps(fd, argument, pid);
    }
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

static int is_owned_object(int fd) {
    struct stat status;
    uint64_t low = 0, high = object_count;

    if (object_count == 0 || fstat(fd, &status) != 0) return 0;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (objects[middle].inode < status.st_ino)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < object_count && objects[low].inode == status.st_ino; low++)
        if (objects[low].major == major(status.st_dev) && objects[low].minor == minor(status.st_dev)) return 1;
    return 0;
}

__attribute__((visibility("default"))) off64_t lseek64(int fd, off64_t offset, int whence) {
    if (whence == SEEK_DATA) {
        if (state == UNREAD) read_ranges();
        if (state == BROKEN) {
            errno = EIO;
            return -1;
        }
        if (state == ON && is_owned_object(fd)) {
            errno = ENXIO;
            return -1;
        }
    }
    return syscall(SYS_lseek, fd, offset, whence);
}
