// What each kind of workload is asked, and what is the right answer.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client.h"

enum { LINE = 512 };

static enum answer failure(enum wait_result result) { return result == TIMED_OUT ? NO_ANSWER : LOST_CONNECTION; }

static enum answer ask_line(struct connection *connection, const char *question, char *line, double deadline_ms) {
    if (!connection_send(connection, question, strlen(question))) return LOST_CONNECTION;
    enum wait_result result = connection_line(connection, line, LINE, deadline_ms);
    return result == GOT_LINE ? RIGHT : failure(result);
}

// The number must be the one after the last: a smaller one means that acknowledged counts were lost, by so many.
static enum answer ask_counter(struct connection *connection, struct tally *tally, uint64_t i, double deadline_ms) {
    static uint64_t last;
    char line[LINE];
    enum answer answer = ask_line(connection, "count\n", line, deadline_ms);
    if (answer != RIGHT) return answer;
    uint64_t number = strtoull(line, NULL, 10), expected = last + 1;
    bool first = i == 1;
    last = number;
    if (number == 0) return WRONG;
    tally->acknowledged++;
    if (first || number == expected) return RIGHT;
    if (number < expected) tally->lost += expected - number;
    return WRONG;
}

static enum answer ask_echo(struct connection *connection, struct tally *tally, uint64_t i, double deadline_ms) {
    char question[64], line[LINE];
    (void)tally;
    int length = snprintf(question, sizeof question, "line %" PRIu64 "\n", i);
    enum answer answer = ask_line(connection, question, line, deadline_ms);
    if (answer != RIGHT) return answer;
    question[length - 1] = 0;
    return strcmp(line, question) ? WRONG : RIGHT;
}

// Ring number and number of children, see workloads/family.
static enum answer ask_family(struct connection *connection, struct tally *tally, uint64_t i, double deadline_ms) {
    static uint64_t last, family;
    uint64_t number, children;
    char line[LINE];
    (void)tally;
    enum answer answer = ask_line(connection, "beat\n", line, deadline_ms);
    if (answer != RIGHT) return answer;
    if (sscanf(line, "%" SCNu64 " %" SCNu64, &number, &children) != 2) return WRONG;
    bool right = i == 1 || (number == last + 1 && children == family);
    last = number;
    family = children;
    return right ? RIGHT : WRONG;
}

static enum answer ask_memory_about(const char *question, struct connection *connection, struct tally *tally, double deadline_ms) {
    char line[LINE];
    uint64_t bad, written;
    double pause;
    enum answer answer = ask_line(connection, question, line, deadline_ms);
    if (answer != RIGHT) return answer;
    if (sscanf(line, "%lf %" SCNu64 " %" SCNu64, &pause, &bad, &written) != 3) return WRONG;
    bool more = bad > tally->bytes_bad;
    tally->workload_pause_ms = pause;
    tally->bytes_bad = bad;
    return more ? WRONG : RIGHT;
}

static enum answer ask_memory(struct connection *connection, struct tally *tally, uint64_t i, double deadline_ms) {
    (void)i;
    return ask_memory_about("state\n", connection, tally, deadline_ms);
}

static enum answer finish_memory(struct connection *connection, struct tally *tally, double deadline_ms) {
    return ask_memory_about("verify\n", connection, tally, deadline_ms);
}

// The first page is the measure for the others.
static enum answer ask_http(struct connection *connection, struct tally *tally, uint64_t i, double deadline_ms) {
    static char first[32768];
    static size_t first_length;
    static const char question[] = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: keep-alive\r\n\r\n";
    char line[LINE], body[sizeof first];
    size_t length = 0;
    bool ok = false;
    (void)tally;
    if (!connection_send(connection, question, sizeof question - 1)) return LOST_CONNECTION;
    for (bool status = true;; status = false) {
        enum wait_result result = connection_line(connection, line, sizeof line, deadline_ms);
        if (result != GOT_LINE) return failure(result);
        if (line[0] == 0) break;
        if (status) ok = strncmp(line, "HTTP/1.1 200 ", 13) == 0;
        if (strncasecmp(line, "Content-Length:", 15) == 0) length = strtoul(line + 15, NULL, 10);
    }
    if (length > sizeof body) return WRONG;
    enum wait_result result = connection_bytes(connection, body, length, deadline_ms);
    if (result != GOT_LINE) return failure(result);
    if (i == 1) memcpy(first, body, first_length = length);
    return ok && length > 0 && length == first_length && memcmp(first, body, length) == 0 ? RIGHT : WRONG;
}

// Every write that redis has acknowledged is asked for at the end.
static enum answer ask_redis(struct connection *connection, struct tally *tally, uint64_t i, double deadline_ms) {
    char question[64], line[LINE];
    (void)i;
    snprintf(question, sizeof question, "SET lab:%" PRIu64 " %" PRIu64 "\r\n", tally->acknowledged + 1, tally->acknowledged + 1);
    enum answer answer = ask_line(connection, question, line, deadline_ms);
    if (answer != RIGHT) return answer;
    if (strcmp(line, "+OK")) return WRONG;
    tally->acknowledged++;
    return RIGHT;
}

static enum answer finish_redis(struct connection *connection, struct tally *tally, double deadline_ms) {
    enum { BATCH = 128 };
    char question[64], line[LINE];
    tally->lost = 0;
    for (uint64_t from = 1; from <= tally->acknowledged; from += BATCH) {
        uint64_t end = from + BATCH <= tally->acknowledged + 1 ? from + BATCH : tally->acknowledged + 1;
        for (uint64_t key = from; key < end; key++) {
            int length = snprintf(question, sizeof question, "GET lab:%" PRIu64 "\r\n", key);
            if (!connection_send(connection, question, (size_t)length)) return LOST_CONNECTION;
        }
        for (uint64_t key = from; key < end; key++) {
            enum wait_result result = connection_line(connection, line, sizeof line, deadline_ms);
            if (result == GOT_LINE && line[0] == '$' && line[1] != '-')
                result = connection_line(connection, line, sizeof line, deadline_ms);
            if (result != GOT_LINE) return failure(result);
            if (strtoull(line, NULL, 10) != key) tally->lost++;
        }
    }
    return tally->lost == 0 ? RIGHT : WRONG;
}

const struct mode modes[] = {
    {"counter", 7000, ask_counter, NULL},     {"echo", 7001, ask_echo, NULL},
    {"memory", 7002, ask_memory, finish_memory}, {"family", 7003, ask_family, NULL},
    {"http", 80, ask_http, NULL},             {"redis", 6379, ask_redis, finish_redis},
};
const size_t mode_count = sizeof modes / sizeof modes[0];
