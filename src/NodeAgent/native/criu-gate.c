/*
 * Holds a prepared `criu swrk` at the door, and lets one that is under way be called off.
 *
 * Preloaded into CRIU below runc. runc takes tens of milliseconds until it asks CRIU for a dump or a restore, and none of them needs the
 * container to stand still; so runc is started early, and this keeps CRIU from seeing the request until it may act on it.
 *
 * In the directory named by EVACUATOR_GATE:
 *     go       a fifo; a line in it opens the gate
 *     armed    made by us when we wait; renamed to "started" by us when we go, or to "disarmed" by whoever calls it off: the rename decides
 *     cancel   once it exists, every image that a dump opens fails to open: CRIU then takes its own way back and leaves the processes as they were
 *
 * A dump begins while the engine still reads the processes' memory, which it may until CRIU puts its parasite into the first of them. So the list
 * of the memory that the engine owns (EVACUATOR_OWNED, see criu-shim.c) is waited for where CRIU reads the mappings of the first process.
 *
 * The kernel walks all page tables when it writes them into /proc/PID/smaps, 9 ms for each GiB. Where EVACUATOR_MAPPINGS names a directory, the
 * engine puts there, before the list, what smaps would say of each process that it is certain of, in a file with the pid as its name; it
 * is opened instead. Without the variable, the first process's smaps is read while we wait.
 *
 * A restore says when all tasks are made, and lets them run a moment later. Whoever serves their memory connects their network meanwhile and then closes
 * the connection; we wait for that: what a task sends before its link is up is lost, and nobody says it again for a second.
 *
 * A request that is held is also told to log errors only: runc asks for everything, which is tens of thousands of lines for a large process.
 * Without the variable, and for requests of any other kind, nothing is changed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* images/rpc.proto of CRIU: criu_req { 1: type, 2: criu_opts { 9: log_level } } */
#define REQUEST_DUMP 1
#define REQUEST_RESTORE 2
#define FIELD_TYPE 1
#define FIELD_OPTS 2
#define FIELD_LOG_LEVEL 9
#define LOG_WARNINGS 2

/* criu/uffd.c */
#define LAZY_PAGES_RESTORE_FINISHED 0x52535446u
#define LONGEST_CONNECT_MS 1000

static enum { OUTSIDE, HELD, GOING } state;
static int dumping;
static char cancel_path[4096];

static ssize_t receive(int fd, void *buffer, size_t length, int flags) {
    return syscall(SYS_recvfrom, fd, buffer, length, flags, NULL, NULL);
}

/* A number of protobuf; the bytes it takes, 0 if it is none. */
static size_t varint(const uint8_t *bytes, size_t length, uint64_t *value) {
    *value = 0;
    for (size_t i = 0; i < length && i < 10; i++) {
        *value |= (uint64_t)(bytes[i] & 0x7F) << (7 * i);
        if (!(bytes[i] & 0x80)) return i + 1;
    }
    return 0;
}

/* The first field of a message with this number: where its value begins, NULL if there is none. Numbers: value; bytes: length in value. */
static uint8_t *field(uint8_t *message, size_t length, unsigned number, uint64_t *value) {
    size_t at = 0;
    while (at < length) {
        uint64_t key, content;
        size_t took = varint(message + at, length - at, &key);
        if (!took) return NULL;
        at += took;
        switch (key & 7) {
        case 0: /* a number */
            took = varint(message + at, length - at, &content);
            if (!took) return NULL;
            break;
        case 2: /* bytes */
            took = varint(message + at, length - at, &content);
            if (!took || content > length - at - took) return NULL;
            break;
        default: /* nothing of the kind is in a request */
            return NULL;
        }
        if (key >> 3 == number) {
            *value = content;
            return message + at + ((key & 7) == 2 ? took : 0);
        }
        at += took + ((key & 7) == 2 ? content : 0);
    }
    return NULL;
}

/* The log level in place: it is one byte before and after. */
static void lower_log_level(uint8_t *request, size_t length) {
    uint64_t size, level;
    uint8_t *options = field(request, length, FIELD_OPTS, &size);
    uint8_t *at = options ? field(options, size, FIELD_LOG_LEVEL, &level) : NULL;
    if (at && level > LOG_WARNINGS && level < 0x80) *at = LOG_WARNINGS;
}

static void path_of(char *path, size_t size, const char *gate, const char *name) { snprintf(path, size, "%s/%s", gate, name); }

/*
 * A container stands still until we are done. Where no cgroup divides the processors, the kernel weighs sessions against each other, and the niceness of
 * the unit counts only within ours. What is restored has sessions of its own, which begin without this.
 */
static void hurry(void) {
    int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (write(fd, "-15", 3) < 0) errno = 0; /* a kernel that does not: only slower */
    close(fd);
}

/* Waits until the gate opens. Does not come back if it is called off, or if runc is gone. */
static void hold(const char *gate, int client) {
    char go[4096], armed[4096], started[4096];
    struct pollfd wait[2];
    int fd;

    path_of(go, sizeof go, gate, "go");
    path_of(armed, sizeof armed, gate, "armed");
    path_of(started, sizeof started, gate, "started");
    /* For reading and writing: it is open before anybody is told that we wait, so no word is lost. */
    fd = open(go, O_RDWR | O_CLOEXEC);
    if (fd < 0) _exit(124);
    int mark = open(armed, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (mark < 0) _exit(124);
    close(mark);
    wait[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
    wait[1] = (struct pollfd){ .fd = client, .events = POLLRDHUP };
    while (1) {
        if (poll(wait, 2, -1) < 0) {
            if (errno == EINTR) continue;
            _exit(124);
        }
        if (wait[1].revents & (POLLRDHUP | POLLHUP | POLLERR)) _exit(124);
        if (wait[0].revents) break;
    }
    close(fd);
    if (rename(armed, started) != 0) _exit(123);
    hurry();
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t length, int flags) {
    const char *gate;

    if (state == OUTSIDE && buffer == NULL && (flags & MSG_PEEK) && (gate = getenv("EVACUATOR_GATE")) && *gate) {
        uint8_t head[64];
        uint64_t type;
        ssize_t got = receive(fd, head, sizeof head, MSG_PEEK);
        /* The head may end within a field: the type comes first. */
        if (got > 2 && head[0] == FIELD_TYPE << 3 && varint(head + 1, (size_t)got - 1, &type) && (type == REQUEST_DUMP || type == REQUEST_RESTORE)) {
            hold(gate, fd);
            state = HELD;
            if (type == REQUEST_DUMP) {
                path_of(cancel_path, sizeof cancel_path, gate, "cancel");
                dumping = 1;
            }
        }
    }
    ssize_t got = receive(fd, buffer, length, flags);
    if (state == HELD && !(flags & MSG_PEEK)) {
        state = GOING;
        if (got > 0 && (size_t)got <= length) lower_log_level(buffer, (size_t)got);
    }
    return got;
}

__attribute__((visibility("default"))) ssize_t send(int fd, const void *buffer, size_t length, int flags) {
    const uint32_t finished = LAZY_PAGES_RESTORE_FINISHED;
    ssize_t sent = syscall(SYS_sendto, fd, buffer, length, flags, NULL, 0);

    if (sent == sizeof finished && !memcmp(buffer, &finished, sizeof finished)) {
        struct pollfd end = { .fd = fd, .events = POLLRDHUP };
        poll(&end, 1, LONGEST_CONNECT_MS); /* somebody who hangs holds nobody for long */
    }
    return sent;
}

static int called_off(void) { return access(cancel_path, F_OK) == 0; }

/* Waits for the list of owned memory; -1 if it does not come. */
static int wait_for_owned(const char *owned) {
    struct timespec pause = { .tv_nsec = 100000 };

    for (int waited = 0; access(owned, F_OK) != 0; waited++) {
        /* 20 s and more: whoever was to write it is gone, and the processes stay frozen without us. */
        if (called_off() || waited > 200000) {
            errno = ECANCELED;
            return -1;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

/* A copy of the mappings of the first process, all read, once the list of owned memory is there. */
static int read_while_waiting(int directory, const char *path, int flags, const char *owned) {
    static char buffer[1 << 16];
    int copy, fd = (int)syscall(SYS_openat, directory, path, flags, 0);

    if (fd < 0) return fd;
    copy = memfd_create("smaps", MFD_CLOEXEC);
    if (copy < 0) goto failed;
    while (1) {
        ssize_t got = read(fd, buffer, sizeof buffer), wrote = 0;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) goto failed;
        if (got == 0) break;
        while (wrote < got) {
            ssize_t took = write(copy, buffer + wrote, (size_t)(got - wrote));
            if (took <= 0) goto failed;
            wrote += took;
        }
    }
    if (wait_for_owned(owned) != 0 || lseek(copy, 0, SEEK_SET) != 0) goto failed;
    close(fd);
    return copy;
failed:;
    int error = errno;
    if (copy >= 0) close(copy);
    close(fd);
    errno = error;
    return -1;
}

/* What the engine wrote for the process whose folder in /proc this is; -1 if it wrote nothing. */
static int open_written(int directory, int flags, const char *mappings) {
    char link[64], process[4096], path[8192];
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, process, sizeof process - 1);
    if (length <= 0) return -1;
    process[length] = 0;
    const char *pid = strrchr(process, '/');
    if (!pid || !pid[1] || strspn(pid + 1, "0123456789") != strlen(pid + 1)) return -1;
    snprintf(path, sizeof path, "%s%s", mappings, pid);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0);
}

static int open_mappings(int directory, const char *path, int flags, const char *owned) {
    static int seen;
    const char *mappings = getenv("EVACUATOR_MAPPINGS");
    int first = !seen, fd;

    seen = 1;
    if (!mappings || !*mappings) return first ? read_while_waiting(directory, path, flags, owned) : (int)syscall(SYS_openat, directory, path, flags, 0);
    if (first && wait_for_owned(owned) != 0) return -1;
    fd = open_written(directory, flags, mappings);
    return fd >= 0 ? fd : (int)syscall(SYS_openat, directory, path, flags, 0);
}

/* Only files that it makes: what it opens on its way back has to open. */
static int open_unless_called_off(int directory, const char *path, int flags, mode_t mode) {
    const char *owned;

    if (dumping && (flags & O_CREAT) && called_off()) {
        errno = ECANCELED;
        return -1;
    }
    if (dumping && !strcmp(path, "smaps") && (owned = getenv("EVACUATOR_OWNED")) && *owned) return open_mappings(directory, path, flags, owned);
    return (int)syscall(SYS_openat, directory, path, flags, mode);
}

static mode_t mode_of(int flags, va_list arguments) { return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(arguments, unsigned) : 0; }

#define OPEN(name, directory, parameters)                                         \
    __attribute__((visibility("default"))) int name parameters {                  \
        va_list arguments;                                                        \
        va_start(arguments, flags);                                               \
        mode_t mode = mode_of(flags, arguments);                                  \
        va_end(arguments);                                                        \
        return open_unless_called_off(directory, path, flags | O_LARGEFILE, mode); \
    }

OPEN(open64, AT_FDCWD, (const char *path, int flags, ...))
OPEN(openat64, directory, (int directory, const char *path, int flags, ...))
