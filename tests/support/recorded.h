/* recorded.h - reading data that PyTorch recorded. A file starts with four lines - format, producer, script, sha256 of
 * the script - and an empty line. A file that PyTorch did not make, or whose script has changed since, is refused.
 */
#ifndef WG_TESTS_RECORDED_H
#define WG_TESTS_RECORDED_H

#include <stddef.h>
#include <stdint.h>

typedef struct recorded {
    unsigned char *bytes;
    const unsigned char *at, *end; /* what is not yet read */
    char why[400];                 /* of a refusal */
} recorded;

/* Opens name in the data directory and checks its header. 0, or -1 with why filled in. */
int recorded_open(recorded *r, const char *name, const char *format);
/* The same from memory (copied): for testing the refusals. */
int recorded_open_bytes(recorded *r, const void *bytes, size_t n, const char *format);
void recorded_close(recorded *r);

/* Little-endian numbers; reading past the end ends the process with a message. */
const unsigned char *recorded_take(recorded *r, size_t n);
uint64_t recorded_u(recorded *r, int bytes);
int64_t recorded_i(recorded *r, int bytes);
double recorded_f64(recorded *r);

#endif
