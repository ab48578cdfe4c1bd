// faulter SOCKET MIB: memory that waits for its pages. Prints its address, waits for a line, hands its userfaultfd to SOCKET as CRIU does after
// a restore, and touches pages at random until it is told that all are there. Prints "faults N p50 NS p99 NS bad N".
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
enum { MOST = 200000, QUIET_NS = 3000 };
static int64_t now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000LL + t.tv_nsec; }
static int by_size(const void *a, const void *b) { int64_t x = *(const int64_t *)a, y = *(const int64_t *)b; return x < y ? -1 : x > y; }
static void fail(const char *what) { perror(what); exit(1); }
static void send_fd(int to, int fd)
{
    char byte = 0, space[CMSG_SPACE(sizeof fd)] = { 0 };
    struct iovec part = { &byte, 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET; head->cmsg_type = SCM_RIGHTS; head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    if (sendmsg(to, &message, 0) != 1) fail("sendmsg");
}
int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    size_t pages = (size_t)atol(argv[2]) * 256;
    char *memory = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fault = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), to = socket(AF_UNIX, SOCK_STREAM, 0);
    struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMOVE };
    struct uffdio_register area = { .range = { (uintptr_t)memory, pages * 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (fault < 0 || ioctl(fault, UFFDIO_API, &api) || ioctl(fault, UFFDIO_REGISTER, &area)) fail("userfaultfd");
    int64_t *took = malloc(MOST * sizeof *took);
    memset(took, 0, MOST * sizeof *took);
    printf("at %lu\n", (unsigned long)(uintptr_t)memory); fflush(stdout);
    char line[16];
    if (!fgets(line, sizeof line, stdin)) return 1;
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    if (connect(to, (struct sockaddr *)&address, sizeof address)) fail("connect");
    int32_t pid = 1; uint32_t finished = 0x52535446;
    if (write(to, &pid, 4) != 4) fail("write");
    send_fd(to, fault);
    close(fault);
    if (write(to, &finished, 4) != 4) fail("write");
    size_t faults = 0, bad = 0; uint64_t x = 88172645463325252u;
    // Until it hears that all pages are there.
    struct pollfd word_from = { .fd = 0, .events = POLLIN };
    while (poll(&word_from, 1, 0) == 0 && faults < MOST) {
        x ^= x << 13; x ^= x >> 7; x ^= x << 17;
        size_t page = x % pages;
        int64_t before = now();
        uint64_t word = *(volatile uint64_t *)(memory + page * 4096);
        int64_t after = now();
        if (word != page + 1) bad++;
        if (after - before > QUIET_NS) took[faults++] = after - before;
        struct timespec pause = { 0, 50000 }; nanosleep(&pause, NULL);
    }
    for (size_t page = 0; page < pages; page++) if (*(volatile uint64_t *)(memory + page * 4096) != page + 1) bad++;
    qsort(took, faults, sizeof *took, by_size);
    printf("faults %zu p50 %ld p99 %ld bad %zu\n", faults, faults ? (long)took[faults / 2] : 0, faults ? (long)took[faults * 99 / 100] : 0, bad);
    return 0;
}
