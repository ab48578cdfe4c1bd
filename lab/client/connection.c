#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

// Waits for the event until the deadline. Signals do not shorten the wait.
static bool wait_for(int fd, short event, double deadline_ms) {
    struct pollfd polled = {.fd = fd, .events = event};
    for (;;) {
        double left = deadline_ms - now_ms();
        if (left < 0) left = 0;
        int ready = poll(&polled, 1, (int)left + 1);
        if (ready > 0) return true;
        if (ready == 0 && now_ms() >= deadline_ms) return false;
        if (ready < 0 && errno != EINTR) return false;
    }
}

bool connection_open(struct connection *connection, const char *ip, int port, double timeout_ms) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, error = 0;
    socklen_t size = sizeof error;
    connection->fd = -1;
    connection->filled = 0;
    if (fd < 0) return false;
    if (inet_pton(AF_INET, ip, &address.sin_addr) == 1 &&
        (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS) &&
        wait_for(fd, POLLOUT, now_ms() + timeout_ms) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection->fd = fd;
        return true;
    }
    close(fd);
    return false;
}

void connection_close(struct connection *connection) {
    if (connection->fd >= 0) close(connection->fd);
    connection->fd = -1;
}

bool connection_send(struct connection *connection, const char *data, size_t length) {
    while (length > 0) {
        ssize_t sent = send(connection->fd, data, length, MSG_NOSIGNAL);
        if (sent > 0) {
            data += sent;
            length -= (size_t)sent;
        } else if (errno == EAGAIN) {
            if (!wait_for(connection->fd, POLLOUT, now_ms() + 1000)) return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static enum wait_result fill(struct connection *connection, double deadline_ms) {
    if (connection->filled == sizeof connection->buffer) return BROKEN; // an answer that no workload gives
    if (!wait_for(connection->fd, POLLIN, deadline_ms)) return TIMED_OUT;
    ssize_t got = recv(connection->fd, connection->buffer + connection->filled, sizeof connection->buffer - connection->filled, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return GOT_LINE;
    if (got <= 0) return BROKEN;
    connection->filled += (size_t)got;
    return GOT_LINE;
}

static void consume(struct connection *connection, size_t length) {
    connection->filled -= length;
    memmove(connection->buffer, connection->buffer + length, connection->filled);
}

enum wait_result connection_line(struct connection *connection, char *line, size_t room, double deadline_ms) {
    for (;;) {
        char *end = memchr(connection->buffer, '\n', connection->filled);
        if (end) {
            size_t length = (size_t)(end - connection->buffer), text = length;
            if (text > 0 && connection->buffer[text - 1] == '\r') text--;
            if (text >= room) text = room - 1;
            memcpy(line, connection->buffer, text);
            line[text] = 0;
            consume(connection, length + 1);
            return GOT_LINE;
        }
        enum wait_result result = fill(connection, deadline_ms);
        if (result != GOT_LINE) return result;
    }
}

enum wait_result connection_bytes(struct connection *connection, char *data, size_t length, double deadline_ms) {
    while (connection->filled < length) {
        enum wait_result result = fill(connection, deadline_ms);
        if (result != GOT_LINE) return result;
    }
    memcpy(data, connection->buffer, length);
    consume(connection, length);
    return GOT_LINE;
}
