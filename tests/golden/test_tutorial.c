/* test_tutorial.c - examples/tutorial.c, run as a program, against what PyTorch printed for 200 seeds: byte for byte,
 * addresses aside. tools/dump_tutorial.py describes the recorded text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "support/recorded.h"

enum { MAX_LINES = 64, LINE_BYTES = 200, TEXT_BYTES = MAX_LINES * LINE_BYTES };

/* The next line of the recorded text, without its end. */
static void next_line(recorded *r, char line[LINE_BYTES]) {
    const unsigned char *eol = memchr(r->at, '\n', (size_t)(r->end - r->at));
    assert_non_null(eol);
    size_t n = (size_t)(eol - r->at);
    assert_true(n < LINE_BYTES);
    memcpy(line, recorded_take(r, n + 1), n);
    line[n] = 0;
}

/* What all seeds share; "@" stands for a line of the seed's own. */
typedef struct pattern {
    int n;
    char line[MAX_LINES][LINE_BYTES];
} pattern;

static void read_pattern(recorded *r, pattern *t) {
    char line[LINE_BYTES];
    next_line(r, line);
    assert_int_equal(sscanf(line, "lines %d", &t->n), 1);
    assert_in_range(t->n, 1, MAX_LINES);
    for (int i = 0; i < t->n; i++) next_line(r, t->line[i]);
}

/* The seed's whole text, and the seed as it is given to the program. */
static void read_expected(recorded *r, const pattern *t, char seed[LINE_BYTES], char *text) {
    char line[LINE_BYTES];
    next_line(r, line);
    assert_int_equal(strncmp(line, "seed ", 5), 0);
    strcpy(seed, line + 5);
    for (int i = 0; i < t->n; i++) {
        strcpy(line, t->line[i]);
        if (strcmp(line, "@") == 0) next_line(r, line);
        text += sprintf(text, "%s\n", line);
    }
}

/* Writes every address as 0x0, in place. */
static void blank_addresses(char *text) {
    char *to = text;
    while (*text) {
        size_t digits = strncmp(text, "0x", 2) == 0 ? strspn(text + 2, "0123456789abcdef") : 0;
        if (digits == 0) {
            *to++ = *text++;
            continue;
        }
        memcpy(to, "0x0", 3);
        to += 3;
        text += 2 + digits;
    }
    *to = 0;
}

/* Runs the program; its exit status. */
static int run_tutorial(const char *seed, char text[TEXT_BYTES]) {
    char command[1200];
    snprintf(command, sizeof command, "'%s/examples/tutorial' %s", WG_TEST_BIN, seed);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, TEXT_BYTES - 1, f);
    text[n] = 0;
    blank_addresses(text);
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void as_pytorch_prints_it(void **state) {
    (void)state;
    recorded r;
    pattern t;
    char seed[LINE_BYTES], expected[TEXT_BYTES], text[TEXT_BYTES];
    int seeds = 0, wrong = 0;
    if (recorded_open(&r, "tutorial.txt", "tutorial 1") != 0) fail_msg("%s", r.why);
    for (read_pattern(&r, &t); r.at != r.end; seeds++) {
        read_expected(&r, &t, seed, expected);
        int status = run_tutorial(seed, text);
        if (status == 0 && strcmp(text, expected) == 0) continue;
        print_error("seed %s, exit status %d: PyTorch\n%sours\n%s", seed, status, expected, text);
        if (++wrong == 5) break;
    }
    recorded_close(&r);
    assert_int_equal(wrong, 0);
    assert_true(seeds >= 200);
    print_message("%d seeds compared byte for byte\n", seeds);
}

static void addresses(void **state) {
    (void)state;
    char text[] = "<A at 0x55a1d4733e70>\n0x12 x0 00x1g 0xAB 0x";
    blank_addresses(text);
    assert_string_equal(text, "<A at 0x0>\n0x0 x0 00x0g 0xAB 0x");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_pytorch_prints_it),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests_name("tutorial", tests, NULL, NULL);
}
