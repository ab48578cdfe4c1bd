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

// redis-load: as many values of 1 KiB as make up --mib, written once at the beginning, then one of them after the other anew. What the
// last acknowledged write of each key was is known here, and asked for at the end.
size_t load_mib = 64;
enum { VALUE = 1024 };
static uint32_t *versions;
static size_t key_count;

static void value_of(size_t key, uint32_t version, char *value) {
    uint64_t state = (key + 1) * 0x9E3779B97F4A7C15u ^ ((uint64_t)version + 1) * 0xD1B54A32D192ED03u;
    for (size_t i = 0; i < VALUE; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        value[i] = (char)('0' + (state & 63));
    }
}

static bool send_set(struct connection *connection, size_t key, uint32_t version) {
    char text[VALUE + 128], name[32];
    int name_length = snprintf(name, sizeof name, "key:%zu", key);
    int length = snprintf(text, sizeof text, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n", name_length, name, VALUE);
    value_of(key, version, text + length);
    memcpy(text + length + VALUE, "\r\n", 2);
    return connection_send(connection, text, (size_t)length + VALUE + 2);
}

static enum answer fill_redis(struct connection *connection) {
    enum { BATCH = 128 };
    char line[LINE];
    key_count = load_mib << 10;
    versions = calloc(key_count, sizeof *versions);
    if (!versions) return WRONG;
    for (size_t from = 0; from < key_count; from += BATCH) {
        for (size_t key = from; key < from + BATCH; key++)
            if (!send_set(connection, key, 0)) return LOST_CONNECTION;
        for (size_t n = 0; n < BATCH; n++) {
            enum wait_result result = connection_line(connection, line, sizeof line, now_ms() + 20000);
            if (result != GOT_LINE) return failure(result);
            if (strcmp(line, "+OK")) return WRONG;
        }
    }
    return RIGHT;
}

static enum answer ask_load(struct connection *connection, struct tally *tally, uint64_t i, double deadline_ms) {
    static uint64_t random = 88172645463325252u;
    char line[LINE];
    (void)i;
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    size_t key = random % key_count;
    if (!send_set(connection, key, versions[key] + 1)) return LOST_CONNECTION;
    enum wait_result result = connection_line(connection, line, sizeof line, deadline_ms);
    if (result != GOT_LINE) return failure(result);
    if (strcmp(line, "+OK")) return WRONG;
    versions[key]++;
    tally->acknowledged++;
    return RIGHT;
}

static enum answer finish_load(struct connection *connection, struct tally *tally, double deadline_ms) {
    enum { BATCH = 16 };
    char question[64], line[LINE], value[VALUE + 2], expected[VALUE];
    (void)deadline_ms;
    tally->lost = 0;
    for (size_t from = 0; from < key_count; from += BATCH) {
        for (size_t key = from; key < from + BATCH; key++) {
            int length = snprintf(question, sizeof question, "GET key:%zu\r\n", key);
            if (!connection_send(connection, question, (size_t)length)) return LOST_CONNECTION;
        }
        for (size_t key = from; key < from + BATCH; key++) {
            enum wait_result result = connection_line(connection, line, sizeof line, now_ms() + 20000);
            if (result == GOT_LINE && strcmp(line, "$1024") == 0) {
                result = connection_bytes(connection, value, sizeof value, now_ms() + 20000);
                value_of(key, versions[key], expected);
                if (result == GOT_LINE && memcmp(value, expected, VALUE)) tally->lost++;
            } else {
                tally->lost++;
            }
            if (result != GOT_LINE) return failure(result);
        }
    }
    return tally->lost == 0 ? RIGHT : WRONG;
}

const struct mode modes[] = {
    {.name = "counter", .port = 7000, .ask = ask_counter},
    {.name = "echo", .port = 7001, .ask = ask_echo},
    {.name = "memory", .port = 7002, .ask = ask_memory, .finish = finish_memory},
    {.name = "family", .port = 7003, .ask = ask_family},
    {.name = "http", .port = 80, .ask = ask_http},
    {.name = "redis", .port = 6379, .ask = ask_redis, .finish = finish_redis},
    {.name = "redis-load", .port = 6379, .begin = fill_redis, .ask = ask_load, .finish = finish_load},
    {.name = "udp", .port = 7001, .hold = hold_datagrams},
};
const size_t mode_count = sizeof modes / sizeof modes[0];
