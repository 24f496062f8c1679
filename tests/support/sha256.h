/* sha256.h - SHA-256 (FIPS 180-4), for comparing long streams and scripts by hash. */
#ifndef WG_TESTS_SHA256_H
#define WG_TESTS_SHA256_H

#include <stddef.h>

/* The hash of n bytes as 64 hexadecimal digits and a terminator. */
void sha256_hex(const void *data, size_t n, char hex[65]);

#endif
