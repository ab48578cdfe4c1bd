// Does nothing until a line or a datagram arrives, and sends that back.
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../common/lines.h"

enum { PORT = 7001 };

static size_t echo(const char *line, size_t length, char *reply, size_t room) {
    size_t answered = length < room ? length : room;
    memcpy(reply, line, answered);
    return answered;
}

static void *echo_datagrams(void *unused) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)}, from;
    char data[2048];
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)unused;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address)) {
        perror("datagrams");
        exit(1);
    }
    for (;;) {
        socklen_t size = sizeof from;
        ssize_t got = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &size);
        if (got >= 0) sendto(fd, data, (size_t)got, 0, (struct sockaddr *)&from, size);
    }
    return NULL;
}

int main(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, echo_datagrams, NULL)) return 1;
    serve_lines(PORT, echo);
}
