// A client that holds one TCP connection to a workload, asks it something every few milliseconds and checks every answer.
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection {
    int fd; // -1: not connected
    char buffer[65536];
    size_t filled;
};

enum wait_result { GOT_LINE, TIMED_OUT, BROKEN };

double now_ms(void);

// Opens the connection within the given time. Returns false (fd stays -1) when nobody accepts.
bool connection_open(struct connection *connection, const char *ip, int port, double timeout_ms);
void connection_close(struct connection *connection);
bool connection_send(struct connection *connection, const char *data, size_t length);
// Takes one line without its end ("\n" or "\r\n") out of the stream. The text is good until the next call.
enum wait_result connection_line(struct connection *connection, char *line, size_t room, double deadline_ms);
// Takes exactly length bytes out of the stream.
enum wait_result connection_bytes(struct connection *connection, char *data, size_t length, double deadline_ms);

// How long and how often a client asks.
struct course {
    const char *ip;
    int port;
    double seconds, interval_ms, patience_ms; // seconds 0: until `stopped` is set
    const volatile sig_atomic_t *stopped;
};

// What a client has seen of its workload so far.
struct tally {
    uint64_t round_trips, errors, acknowledged, lost, reconnects;
    double longest_pause_ms;
    // Only `memory` knows these: what the workload itself has felt.
    double workload_pause_ms;
    uint64_t bytes_bad;
    // Answers in each tenth of a second since began_ms of the epoch; what does not fit is not noted.
    double began_ms;
    uint32_t tenths[6000];
};

// Data that `redis-load` keeps.
extern size_t load_mib;

enum answer { RIGHT, WRONG, NO_ANSWER, LOST_CONNECTION };

// One kind of workload.
struct mode {
    const char *name;
    int port;
    // What has to be there before the first question. May be null.
    enum answer (*begin)(struct connection *);
    // Sends question number i (from 1) and checks the answer: RIGHT, WRONG (counted as an error), or the connection's failure.
    enum answer (*ask)(struct connection *, struct tally *, uint64_t i, double deadline_ms);
    // What can only be known at the end: fills in tally->lost and more. May be null.
    enum answer (*finish)(struct connection *, struct tally *, double deadline_ms);
    // Instead of all that, for what has no connection.
    void (*hold)(const struct course *, struct tally *);
};

void hold_datagrams(const struct course *course, struct tally *tally);

extern const struct mode modes[];
extern const size_t mode_count;
