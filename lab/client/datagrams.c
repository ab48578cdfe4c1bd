// Numbered datagrams, one every few milliseconds whether answers come or not: what a freeze keeps from arriving shows as lost.
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

enum { ROOM = 1 << 20 };

struct flight {
    int fd;
    uint64_t sent, count; // count: how many numbers have room
    unsigned char *answered;
    double last_answer_ms;
};

static bool open_flight(struct flight *flight, const struct course *course) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)course->port)};
    int room = ROOM;
    flight->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (flight->fd < 0 || inet_pton(AF_INET, course->ip, &address.sin_addr) != 1) return false;
    setsockopt(flight->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room); // all answers of a freeze come at once
    return connect(flight->fd, (struct sockaddr *)&address, sizeof address) == 0;
}

static bool send_next(struct flight *flight) {
    char text[64];
    if (flight->sent == flight->count) {
        uint64_t more = flight->count ? flight->count * 2 : 4096;
        unsigned char *grown = realloc(flight->answered, more);
        if (!grown) return false;
        memset(grown + flight->count, 0, more - flight->count);
        flight->answered = grown;
        flight->count = more;
    }
    int length = snprintf(text, sizeof text, "datagram %" PRIu64, flight->sent++);
    // ECONNREFUSED is the answer to an earlier one, told now: that one is lost, this one is sent the second time.
    return send(flight->fd, text, (size_t)length, 0) == length || send(flight->fd, text, (size_t)length, 0) == length;
}

// Takes in answers until the time is over.
static void take_answers(struct flight *flight, struct tally *tally, double until_ms) {
    for (double left; (left = until_ms - now_ms()) > 0;) {
        struct pollfd polled = {.fd = flight->fd, .events = POLLIN};
        struct timespec wait = {.tv_sec = (time_t)(left / 1e3), .tv_nsec = (long)((left - (double)(long)(left / 1e3) * 1e3) * 1e6)};
        if (ppoll(&polled, 1, &wait, NULL) <= 0) continue;
        char text[64];
        ssize_t got = recv(flight->fd, text, sizeof text - 1, 0);
        if (got < 0) continue;
        text[got] = 0;
        uint64_t number;
        if (sscanf(text, "datagram %" SCNu64, &number) != 1 || number >= flight->sent) {
            tally->errors++;
            continue;
        }
        if (flight->answered[number]) continue; // twice is no harm
        flight->answered[number] = 1;
        tally->round_trips++;
        double now = now_ms();
        if (now - flight->last_answer_ms > tally->longest_pause_ms) tally->longest_pause_ms = now - flight->last_answer_ms;
        flight->last_answer_ms = now;
    }
}

void hold_datagrams(const struct course *course, struct tally *tally) {
    struct flight flight = {.last_answer_ms = now_ms()};
    if (!open_flight(&flight, course)) {
        fprintf(stderr, "cannot send datagrams to %s port %d: %s\n", course->ip, course->port, strerror(errno));
        tally->errors++;
        return;
    }
    double due = now_ms(), end_ms = course->seconds > 0 ? due + course->seconds * 1000 : 1e300;
    while (!*course->stopped && now_ms() < end_ms) {
        if (!send_next(&flight)) tally->errors++;
        due += course->interval_ms;
        // Not more at once after the client itself could not run.
        if (due < now_ms() - 100) due = now_ms();
        take_answers(&flight, tally, due);
    }
    // What is still on its way.
    for (double patience_ms = now_ms() + 3000; tally->round_trips < flight.sent && now_ms() < patience_ms;)
        take_answers(&flight, tally, now_ms() + 10);
    tally->acknowledged = flight.sent;
    tally->lost = flight.sent - tally->round_trips;
    for (uint64_t i = 0, run = 0; i < flight.sent; i++) {
        run = flight.answered[i] ? 0 : run + 1;
        if (run == 1) fprintf(stderr, "lost from datagram %" PRIu64 " on\n", i);
    }
    free(flight.answered);
    close(flight.fd);
}
