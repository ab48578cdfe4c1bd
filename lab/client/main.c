#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"

static const char usage[] =
    "Usage: client MODE IP[:PORT] [--name NAME] [--seconds S] [--interval-ms M] [--patience S] [--report-ms M] [--mib N] [--rates]\n"
    "Asks a workload every M ms (5) over one TCP connection for S seconds (1; 0: until SIGTERM), checks every answer and\n"
    "prints what it saw as JSON. Exit code 0: all answers right, connection kept, nothing acknowledged was lost; else 1.\n"
    "An answer that takes longer than --report-ms (50) is told on standard error at once; one that takes longer than\n"
    "--patience (20 s) counts as a broken connection, and a new one is opened.\n"
    "MODE: counter, echo, memory, family, http, redis\n"
"redis-load first writes --mib (64) of values, says \"ready\" on standard error, and then overwrites them at random; M may be 0.\n"
"udp sends a numbered datagram every M ms, whether answers come or not: round_trips are answers, acknowledged what was sent,\n"
"lost what was never answered, longest_pause_ms the longest time without an answer.\n"
"--rates adds the answers of each tenth of a second.\n";

static volatile sig_atomic_t stop;

static void on_signal(int number) {
    (void)number;
    stop = 1;
}

struct options {
    const struct mode *mode;
    char ip[64];
    int port;
    const char *name;
    double seconds, interval_ms, patience_ms, report_ms;
    bool rates;
};

static void fail_usage(void) {
    fputs(usage, stderr);
    exit(2);
}

static double number_of(const char *text) {
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || number < 0) fail_usage();
    return number;
}

static struct options parse(int count, char **arguments) {
    static const struct option known[] = {{"name", 1, NULL, 'n'},       {"seconds", 1, NULL, 's'}, {"interval-ms", 1, NULL, 'i'},
                                          {"patience", 1, NULL, 'p'},   {"report-ms", 1, NULL, 'r'}, {"help", 0, NULL, 'h'},
                                          {"mib", 1, NULL, 'm'},        {"rates", 0, NULL, 't'},
                                          {NULL, 0, NULL, 0}};
    struct options options = {.seconds = 1, .interval_ms = 5, .patience_ms = 20000, .report_ms = 50};
    for (int option; (option = getopt_long(count, arguments, "h", known, NULL)) != -1;) {
        switch (option) {
            case 'h': fputs(usage, stdout); exit(0);
            case 'n': options.name = optarg; break;
            case 's': options.seconds = number_of(optarg); break;
            case 'i': options.interval_ms = number_of(optarg); break;
            case 'p': options.patience_ms = number_of(optarg) * 1000; break;
            case 'r': options.report_ms = number_of(optarg); break;
            case 'm': load_mib = (size_t)number_of(optarg); break;
            case 't': options.rates = true; break;
            default: fail_usage();
        }
    }
    if (count - optind != 2) fail_usage();
    for (size_t i = 0; i < mode_count; i++)
        if (strcmp(modes[i].name, arguments[optind]) == 0) options.mode = &modes[i];
    if (!options.mode) fail_usage();
    options.port = options.mode->port;
    snprintf(options.ip, sizeof options.ip, "%s", arguments[optind + 1]);
    char *colon = strchr(options.ip, ':');
    if (colon) {
        *colon = 0;
        options.port = (int)number_of(colon + 1);
    }
    if (!options.name) options.name = options.mode->name;
    return options;
}

static void sleep_ms(double ms) {
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)((ms - (double)(long)(ms / 1000) * 1000) * 1e6)};
    while (nanosleep(&left, &left) && errno == EINTR && !stop) {
    }
}

static double epoch_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void note_tenth(struct tally *tally) {
    size_t tenth = (size_t)((epoch_ms() - tally->began_ms) / 100);
    if (tenth < sizeof tally->tenths / sizeof tally->tenths[0]) tally->tenths[tenth]++;
}

// Counts what came of one question. Returns whether the connection can go on.
static bool count_answer(const struct options *options, struct tally *tally, enum answer answer, double pause_ms) {
    if (answer == RIGHT || answer == WRONG) {
        tally->round_trips++;
        note_tenth(tally);
        if (pause_ms > tally->longest_pause_ms) tally->longest_pause_ms = pause_ms;
        if (pause_ms > options->report_ms) fprintf(stderr, "%s: no answer for %.0f ms\n", options->name, pause_ms);
    }
    if (answer != RIGHT) {
        tally->errors++;
        static const char *const what[] = {[WRONG] = "wrong answer", [NO_ANSWER] = "no answer in time", [LOST_CONNECTION] = "connection lost"};
        fprintf(stderr, "%s: %s after %" PRIu64 " round trips\n", options->name, what[answer], tally->round_trips);
    }
    return answer == RIGHT || answer == WRONG;
}

static bool reconnect(const struct options *options, struct connection *connection, struct tally *tally, double end_ms) {
    connection_close(connection);
    tally->reconnects++;
    while (!connection_open(connection, options->ip, options->port, 1000)) {
        if (stop || now_ms() > end_ms) return false;
        sleep_ms(100);
    }
    return true;
}

// Asks until it is time to stop. A question that was sent is always waited for: a stop in the middle of a freeze proves nothing.
static void hold(const struct options *options, struct connection *connection, struct tally *tally) {
    if (options->mode->begin) {
        if (options->mode->begin(connection) != RIGHT) {
            fprintf(stderr, "%s: could not prepare its data\n", options->name);
            tally->errors++;
            return;
        }
        fputs("ready\n", stderr);
    }
    tally->began_ms = epoch_ms();
    double end_ms = options->seconds > 0 ? now_ms() + options->seconds * 1000 : 1e300, last_answer = now_ms();
    for (uint64_t i = 1; !stop && now_ms() < end_ms; i++) {
        double asked = now_ms();
        enum answer answer = options->mode->ask(connection, tally, i, asked + options->patience_ms);
        bool usable = count_answer(options, tally, answer, now_ms() - (tally->reconnects ? last_answer : asked));
        if (usable) last_answer = now_ms();
        if (!usable && !reconnect(options, connection, tally, end_ms)) break;
        if (options->interval_ms > 0) sleep_ms(options->interval_ms);
    }
    if (connection->fd >= 0 && options->mode->finish)
        if (options->mode->finish(connection, tally, now_ms() + options->patience_ms) != RIGHT) tally->errors++;
}

static void print_json(const struct options *options, const struct tally *tally) {
    printf("{\"name\":\"%s\",\"round_trips\":%" PRIu64 ",\"longest_pause_ms\":%.1f,\"errors\":%" PRIu64
           ",\"connection_kept\":%s,\"acknowledged\":%" PRIu64 ",\"lost\":%" PRIu64,
           options->name, tally->round_trips, tally->longest_pause_ms, tally->errors,
           tally->reconnects == 0 && tally->round_trips > 0 ? "true" : "false", tally->acknowledged, tally->lost);
    if (strcmp(options->mode->name, "memory") == 0)
        printf(",\"workload_pause_ms\":%.1f,\"bytes_bad\":%" PRIu64, tally->workload_pause_ms, tally->bytes_bad);
    if (options->rates) {
        size_t used = sizeof tally->tenths / sizeof tally->tenths[0];
        while (used > 0 && tally->tenths[used - 1] == 0) used--;
        printf(",\"began_ms\":%.0f,\"tenths\":[", tally->began_ms);
        for (size_t i = 0; i < used; i++) printf("%s%" PRIu32, i ? "," : "", tally->tenths[i]);
        printf("]");
    }
    puts("}");
}

int main(int count, char **arguments) {
    static struct connection connection;
    struct options options = parse(count, arguments);
    static struct tally tally;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    if (options.mode->hold) {
        struct course course = {options.ip, options.port, options.seconds, options.interval_ms, options.patience_ms, &stop};
        options.mode->hold(&course, &tally);
    } else if (connection_open(&connection, options.ip, options.port, 5000)) {
        hold(&options, &connection, &tally);
    } else {
        fprintf(stderr, "%s: cannot connect to %s port %d\n", options.name, options.ip, options.port);
        tally.errors++;
    }
    print_json(&options, &tally);
    return tally.errors || tally.lost || tally.reconnects || !tally.round_trips;
}
