// Keeps one number in memory and answers each line with the next: 1, 2, 3 … for as long as the process lives.
#include <inttypes.h>
#include <stdio.h>

#include "../common/lines.h"

static uint64_t count;

static size_t next_number(const char *line, size_t length, char *reply, size_t room) {
    (void)line, (void)length;
    return (size_t)snprintf(reply, room, "%" PRIu64, ++count);
}

int main(void) { serve_lines(7000, next_number); }
