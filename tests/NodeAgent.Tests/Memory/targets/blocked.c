// blocked CALL: sits in one blocking system call again and again, each time for a known reason and length, until SIGTERM between two calls. Exits with 1 and says what was wrong:
// an error that should not be, a wake-up that came too early, a signal that did not end the call.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LENGTH 0.4
static volatile sig_atomic_t done, alarms;
static void on_term(int s) { (void)s; done = 1; }
static void on_alarm(int s) { (void)s; alarms++; }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static void fail(const char *what, long r, double took) { printf("%s: returned %ld errno %d after %.3f s\n", what, r, errno, took); fflush(stdout); _exit(1); }

static int pipes[2], sockets[2];
static void *feed(void *unused) { (void)unused; usleep((useconds_t)(LENGTH * 1e6)); if (write(pipes[1], "x", 1) != 1) abort(); return NULL; }
static void *knock(void *address)
{
    usleep((useconds_t)(LENGTH * 1e6));
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(s, address, sizeof(struct sockaddr_un))) abort();
    close(s);
    return NULL;
}
static pthread_t helper;
static void start(void *(*f)(void *), void *x) { sigset_t all, old; sigfillset(&all); pthread_sigmask(SIG_BLOCK, &all, &old); pthread_create(&helper, NULL, f, x); pthread_sigmask(SIG_SETMASK, &old, NULL); }

int main(int argc, char **argv)
{
    const char *call = argv[argc - 1];
    struct sigaction action = { .sa_handler = on_term };
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = on_alarm; // no SA_RESTART
    sigaction(SIGALRM, &action, NULL);
    // SIGTERM waits until a call has ended by itself.
    sigset_t term, alarm_set, empty;
    sigemptyset(&term); sigaddset(&term, SIGTERM); sigemptyset(&alarm_set); sigaddset(&alarm_set, SIGALRM); sigemptyset(&empty); sigaddset(&empty, SIGTERM);
    if (pipe(pipes) || socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets)) abort();
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int n = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "evacuator-blocked-%d", getpid()); (void)n;
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), ep = epoll_create1(0);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 1)) abort();
    struct epoll_event event = { .events = EPOLLIN }; epoll_ctl(ep, EPOLL_CTL_ADD, pipes[0], &event);
    int word = 0, calls = 0;
    puts("ready"); fflush(stdout);
    while (!done) {
        sigprocmask(SIG_BLOCK, &term, NULL);
        struct timespec length = { 0, (long)(LENGTH * 1e9) };
        struct itimerval timer = { .it_value = { 0, (long)(LENGTH * 1e6) } };
        int ticks = alarms, joined = 0, want_eintr = 0;
        char c;
        long r = -2, want = 0;
        double began = now();
        errno = 0;
        if (!strcmp(call, "nanosleep")) r = nanosleep(&length, NULL);
        else if (!strcmp(call, "clock_nanosleep")) { struct timespec until; clock_gettime(CLOCK_MONOTONIC, &until); until.tv_nsec += length.tv_nsec; if (until.tv_nsec >= 1000000000) { until.tv_nsec -= 1000000000; until.tv_sec++; } r = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL); }
        else if (!strcmp(call, "poll")) { struct pollfd p = { sockets[0], POLLIN, 0 }; r = poll(&p, 1, (int)(LENGTH * 1e3)); }
        else if (!strcmp(call, "ppoll")) { struct pollfd p = { sockets[0], POLLIN, 0 }; r = ppoll(&p, 1, &length, &term); }
        else if (!strcmp(call, "select")) { fd_set s; FD_ZERO(&s); FD_SET(sockets[0], &s); struct timeval t = { 0, (long)(LENGTH * 1e6) }; r = select(sockets[0] + 1, &s, NULL, NULL, &t); }
        else if (!strcmp(call, "futex_timeout")) { r = syscall(SYS_futex, &word, FUTEX_WAIT, 0, &length, NULL, 0); if (r == -1 && errno == ETIMEDOUT) r = 0; }
        else if (!strcmp(call, "epoll_timeout")) { int e = epoll_create1(0); struct epoll_event out; r = epoll_wait(e, &out, 1, (int)(LENGTH * 1e3)); close(e); }
        else if (!strcmp(call, "read")) { start(feed, NULL); joined = 1; want = 1; r = read(pipes[0], &c, 1); }
        else if (!strcmp(call, "epoll")) { start(feed, NULL); joined = 1; want = 1; struct epoll_event out; r = epoll_wait(ep, &out, 1, -1); if (read(pipes[0], &c, 1) != 1) abort(); }
        else if (!strcmp(call, "accept")) { start(knock, &address); joined = 1; r = accept(listener, NULL, NULL); if (r >= 0) { close((int)r); r = 0; } }
        else if (!strcmp(call, "recv_timeout")) { struct timeval t = { 0, (long)(LENGTH * 1e6) }; setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t); r = recv(sockets[0], &c, 1, 0); if (r == -1 && errno == EAGAIN) r = 0; }
        else if (!strcmp(call, "waitpid")) { pid_t p = fork(); if (!p) { usleep((useconds_t)(LENGTH * 1e6)); _exit(0); } r = waitpid(p, NULL, 0); want = p; }
        // These have to be ended by a signal, whenever it comes, and by nothing else.
        else if (!strcmp(call, "pause")) { setitimer(ITIMER_REAL, &timer, NULL); want_eintr = 1; r = pause(); }
        else if (!strcmp(call, "sigsuspend")) { sigprocmask(SIG_BLOCK, &alarm_set, NULL); setitimer(ITIMER_REAL, &timer, NULL); want_eintr = 1; r = sigsuspend(&empty); }
        else if (!strcmp(call, "poll_signal")) { setitimer(ITIMER_REAL, &timer, NULL); want_eintr = 1; struct pollfd p = { sockets[0], POLLIN, 0 }; r = poll(&p, 1, 20000); }
        else if (!strcmp(call, "sigtimedwait")) { r = sigtimedwait(&alarm_set, NULL, &length); if (r == -1 && errno == EAGAIN) r = 0; }
        else { puts("unknown call"); return 2; }
        double took = now() - began;
        if (want_eintr ? r != -1 || errno != EINTR || alarms == ticks : r != want) fail(call, r, took);
        if (took < LENGTH - 0.002) fail("too early", r, took);
        if (want_eintr && took > 10) fail("the signal did not end it", r, took);
        if (joined) pthread_join(helper, NULL);
        calls++;
        sigprocmask(SIG_UNBLOCK, &term, NULL);
    }
    printf("%d calls\n", calls);
    return 0;
}
