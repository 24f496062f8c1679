/* bench.h - what the measuring programs share: clocks, repetition, the lines that bench/run reads.
 *
 * A figure is the least of several timings: a machine's noise only ever adds. Time is the thread's own: a second in
 * which the processor was lent to another program is not counted, or a timing of a second would measure that. Programs
 * print "name<TAB>value", value in the unit that bench/run's table gives.
 */
#ifndef WENGERT_BENCH_H
#define WENGERT_BENCH_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static inline double now(void) { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }
/* For timings of a few microseconds, to which the other clock's system call would add, and of other processes. */
static inline double wall(void) { return seconds_of(CLOCK_MONOTONIC); }

static inline void keep_least(double *least, double value) {
    if (value < *least) *least = value;
}

/* Seconds of one call of work: warmed up once, then the least of `repeats` timings of `calls` calls each. */
static inline double least_time(void (*work)(void *), void *context, int repeats, int calls) {
    double least = INFINITY;
    work(context);
    for (int r = 0; r < repeats; r++) {
        double start = now();
        for (int i = 0; i < calls; i++) {
            work(context);
            __asm__ volatile("" ::: "memory"); /* each call's stores happen */
        }
        keep_least(&least, (now() - start) / calls);
    }
    return least;
}

static inline void report(const char *name, double value) { printf("%s\t%.6g\n", name, value); }

/* For setups: a benchmark that measured a failure would be a lie. */
static inline void require(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

#endif
