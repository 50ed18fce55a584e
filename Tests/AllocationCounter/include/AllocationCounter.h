#ifndef DUET_ALLOCATION_COUNTER_H
#define DUET_ALLOCATION_COUNTER_H

// Counts the blocks that a process takes from the heap, by standing before the C library's allocator.
//
// Every program that links this counts, whichever thread allocates: a test that wants the count of its
// own work runs in a process of its own.

#include <stdint.h>

// 1 when blocks are counted; 0 where the C library is not glibc, and under sanitizers, which stand in the
// same place.
int allocation_counter_is_available(void);

// Counts from zero.
void allocation_counter_start(void);

// Stops and returns the number of blocks since the start.
int64_t allocation_counter_stop(void);

#endif
