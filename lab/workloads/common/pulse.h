// How long a process could not run, as it felt it itself.
#pragma once

// Starts a thread that wakes every millisecond and notes the longest time between two wakings.
void pulse_start(void);

// The longest so far, in milliseconds.
double pulse_longest_ms(void);
