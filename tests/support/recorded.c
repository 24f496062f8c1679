#include "support/recorded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/sha256.h"

static unsigned char *read_file(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    unsigned char *bytes = NULL;
    size_t capacity = 0;
    *n = 0;
    do {
        capacity = capacity * 2 + 65536;
        unsigned char *more = realloc(bytes, capacity);
        if (!more) abort();
        bytes = more;
        *n += fread(bytes + *n, 1, capacity - *n, f);
    } while (*n == capacity);
    fclose(f);
    return bytes;
}

/* The rest of the header line that starts with key and a space, into value; NULL when it is not there. */
static const char *header_line(recorded *r, const char *key, char *value, size_t size) {
    const unsigned char *eol = memchr(r->at, '\n', (size_t)(r->end - r->at));
    size_t n = eol ? (size_t)(eol - r->at) : 0, k = strlen(key);
    if (!eol || n < k + 1 || memcmp(r->at, key, k) != 0 || r->at[k] != ' ' || n - k - 1 >= size) return NULL;
    memcpy(value, r->at + k + 1, n - k - 1);
    value[n - k - 1] = 0;
    r->at = eol + 1;
    return value;
}

static int check_script(recorded *r, const char *script, const char *recorded_hash) {
    char path[1024], hex[65];
    size_t n;
    snprintf(path, sizeof path, "%s/../../../%s", WG_TEST_DATA, script);
    unsigned char *text = read_file(path, &n);
    if (!text) {
        snprintf(r->why, sizeof r->why, "the script %s, which recorded the data, is missing", script);
        return -1;
    }
    sha256_hex(text, n, hex);
    free(text);
    if (strcmp(hex, recorded_hash) == 0) return 0;
    snprintf(r->why, sizeof r->why, "%s has changed since it recorded the data: run it again", script);
    return -1;
}

static int check_header(recorded *r, const char *format) {
    char found[80], producer[80], script[200], hash[80];
    if (!header_line(r, "wengert-golden", found, sizeof found) || strcmp(found, format) != 0 ||
        !header_line(r, "producer", producer, sizeof producer) || !header_line(r, "script", script, sizeof script) ||
        !header_line(r, "sha256", hash, sizeof hash) || r->at == r->end || *r->at++ != '\n') {
        snprintf(r->why, sizeof r->why, "no header of recorded data (%s)", format);
        return -1;
    }
    if (strncmp(producer, "pytorch ", 8) != 0) {
        snprintf(r->why, sizeof r->why, "the data were made by %s, not by PyTorch", producer);
        return -1;
    }
    return check_script(r, script, hash);
}

static int open_owned(recorded *r, unsigned char *bytes, size_t n, const char *format) {
    *r = (recorded){.bytes = bytes, .at = bytes, .end = bytes + n};
    int status = check_header(r, format);
    if (status != 0) recorded_close(r);
    return status;
}

int recorded_open(recorded *r, const char *name, const char *format) {
    char path[1024];
    size_t n;
    snprintf(path, sizeof path, "%s/%s", WG_TEST_DATA, name);
    unsigned char *bytes = read_file(path, &n);
    if (bytes) return open_owned(r, bytes, n, format);
    *r = (recorded){0};
    snprintf(r->why, sizeof r->why, "%.300s cannot be read", path);
    return -1;
}

int recorded_open_bytes(recorded *r, const void *bytes, size_t n, const char *format) {
    unsigned char *copy = malloc(n + 1);
    if (!copy) abort();
    memcpy(copy, bytes, n);
    return open_owned(r, copy, n, format);
}

void recorded_close(recorded *r) {
    free(r->bytes);
    r->bytes = NULL;
    r->at = r->end = NULL;
}

const unsigned char *recorded_take(recorded *r, size_t n) {
    if ((size_t)(r->end - r->at) < n) {
        fprintf(stderr, "recorded data end too early\n");
        exit(1);
    }
    const unsigned char *p = r->at;
    r->at += n;
    return p;
}

uint64_t recorded_u(recorded *r, int bytes) {
    const unsigned char *p = recorded_take(r, (size_t)bytes);
    uint64_t v = 0;
    for (int i = bytes; i-- > 0;) v = v << 8 | p[i];
    return v;
}

int64_t recorded_i(recorded *r, int bytes) {
    int shift = 64 - 8 * bytes;
    return (int64_t)(recorded_u(r, bytes) << shift) >> shift;
}

double recorded_f64(recorded *r) {
    uint64_t bits = recorded_u(r, 8);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
