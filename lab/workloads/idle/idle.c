// Does nothing until a line arrives, and sends that line back.
#include <string.h>

#include "../common/lines.h"

static size_t echo(const char *line, size_t length, char *reply, size_t room) {
    size_t answered = length < room ? length : room;
    memcpy(reply, line, answered);
    return answered;
}

int main(void) { serve_lines(7001, echo); }
