#include "lines.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_CLIENTS = 64, MAX_LINE = 512 };

struct client {
    char line[MAX_LINE];
    size_t filled;
};

static int listen_on(int port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, MAX_CLIENTS)) {
        fprintf(stderr, "cannot listen on port %d: %s\n", port, strerror(errno));
        exit(1);
    }
    return listener;
}

static int send_all(int connection, const char *data, size_t length) {
    while (length > 0) {
        ssize_t sent = send(connection, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return -1;
        data += sent;
        length -= (size_t)sent;
    }
    return 0;
}

// Answers each full line that is buffered. Returns -1 when the connection is of no more use.
static int answer_buffered(int connection, struct client *client, answer_fn answer) {
    char reply[MAX_LINE];
    char *start = client->line, *end;
    while ((end = memchr(start, '\n', client->filled - (size_t)(start - client->line)))) {
        size_t length = answer(start, (size_t)(end - start), reply, sizeof reply - 1);
        reply[length] = '\n';
        if (send_all(connection, reply, length + 1)) return -1;
        start = end + 1;
    }
    client->filled -= (size_t)(start - client->line);
    memmove(client->line, start, client->filled);
    return client->filled < MAX_LINE ? 0 : -1; // a line longer than the buffer
}

static int read_and_answer(int connection, struct client *client, answer_fn answer) {
    ssize_t got = recv(connection, client->line + client->filled, MAX_LINE - client->filled, 0);
    if (got < 0 && errno == EINTR) return 0;
    if (got <= 0) return -1;
    client->filled += (size_t)got;
    return answer_buffered(connection, client, answer);
}

_Noreturn void serve_lines(int port, answer_fn answer) {
    static struct client clients[MAX_CLIENTS];
    struct pollfd polled[MAX_CLIENTS + 1] = {{.fd = listen_on(port), .events = POLLIN}};
    for (int i = 1; i <= MAX_CLIENTS; i++) polled[i] = (struct pollfd){.fd = -1, .events = POLLIN};

    for (;;) {
        if (poll(polled, MAX_CLIENTS + 1, -1) < 0) continue;
        if (polled[0].revents) {
            int connection = accept4(polled[0].fd, NULL, NULL, SOCK_CLOEXEC), on = 1, slot = 1;
            while (slot <= MAX_CLIENTS && polled[slot].fd >= 0) slot++;
            if (slot > MAX_CLIENTS) {
                close(connection);
            } else if (connection >= 0) {
                setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                clients[slot - 1].filled = 0;
                polled[slot].fd = connection;
                polled[slot].revents = 0;
            }
        }
        for (int i = 1; i <= MAX_CLIENTS; i++) {
            if (polled[i].fd < 0 || !polled[i].revents) continue;
            if (read_and_answer(polled[i].fd, &clients[i - 1], answer)) {
                close(polled[i].fd);
                polled[i].fd = -1;
            }
        }
    }
}
