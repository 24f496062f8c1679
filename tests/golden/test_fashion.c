/* test_fashion.c - examples/fashion_mnist.c, run as a program. Beside PyTorch with seeds 0 to 2 (recorded by
 * tools/dump_fashion.py): the same starting weights and orders, bit for bit; the losses of the first 100 steps within
 * 1e-4; the accuracy after 5 epochs within 0.4 % and at least 87.5 %. And on small data of our own: what it writes, and
 * what it says of files that are missing, cut or damaged.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/recorded.h"

#define PROGRAM WG_TEST_BIN "/examples/fashion_mnist"
#define DATA "/usr/share/datasets/fashion-mnist"

enum { EPOCHS = 5, STEPS = 100, LINE_BYTES = 200, PATH_BYTES = 300, TEXT_BYTES = 4000 };

static char folder[] = "/tmp/wengert-fashion-XXXXXX"; /* made by setup, with everything in it removed by teardown */

/* ---- running the program ----------------------------------------------------------------------------------------- */

static const char *path_of(const char *name) {
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Runs it on the data in our folder unless arguments name another; its exit status. said: what it wrote to stderr. */
static int run(char said[TEXT_BYTES], const char *format, ...) __attribute__((format(printf, 2, 3)));
static int run(char said[TEXT_BYTES], const char *format, ...) {
    char arguments[1000], command[2000];
    va_list list;
    va_start(list, format);
    vsnprintf(arguments, sizeof arguments, format, list);
    va_end(list);
    snprintf(command, sizeof command, "'%s' --data %s %s 2>&1 >%s/stdout", PROGRAM, folder, arguments, folder);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(said, 1, TEXT_BYTES - 1, f);
    said[n] = 0;
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A program that was not built cannot be tested: says so and skips. */
static void need_program(void) {
    if (access(PROGRAM, X_OK) == 0) return;
    print_message("skipped: %s was not built (zlib's headers are missing, or WENGERT_EXAMPLES is off)\n", PROGRAM);
    skip();
}

/* ---- beside PyTorch ---------------------------------------------------------------------------------------------- */

/* What a run leaves to compare, as PyTorch's recording and as the program's --losses write it. */
typedef struct journal {
    char weights[LINE_BYTES], order[EPOCHS][LINE_BYTES];
    double loss[STEPS], accuracy; /* of the first steps; after the last epoch */
    int orders, losses;
} journal;

/* "word value": into the journal. */
static void take_line(journal *j, const char *line) {
    char word[LINE_BYTES], value[LINE_BYTES];
    assert_int_equal(sscanf(line, "%99s %99s", word, value), 2);
    if (strcmp(word, "weights") == 0) {
        strcpy(j->weights, value);
    } else if (strcmp(word, "order") == 0) {
        if (j->orders < EPOCHS) strcpy(j->order[j->orders], value);
        j->orders++;
    } else if (strcmp(word, "loss") == 0) {
        if (j->losses < STEPS) j->loss[j->losses] = strtod(value, NULL);
        j->losses++;
    } else if (strcmp(word, "accuracy") == 0) {
        j->accuracy = strtod(value, NULL);
    } else {
        fail_msg("unknown line: %s", line);
    }
}

static void read_ours(journal *j, const char *path) {
    char line[LINE_BYTES];
    FILE *f = fopen(path, "r");
    *j = (journal){.accuracy = NAN};
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) take_line(j, line);
    fclose(f);
}

/* The recorded journal of one seed: from "seed S" up to the next seed or the end. */
static void read_recorded(recorded *r, journal *j, int seed) {
    char line[LINE_BYTES], expected[LINE_BYTES];
    *j = (journal){.accuracy = NAN};
    snprintf(expected, sizeof expected, "seed %d", seed);
    for (int n = 0; r->at != r->end; n++) {
        if (n > 0 && r->end - r->at > 5 && memcmp(r->at, "seed ", 5) == 0) return;
        const unsigned char *eol = memchr(r->at, '\n', (size_t)(r->end - r->at));
        assert_non_null(eol);
        size_t bytes = (size_t)(eol - r->at);
        assert_true(bytes < sizeof line);
        memcpy(line, recorded_take(r, bytes + 1), bytes);
        line[bytes] = 0;
        if (n == 0)
            assert_string_equal(line, expected);
        else
            take_line(j, line);
    }
}

/* Identical bits, near losses, near accuracy. */
static void compare(const journal *ours, const journal *theirs, int seed) {
    double farthest = 0;
    assert_int_equal(theirs->losses, STEPS);
    assert_int_equal(theirs->orders, EPOCHS);
    assert_int_equal(ours->orders, EPOCHS);
    assert_int_equal(ours->losses, (60000 + 63) / 64 * EPOCHS);
    assert_int_equal(strlen(theirs->weights), 8);
    assert_string_equal(ours->weights, theirs->weights);
    for (int e = 0; e < EPOCHS; e++) assert_string_equal(ours->order[e], theirs->order[e]);
    for (int i = 0; i < STEPS; i++) {
        double off = fabs(ours->loss[i] - theirs->loss[i]);
        if (!(off <= 1e-4))
            fail_msg("seed %d step %d: loss %.9g, PyTorch %.9g", seed, i, ours->loss[i], theirs->loss[i]);
        if (off > farthest) farthest = off;
    }
    print_message("seed %d: weights and orders the same; losses within %.1e; accuracy %.2f %%, PyTorch %.2f %%\n", seed,
                  farthest, 100 * ours->accuracy, 100 * theirs->accuracy);
    assert_true(fabs(ours->accuracy - theirs->accuracy) <= 0.004);
    assert_true(ours->accuracy >= 0.875);
}

static void beside_pytorch(void **state) {
    (void)state;
    recorded r;
    char said[TEXT_BYTES];
    need_program();
    if (access(DATA "/train-images-idx3-ubyte.gz", R_OK) != 0) {
        print_message("skipped: the pictures are not installed (apt install dataset-fashion-mnist)\n");
        skip();
    }
    if (recorded_open(&r, "fashion.txt", "fashion 1") != 0) fail_msg("%s", r.why);
    for (int seed = 0; seed < 3; seed++) {
        journal ours, theirs;
        read_recorded(&r, &theirs, seed);
        int status = run(said, "--data " DATA " --seed %d --losses %s", seed, path_of("losses"));
        if (status != 0) fail_msg("exit status %d: %s", status, said);
        read_ours(&ours, path_of("losses"));
        compare(&ours, &theirs, seed);
    }
    assert_ptr_equal(r.at, r.end);
    recorded_close(&r);
}

/* ---- small data of our own --------------------------------------------------------------------------------------- */

static const char *const names[] = {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                                    "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"};
enum { FILES = 4, TRAINING = 200, TESTING = 50, POINTS = 784, MAX_FILE = 16 + TRAINING * POINTS };

/* File number i, not packed (the program reads both); returns its length. */
static size_t make_file(int i, unsigned char *p) {
    int n = i < 2 ? TRAINING : TESTING;
    bool images = i % 2 == 0;
    const unsigned char head[] = {0, 0, 8, images ? 3 : 1, 0, 0, 0, (unsigned char)n, 0, 0, 0, 28, 0, 0, 0, 28};
    size_t header = images ? 16 : 8, elements = (size_t)n * (images ? POINTS : 1);
    memcpy(p, head, header);
    for (size_t k = 0; k < elements; k++) p[header + k] = (unsigned char)(images ? k * 2654435761u >> 24 : k % 10);
    return header + elements;
}

static void write_file(const char *name, const unsigned char *bytes, size_t n) {
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* All four files as they should be. */
static void write_data(void) {
    static unsigned char p[MAX_FILE];
    for (int i = 0; i < FILES; i++) write_file(names[i], p, make_file(i, p));
}

/* One sentence that names the file and says what to do, and exit status 1. */
static void expect_refusal(int i, const char *word) {
    char said[TEXT_BYTES];
    int status = run(said, "--epochs 1");
    char *eol = strchr(said, '\n');
    if (status != 1 || !eol || eol[1] || !strstr(said, path_of(names[i])) || !strstr(said, word) ||
        !strstr(said, "apt install") || !strstr(said, "dataset-fashion-mnist"))
        fail_msg("%s (%s): exit status %d, said: %s", names[i], word, status, said);
}

static void missing_files(void **state) {
    (void)state;
    need_program();
    for (int i = 0; i < FILES; i++) {
        write_data();
        assert_int_equal(unlink(path_of(names[i])), 0);
        expect_refusal(i, "is missing");
    }
}

static void cut_files(void **state) {
    (void)state;
    need_program();
    for (int i = 0; i < FILES; i++) {
        static unsigned char p[MAX_FILE];
        size_t n = make_file(i, p), cuts[] = {0, 3, 7, n / 2, n - 1};
        for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
            write_data();
            write_file(names[i], p, cuts[k]);
            expect_refusal(i, "is cut short");
        }
    }
}

/* Packs file i with gzip. */
static void pack(int i) {
    char command[1000];
    write_data();
    snprintf(command, sizeof command, "cd %s && mv %s plain && gzip -n -c plain >%s", folder, names[i], names[i]);
    assert_int_equal(system(command), 0);
}

static void packed_files(void **state) {
    (void)state;
    struct stat s;
    char said[TEXT_BYTES];
    need_program();
    for (int i = 0; i < FILES; i++) {
        pack(i);
        assert_int_equal(stat(path_of(names[i]), &s), 0);
        if (run(said, "--epochs 1") != 0) fail_msg("a packed file is refused: %s", said);
        off_t cuts[] = {1, 5, 12, s.st_size / 2, s.st_size - 8, s.st_size - 1};
        for (size_t k = sizeof cuts / sizeof *cuts; k-- > 0;) { /* the longest first: each cuts the one before */
            assert_int_equal(truncate(path_of(names[i]), cuts[k]), 0);
            expect_refusal(i, "is cut short");
        }
    }
}

/* A packed file with a byte changed does not pass: its checksum tells. */
static void damaged_files(void **state) {
    (void)state;
    need_program();
    for (int i = 0; i < FILES; i++) {
        pack(i);
        FILE *f = fopen(path_of(names[i]), "r+b");
        assert_non_null(f);
        assert_int_equal(fseek(f, -6, SEEK_END), 0); /* inside the checksum */
        int c = fgetc(f);
        assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
        assert_int_equal(fputc(c ^ 0x10, f), c ^ 0x10);
        assert_int_equal(fclose(f), 0);
        expect_refusal(i, "damaged");
    }
}

/* Files that are IDX but not what the network is for. */
static void other_contents(void **state) {
    (void)state;
    static const struct {
        int file;
        size_t at;
        unsigned char byte;
        const char *word;
    } changes[] = {
        {0, 2, 9, "not of unsigned bytes"}, {0, 0, 1, "no IDX file"},
        {0, 3, 0, "no dimension"},          {0, 3, 9, "too many"},
        {2, 11, 29, "less than its"},       {2, 15, 27, "longer than its"},
        {0, 4, 255, "is cut short"},        {1, 100, 10, "label above 9"},
        {3, 8, 255, "label above 9"},       {0, 3, 2, "longer"},
        {2, 7, TESTING - 1, "longer than"},
    };
    need_program();
    for (size_t k = 0; k < sizeof changes / sizeof *changes; k++) {
        static unsigned char p[MAX_FILE];
        write_data();
        size_t n = make_file(changes[k].file, p);
        p[changes[k].at] = changes[k].byte;
        write_file(names[changes[k].file], p, n);
        expect_refusal(changes[k].file, changes[k].word);
    }
}

/* Files that are right each by itself, but not together; and no pictures at all. */
static void mismatched_files(void **state) {
    (void)state;
    static unsigned char p[MAX_FILE];
    need_program();
    write_data();
    write_file(names[1], p, make_file(3, p));
    expect_refusal(1, "one label per picture");
    write_data();
    write_file(names[0], p, make_file(1, p));
    expect_refusal(0, "wrong number of dimensions");
    write_data();
    make_file(0, p);
    p[7] = 0;
    write_file(names[0], p, 16);
    expect_refusal(0, "no pictures");
    write_data();
    make_file(2, p);
    p[7] = 1, p[11] = 14;
    write_file(names[2], p, 16 + POINTS / 2);
    expect_refusal(2, "no pictures of 28 by 28");
}

/* ---- what a run writes ------------------------------------------------------------------------------------------- */

static char *file_text(const char *name) {
    static char text[200000];
    FILE *f = fopen(path_of(name), "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    assert_true(n < sizeof text - 1);
    text[n] = 0;
    fclose(f);
    return text;
}
static int count(const char *text, const char *part) {
    int n = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part)) n++;
    return n;
}

static void what_a_run_writes(void **state) {
    (void)state;
    char said[TEXT_BYTES], *text;
    need_program();
    write_data();
    assert_int_equal(run(said, "--epochs 3 --seed -5 --svg %s/curve.svg --losses %s/losses", folder, folder), 0);
    assert_int_equal(count(said, "epoch "), 3); /* not a terminal: a line per epoch */
    assert_int_equal(count(said, " images/s"), 3);
    assert_int_equal(count(said, " s left\n"), 3);
    assert_non_null(strstr(said, "epoch 3/3  step 12/12  loss "));
    assert_int_equal(count(file_text("stdout"), "of the test pictures are named right\n"), 3);
    assert_non_null(strstr(file_text("stdout"), "After 3 epochs"));
    text = file_text("losses");
    assert_int_equal(count(text, "weights "), 1);
    assert_int_equal(count(text, "order "), 3);
    assert_int_equal(count(text, "loss "), 3 * ((TRAINING + 63) / 64));
    assert_int_equal(count(text, "accuracy "), 3);
    text = file_text("curve.svg");
    assert_int_equal(strncmp(text, "<svg ", 5), 0);
    assert_int_equal(count(text, "<polyline "), 2);
    assert_non_null(strstr(text, "</svg>\n"));
    assert_int_equal(count(text, "nan") + count(text, "inf"), 0);
}

/* Pictures that say their label are learnt; the same seed gives the same losses, another seed others. */
static void learns_and_repeats(void **state) {
    (void)state;
    static unsigned char p[MAX_FILE];
    char said[TEXT_BYTES];
    journal first, again, other;
    need_program();
    for (int i = 0; i < FILES; i++) {
        size_t n = make_file(i, p);
        for (size_t k = 16; i % 2 == 0 && k < n; k++) p[k] = (k - 16) % 10 == (k - 16) / POINTS % 10 ? 255 : 0;
        write_file(names[i], p, n);
    }
    assert_int_equal(run(said, "--epochs 25 --seed 7 --losses %s/losses", folder), 0);
    read_ours(&first, path_of("losses"));
    assert_int_equal(run(said, "--epochs 25 --seed 7 --losses %s/losses", folder), 0);
    read_ours(&again, path_of("losses"));
    assert_int_equal(run(said, "--epochs 25 --seed 8 --losses %s/losses", folder), 0);
    read_ours(&other, path_of("losses"));
    assert_int_equal(first.losses, STEPS);
    assert_memory_equal(first.loss, again.loss, STEPS * sizeof(double));
    assert_string_equal(first.order[EPOCHS - 1], again.order[EPOCHS - 1]);
    assert_string_not_equal(first.order[0], other.order[0]);
    assert_string_not_equal(first.weights, other.weights);
    assert_true(first.loss[STEPS - 1] < first.loss[0] / 2);
    assert_true(first.accuracy == 1);
}

static void wrong_arguments(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "--epochs 0", "--epochs 1x",    "--epochs 99999999999",      "--seed", "--seed x", "extra", "--svgs x",
        "--seed ''",  "--epochs 10001", "--seed 9223372036854775808"};
    char said[TEXT_BYTES];
    need_program();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(run(said, "%s", wrong[i]), 2);
        assert_int_equal(strncmp(said, "usage: ", 7), 0);
    }
    write_data();
    assert_int_equal(run(said, "--losses %s/nowhere/losses", folder), 1);
    assert_non_null(strstr(said, "nowhere/losses cannot be written: No such file"));
}

static int setup(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}
static int teardown(void **state) {
    char command[PATH_BYTES];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_files),     cmocka_unit_test(cut_files),          cmocka_unit_test(packed_files),
        cmocka_unit_test(damaged_files),     cmocka_unit_test(other_contents),     cmocka_unit_test(mismatched_files),
        cmocka_unit_test(what_a_run_writes), cmocka_unit_test(learns_and_repeats), cmocka_unit_test(wrong_arguments),
        cmocka_unit_test(beside_pytorch),
    };
    return cmocka_run_group_tests_name("fashion", tests, setup, teardown);
}
