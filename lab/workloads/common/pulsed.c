// pulsed PROGRAM ARGUMENT...: becomes the program, and leaves a child beside it that answers on port 7002 as `memory` does:
// "LONGEST_PAUSE_MS 0 QUESTIONS". For programs that cannot tell themselves how long they stood still.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lines.h"
#include "pulse.h"

static size_t answer(const char *line, size_t length, char *reply, size_t room) {
    static uint64_t questions;
    (void)line;
    (void)length;
    return (size_t)snprintf(reply, room, "%.1f 0 %" PRIu64, pulse_longest_ms(), ++questions);
}

int main(int count, char **arguments) {
    if (count < 2) {
        fputs("usage: pulsed PROGRAM ARGUMENT...\n", stderr);
        return 2;
    }
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        return 1;
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pulse_start();
        serve_lines(7002, answer);
    }
    execv(arguments[1], arguments + 1);
    perror(arguments[1]);
    return 1;
}
