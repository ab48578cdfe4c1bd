// A TCP server for one-line questions and answers, shared by the workloads. One thread, many connections.
#pragma once
#include <stddef.h>

// Gets a line without its end, writes the answer without its end into reply (at most room bytes), returns its length.
typedef size_t (*answer_fn)(const char *line, size_t length, char *reply, size_t room);

// Listens on the port on all addresses and answers for ever. Ends the process with a message when it cannot listen.
_Noreturn void serve_lines(int port, answer_fn answer);
