/* test_random.c - random numbers: the specification's known answers, every generator function's stream recorded from
 * PyTorch, vector against plain loops, generators (state, fork, threads), checks and gradients.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/alloc.h"
#include "core/rng.h"
#include "support/recorded.h"
#include "support/sha256.h"
#include "wengert/wengert.h"

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

/* A result's elements, row-major, to be freed. */
static unsigned char *bytes_of(wg_tensor *t, size_t *n) {
    assert_false(wg_is_poison(t));
    *n = (size_t)wg_numel(t) * wg_dtype_size(wg_dtype_of(t));
    unsigned char *p = malloc(*n + 1);
    assert_non_null(p);
    assert_int_equal(wg_copy_out(t, wg_dtype_of(t), p, *n), WG_OK);
    return p;
}

static uint32_t crc32_of(const unsigned char *p, size_t n) {
    uint32_t crc = ~0u;
    while (n--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++) crc = crc >> 1 ^ (0xedb88320u & -(crc & 1u));
    }
    return ~crc;
}

static uint32_t crc_of_result(wg_tensor *t) {
    size_t n;
    unsigned char *p = bytes_of(t, &n);
    uint32_t crc = crc32_of(p, n);
    free(p);
    return crc;
}

static uint32_t crc_of_state(void) {
    unsigned char state[WG_GENERATOR_STATE_BYTES];
    assert_int_equal(wg_generator_get_state(NULL, state, sizeof state), WG_OK);
    return crc32_of(state, sizeof state);
}

/* (37 i mod 101) / 101 + plus in dtype, in memory order. */
static wg_tensor *fraction_shaped(int ndim, const int64_t *sizes, const int64_t *strides, wg_dtype dtype, double plus) {
    wg_tensor *t = wg_empty_strided(ndim, sizes, strides, WG_DTYPE(dtype));
    if (wg_is_poison(t)) return t;
    char *p = wg_data(t);
    for (int64_t i = 0; i < wg_numel(t); i++, p += wg_dtype_size(dtype)) {
        wg__store_double(p, dtype, (double)(i * 37 % 101) / 101.0);
        wg__store_double(p, dtype, wg__load_double(p, dtype) + plus);
    }
    return t;
}
static wg_tensor *fraction(int64_t n, wg_dtype dtype, double plus) {
    const int64_t one = 1;
    return fraction_shaped(1, &n, &one, dtype, plus);
}
static wg_tensor *empty(int64_t n, wg_dtype dtype) { return wg_empty(1, &n, WG_DTYPE(dtype)); }

/* ---- one function per recorded name: dtype d, size n ------------------------------------------------------------- */

typedef wg_tensor *(*call)(int64_t n, wg_dtype d);
#define CALL(name_) static wg_tensor *name_(int64_t n, wg_dtype d)
CALL(rand_) { return wg_rand(1, &n, WG_DTYPE(d), NULL); }
CALL(randn_) { return wg_randn(1, &n, WG_DTYPE(d), NULL); }
CALL(uniform_tenth) { return wg_uniform_(empty(n, d), -0.1, 0.1, NULL); }
CALL(uniform_half) { return wg_uniform_(empty(n, d), -0.5, 0.5, NULL); }
CALL(uniform_far) { return wg_uniform_(empty(n, d), 1000, 1001, NULL); }
CALL(normal_) { return wg_normal_(empty(n, d), 1.5, 0.02, NULL); }
CALL(exponential_) { return wg_exponential_(empty(n, d), 0.3, NULL); }
CALL(cauchy_) { return wg_cauchy_(empty(n, d), 1, 2, NULL); }
CALL(log_normal_) { return wg_log_normal_(empty(n, d), 1, 0.5, NULL); }
CALL(bernoulli_of) { return wg_bernoulli(fraction(n, d, 0), NULL); }
CALL(bernoulli_each) { return wg_bernoulli_tensor_(empty(n, WG_FLOAT32), fraction(n, d, 0), NULL); }
CALL(normal_mean) { return wg_normal_tensor(fraction(n, d, 0), wg_s(0.5), NULL); }
CALL(normal_std) { return wg_normal_tensor(wg_s(0.1), fraction(n, d, 0), NULL); }
CALL(normal_both) { return wg_normal_tensor(fraction(n, d, 0), fraction(n, d, 0), NULL); }
CALL(multinomial_again) { return wg_multinomial(fraction(n + 1, d, 0), n + 1, true, NULL); }
CALL(multinomial_once) { return wg_multinomial(fraction(n, d, 1), (n + 1) / 2, false, NULL); }
CALL(multinomial_one) { return wg_multinomial(fraction(n, d, 1), 1, true, NULL); }
/* Rows so short that no two quotients of float32 are equal. */
CALL(multinomial_rows) {
    if (n > 100) n = 100;
    return wg_multinomial(fraction_shaped(2, (int64_t[]){3, n}, (int64_t[]){n, 1}, d, 1), n, false, NULL);
}
CALL(multinomial_columns) {
    if (n > 100) n = 100;
    return wg_multinomial(fraction_shaped(2, (int64_t[]){3, n}, (int64_t[]){1, 3}, d, 1), n, false, NULL);
}
CALL(multinomial_ones) {
    (void)d;
    return wg_multinomial(wg_ones(WG_SHAPE(10), NULL), n < 10 ? n : 10, false, NULL);
}
CALL(random_any) { return wg_random_(empty(n, d), NULL); }
CALL(bernoulli_) { return wg_bernoulli_(empty(n, d), 0.3, NULL); }
CALL(geometric_) { return wg_geometric_(empty(n, d), 0.2, NULL); }
CALL(randperm_) { return wg_randperm(n < 120 ? n : 120, WG_DTYPE(d), NULL); }
CALL(randint_100) { return wg_randint(10, 100, 1, &n, WG_DTYPE(d), NULL); }
CALL(randint_0_100) { return wg_randint(0, 100, 1, &n, WG_DTYPE(d), NULL); }
CALL(randint_10) { return wg_randint(0, 10, 1, &n, WG_DTYPE(d), NULL); }
CALL(randint_28m) { return wg_randint(0, ((int64_t)1 << 28) - 1, 1, &n, WG_DTYPE(d), NULL); }
CALL(randint_28) { return wg_randint(0, (int64_t)1 << 28, 1, &n, WG_DTYPE(d), NULL); }
CALL(randint_33) { return wg_randint(-5, (int64_t)1 << 33, 1, &n, WG_DTYPE(d), NULL); }
CALL(randint_all) { return wg_randint(INT64_MIN, INT64_MAX, 1, &n, WG_DTYPE(d), NULL); }
CALL(randint_30) { return wg_randint(0, (int64_t)1 << 30, 1, &n, WG_DTYPE(d), NULL); }
CALL(randint_3000) { return wg_randint(-70, 3000, 1, &n, WG_DTYPE(d), NULL); }

/* Layouts: a transpose, every second column, a permutation with a step. */
CALL(transposed) { return wg_empty_strided(2, (int64_t[]){3, n}, (int64_t[]){1, 3}, WG_DTYPE(d)); }
CALL(columns) { return wg_empty_strided(2, (int64_t[]){3, n}, (int64_t[]){2 * n, 2}, WG_DTYPE(d)); }
CALL(permuted) { return wg_empty_strided(3, (int64_t[]){3, 2, (n + 1) / 2}, (int64_t[]){1, 3 * n, 6}, WG_DTYPE(d)); }
#define LAYOUT(layout)                                                                                                 \
    CALL(uniform_##layout) { return wg_uniform_(layout(n, d), 0, 1, NULL); }                                           \
    CALL(normal_##layout) { return wg_normal_(layout(n, d), 0, 1, NULL); }                                             \
    CALL(exponential_##layout) { return wg_exponential_(layout(n, d), 1, NULL); }                                      \
    CALL(bernoulli_##layout) { return wg_bernoulli_(layout(n, d), 0.5, NULL); }                                        \
    CALL(random_##layout) { return wg_random_(layout(n, d), NULL); }                                                   \
    CALL(randn_like_##layout) { return wg_randn_like(layout(n, d), NULL, NULL); }                                      \
    CALL(bernoulli_each_##layout) {                                                                                    \
        wg_tensor *t = layout(n, d);                                                                                   \
        return wg_bernoulli_tensor_(t, fraction(wg_size(t, -1), WG_FLOAT32, 0), NULL);                                 \
    }
LAYOUT(transposed)
LAYOUT(columns)
LAYOUT(permuted)

/* A name is its function's, with the dtype as last word where it has one. */
typedef struct entry {
    const char *name;
    call fn;
    wg_dtype dtype; /* when the name has none */
} entry;
static const entry entries[] = {
    {"rand", rand_, 0},
    {"randn", randn_, 0},
    {"uniform_ -0.1 0.1", uniform_tenth, 0},
    {"uniform_ -0.5 0.5", uniform_half, 0},
    {"uniform_ 1000 1001", uniform_far, 0},
    {"normal_ 1.5 0.02", normal_, 0},
    {"exponential_ 0.3", exponential_, 0},
    {"cauchy_ 1 2", cauchy_, 0},
    {"log_normal_ 1 0.5", log_normal_, 0},
    {"bernoulli", bernoulli_of, 0},
    {"bernoulli_ tensor", bernoulli_each, 0},
    {"normal mean", normal_mean, 0},
    {"normal std", normal_std, 0},
    {"normal both", normal_both, 0},
    {"multinomial replacement", multinomial_again, 0},
    {"multinomial", multinomial_once, 0},
    {"multinomial rows", multinomial_rows, 0},
    {"multinomial columns", multinomial_columns, 0},
    {"multinomial one", multinomial_one, 0},
    {"multinomial ones", multinomial_ones, WG_FLOAT32},
    {"random_", random_any, 0},
    {"bernoulli_ 0.3", bernoulli_, 0},
    {"geometric_ 0.2", geometric_, 0},
    {"randperm", randperm_, 0},
    {"randint 10 100", randint_100, 0},
    {"randint 0 100", randint_0_100, 0},
    {"randint 0 10", randint_10, 0},
    {"randint 0 268435455", randint_28m, 0},
    {"randint 0 268435456", randint_28, 0},
    {"randint -5 8589934592", randint_33, 0},
    {"randint -9223372036854775808 9223372036854775807", randint_all, 0},
    {"randint 0 1073741824", randint_30, 0},
    {"randint -70 3000", randint_3000, 0},
#define LAYOUT_ENTRIES(layout)                                                                                         \
    {"uniform_ " #layout, uniform_##layout, 0}, {"normal_ " #layout, normal_##layout, 0},                              \
        {"exponential_ " #layout, exponential_##layout, WG_FLOAT32},                                                   \
        {"bernoulli_ " #layout, bernoulli_##layout, WG_FLOAT32}, {"random_ " #layout, random_##layout, WG_INT64},      \
        {"randn_like " #layout, randn_like_##layout, WG_FLOAT32}, {                                                    \
        "bernoulli_ tensor " #layout, bernoulli_each_##layout, WG_FLOAT32                                              \
    }
    LAYOUT_ENTRIES(transposed),
    LAYOUT_ENTRIES(columns),
    LAYOUT_ENTRIES(permuted),
};

/* A recorded function: its call, its dtype, and whether the C library's functions decide its last bits. */
typedef struct function {
    char name[96];
    call fn;
    wg_dtype dtype;
    bool libm;
} function;

static wg_dtype dtype_named(const char *name) {
    for (int d = 0; d < WG_KERNEL_DTYPES; d++)
        if (strcmp(wg_dtype_name((wg_dtype)d), name) == 0) return (wg_dtype)d;
    return WG_DTYPE_NONE;
}

static void find_entry(function *f) {
    char head[96];
    memcpy(head, f->name, sizeof head);
    char *last = strrchr(head, ' ');
    f->dtype = last ? dtype_named(last + 1) : WG_DTYPE_NONE;
    if (f->dtype != WG_DTYPE_NONE) *last = 0;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (strcmp(entries[i].name, head) == 0) {
            f->fn = entries[i].fn;
            if (f->dtype == WG_DTYPE_NONE) f->dtype = entries[i].dtype;
            return;
        }
    fail_msg("no function for the recorded '%s'", f->name);
}

/* ---- the recorded file ------------------------------------------------------------------------------------------- */

enum { MAX_FUNCTIONS = 200, MAX_SEEDS = 60, MAX_SIZES = 30 };
typedef struct list {
    uint32_t n;
    uint64_t v[MAX_SEEDS];
} list;
static struct {
    recorded r;
    uint32_t nfunctions;
    function functions[MAX_FUNCTIONS];
} file;

static void read_list(list *l, int bytes) {
    l->n = (uint32_t)recorded_u(&file.r, 4);
    assert_true(l->n <= MAX_SEEDS);
    for (uint32_t i = 0; i < l->n; i++) l->v[i] = recorded_u(&file.r, bytes);
}

static void open_recorded(void) {
    if (recorded_open(&file.r, "random.bin", "random 1") != 0) fail_msg("%s", file.r.why);
    file.nfunctions = (uint32_t)recorded_u(&file.r, 4);
    assert_true(file.nfunctions <= MAX_FUNCTIONS);
    for (uint32_t i = 0; i < file.nfunctions; i++) {
        function *f = &file.functions[i];
        size_t n = recorded_u(&file.r, 1);
        assert_true(n < sizeof f->name);
        memset(f->name, 0, sizeof f->name);
        memcpy(f->name, recorded_take(&file.r, n), n);
        f->libm = recorded_u(&file.r, 1) != 0;
        find_entry(f);
    }
}

/* Same bits as recorded: glibc's functions on x86-64 with FMA. Elsewhere libm-made values may differ by 2 ulp. */
static bool same_libm(void) {
#if defined(__x86_64__) && defined(__GLIBC__)
    return __builtin_cpu_supports("fma") != 0;
#else
    return false;
#endif
}

/* All calls of one function after one seed, and the state they leave; how many differ. */
static int replay_stream(const function *f, uint64_t seed, const list *sizes) {
    int wrong = 0;
    wg_manual_seed(seed);
    for (uint32_t i = 0; i < sizes->n; i++) WG_SCOPE {
            uint32_t expected = (uint32_t)recorded_u(&file.r, 4);
            uint32_t got = crc_of_result(f->fn((int64_t)sizes->v[i], f->dtype));
            if (got == expected || (f->libm && !same_libm())) continue;
            if (wrong++ == 0)
                print_error("%s, seed %llu, size %u\n", f->name, (unsigned long long)seed, (unsigned)sizes->v[i]);
        }
    bool state_equal = (uint32_t)recorded_u(&file.r, 4) == crc_of_state();
    if (!state_equal && !(f->libm && !same_libm())) {
        print_error("%s, seed %llu: another state\n", f->name, (unsigned long long)seed);
        wrong++;
    }
    return wrong;
}

static int64_t ulps_apart(double a, double b, wg_dtype dtype) {
    if (a == b || (isnan(a) && isnan(b))) return 0;
    double next;
    if (dtype == WG_FLOAT64) {
        next = nextafter(fabs(a), INFINITY) - fabs(a);
    } else {
        int digits = dtype == WG_FLOAT32 ? 24 : dtype == WG_FLOAT16 ? 11 : 8;
        next = ldexp(1.0, (a == 0 ? -126 : ilogb(a)) - digits + 1);
    }
    double apart = fabs(a - b) / next;
    return apart < 1e9 ? (int64_t)ceil(apart) : INT64_MAX;
}

static bool same_value(const function *f, const unsigned char *a, const unsigned char *b, size_t n, wg_dtype dtype) {
    if (memcmp(a, b, n) == 0) return true;
    if (!f->libm || same_libm() || !wg_dtype_is_floating(dtype)) return f->libm && !same_libm();
    for (size_t i = 0; i < n; i += wg_dtype_size(dtype))
        if (ulps_apart(wg__load_double(a + i, dtype), wg__load_double(b + i, dtype), dtype) > 2) return false;
    return true;
}

static int replay_value(const function *f, uint64_t seed, int64_t size) {
    int wrong = 0;
    size_t expected_n = recorded_u(&file.r, 4), n;
    const unsigned char *expected = recorded_take(&file.r, expected_n);
    wg_manual_seed(seed);
    WG_SCOPE {
        wg_tensor *t = f->fn(size, f->dtype);
        unsigned char *got = bytes_of(t, &n);
        wrong = n != expected_n || !same_value(f, expected, got, n, wg_dtype_of(t));
        free(got);
    }
    if (wrong) print_error("%s, seed %llu, size %d: other values\n", f->name, (unsigned long long)seed, (int)size);
    return wrong;
}

static void recorded_streams(void **state) {
    (void)state;
    list seeds, sizes;
    int wrong = 0, compared = 0;
    open_recorded();
    read_list(&seeds, 8);
    read_list(&sizes, 4);
    for (uint32_t i = 0; i < file.nfunctions; i++)
        for (uint32_t s = 0; s < seeds.n; s++) wrong += replay_stream(&file.functions[i], seeds.v[s], &sizes);
    print_message("%d streams of %d functions compared%s\n", (int)(file.nfunctions * seeds.n * sizes.n),
                  (int)file.nfunctions, same_libm() ? " bit for bit" : "; libm-made ones by value, within 2 ulp");
    assert_int_equal(wrong, 0);
    assert_true(seeds.n >= 50 && sizes.n >= 20 && file.nfunctions >= 150);
    read_list(&seeds, 8);
    read_list(&sizes, 4);
    for (uint32_t i = 0; i < file.nfunctions; i++) {
        if (!recorded_u(&file.r, 1)) continue;
        for (uint32_t s = 0; s < seeds.n; s++)
            for (uint32_t k = 0; k < sizes.n; k++, compared++)
                wrong += replay_value(&file.functions[i], seeds.v[s], (int64_t)sizes.v[k]);
    }
    print_message("%d results compared by value\n", compared);
    assert_int_equal(wrong, 0);
    assert_ptr_equal(file.r.at, file.r.end);
    recorded_close(&file.r);
}

/* ---- the specification's known answers --------------------------------------------------------------------------- */

static void expect_floats(wg_tensor *t, const double *expected, int64_t n) {
    assert_int_equal(wg_numel(t), n);
    double got[32];
    assert_int_equal(wg_copy_out(t, WG_FLOAT64, got, (size_t)n * sizeof(double)), WG_OK);
    for (int64_t i = 0; i < n; i++)
        if (got[i] != expected[i]) fail_msg("element %d: %.17g is not %.17g", (int)i, got[i], expected[i]);
}
#define EXPECT(t, ...)                                                                                                 \
    expect_floats((t), (const double[]){__VA_ARGS__}, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)))
#define EXPECT_SEED(seed, t, ...)                                                                                      \
    WG_SCOPE {                                                                                                         \
        wg_manual_seed(seed);                                                                                          \
        EXPECT(t, __VA_ARGS__);                                                                                        \
    }

static void known_answers(void **state) {
    (void)state;
    EXPECT_SEED(0, wg_rand(WG_SHAPE(4), NULL, NULL), 0.49625658988952637, 0.7682217955589294, 0.08847743272781372,
                0.13203048706054688);
    EXPECT_SEED(0, wg_rand(WG_SHAPE(4), WG_DTYPE(WG_FLOAT64), NULL), 0.9700530018065531, 0.707819864399788,
                0.45938294312745087, 0.9207476841219603);
    EXPECT_SEED(0, wg_randint(0, 10, WG_SHAPE(10), NULL, NULL), 4, 9, 3, 0, 3, 9, 7, 3, 7, 3);
    EXPECT_SEED(0, wg_randperm(10, NULL, NULL), 4, 1, 7, 5, 3, 9, 0, 8, 6, 2);
    EXPECT_SEED(0, wg_multinomial(wg_ones(WG_SHAPE(10), NULL), 5, false, NULL), 6, 9, 7, 2, 8);
    EXPECT_SEED(0, wg_bernoulli_(wg_empty(WG_SHAPE(10), NULL), 0.5, NULL), 0, 0, 1, 0, 0, 0, 1, 1, 0, 1);
    EXPECT_SEED(1, wg_rand(WG_SHAPE(2), NULL, NULL), 0.7576315999031067, 0.2793108820915222);
    EXPECT_SEED(1, wg_randperm(10, NULL, NULL), 5, 6, 1, 2, 0, 8, 9, 3, 7, 4);
    EXPECT_SEED(42, wg_rand(WG_SHAPE(2), NULL, NULL), 0.8822692632675171, 0.9150039553642273);
    EXPECT_SEED(42, wg_randint(0, 10, WG_SHAPE(10), NULL, NULL), 2, 7, 6, 4, 6, 5, 0, 4, 0, 3);
}

/* Through the C library in double, then float32: the same bits everywhere that has been tried. */
static void known_normals(void **state) {
    (void)state;
    EXPECT_SEED(0, wg_randn(WG_SHAPE(4), NULL, NULL), 1.5409960746765137, -0.293428897857666, -2.1787893772125244,
                0.5684312582015991);
    EXPECT_SEED(1, wg_randn(WG_SHAPE(4), NULL, NULL), 0.6613521575927734, 0.266924113035202, 0.06167725846171379,
                0.6213173270225525);
    EXPECT_SEED(42, wg_randn(WG_SHAPE(4), NULL, NULL), 0.33669036626815796, 0.12880940735340118, 0.23446236550807953,
                0.23033303022384644);
    EXPECT_SEED(1234, wg_randn(WG_SHAPE(4), NULL, NULL), 0.0461304634809494, 0.4024028182029724, -1.0115290880203247,
                0.2167382389307022);
    EXPECT_SEED(0, wg_randn(WG_SHAPE(16), NULL, NULL), -1.1258398294448853, -1.152360200881958, -0.2505785822868347,
                -0.4338788092136383, 0.8487103581428528, 0.6920091509819031, -0.31601276993751526, -2.1152193546295166,
                0.32227492332458496, -1.2633347511291504, 0.34998318552970886, 0.30813392996788025, 0.11984150856733322,
                1.237657904624939, 1.1167771816253662, -0.2472781538963318);
    if (!same_libm()) return;
    EXPECT_SEED(0, wg_randn(WG_SHAPE(4), WG_DTYPE(WG_FLOAT64), NULL), 1.5409961082440433, -0.2934289057609464,
                -2.1787893820745574, 0.5684312772806678);
}

static void known_words(void **state) {
    (void)state;
    const uint32_t expected[4] = {0x8c7f0aac, 0x97c4aa2f, 0xb716a675, 0xd821ccc0};
    struct wg__mt mt;
    uint32_t words[4];
    wg__mt_seed(&mt, 0);
    wg__mt_words(&mt, words, 4);
    assert_memory_equal(words, expected, sizeof words);
}

static void expect_sha256(wg_tensor *t, const char *expected) {
    size_t n;
    char hex[65];
    unsigned char *p = bytes_of(t, &n);
    sha256_hex(p, n, hex);
    free(p);
    assert_string_equal(hex, expected);
}
#define EXPECT_HASH(t, hash)                                                                                           \
    WG_SCOPE {                                                                                                         \
        wg_manual_seed(0);                                                                                             \
        expect_sha256(t, hash);                                                                                        \
    }

static void known_hashes(void **state) {
    (void)state;
    EXPECT_HASH(wg_rand(WG_SHAPE(1000000), NULL, NULL),
                "c92d742c61e64442efec3e901a06c33761107221a8747c999fe6dde1f812c4bc");
    EXPECT_HASH(wg_rand(WG_SHAPE(100000), WG_DTYPE(WG_FLOAT64), NULL),
                "a8c0025b6608e4793b353bf5fa565a793a101a25b80be5aff1cd80a50be08838");
    EXPECT_HASH(wg_randn(WG_SHAPE(1200000), NULL, NULL),
                "584a26e6eaad944407a96c5999aaa5cd0a6a359309a841eade68bf805c072322");
    EXPECT_HASH(wg_randn(WG_SHAPE(100003), NULL, NULL),
                "0e1052dc151d4ee630af2d3a6975bb64f2d34e0b8be27473fb8e33173f0c1858");
    EXPECT_HASH(wg_randint(0, 1000, WG_SHAPE(100000), NULL, NULL),
                "dbb3b3bd6caa39b74a1a76c019a85eb6fae64cf520d0e75d4b96c3a068ce5b76");
    EXPECT_HASH(wg_randperm(100000, NULL, NULL), "27df463fc2ed34f1872ba6e45cebe8746252c008e368e9eed203473cc8646f09");
    EXPECT_HASH(wg_uniform_(empty(100000, WG_FLOAT32), -.1, .1, NULL),
                "5cc5e46598847b8e9c62706ac78e41842af607e64327f1dfbb91e563a373b33f");
    EXPECT_HASH(wg_bernoulli_(empty(100000, WG_FLOAT32), .5, NULL),
                "dfc113ae7da51804cc1121aa609a6e15f259b4de4be338d6e57d7834e99102cf");
    if (same_libm())
        EXPECT_HASH(wg_randn(WG_SHAPE(100000), WG_DTYPE(WG_FLOAT64), NULL),
                    "cae0818ea1527735c6cc95bbed17146253891b235c874072b0af8724d70878ec");
}

/* Two draws of four and three values share the pairs of Box-Muller. */
static void pairs_span_calls(void **state) {
    (void)state;
    WG_SCOPE {
        float whole[7], parts[7];
        wg_manual_seed(0);
        assert_int_equal(wg_copy_out(wg_randn(WG_SHAPE(7), NULL, NULL), WG_FLOAT32, whole, sizeof whole), WG_OK);
        wg_manual_seed(0);
        wg_tensor *first = wg_randn(WG_SHAPE(3), NULL, NULL);
        wg_rand(WG_SHAPE(0), NULL, NULL);
        assert_int_equal(wg_copy_out(first, WG_FLOAT32, parts, 3 * sizeof(float)), WG_OK);
        assert_int_equal(wg_copy_out(wg_randn(WG_SHAPE(4), NULL, NULL), WG_FLOAT32, parts + 3, 4 * sizeof(float)),
                         WG_OK);
        assert_memory_equal(whole, parts, sizeof whole);
    }
}

/* ---- the vector loops -------------------------------------------------------------------------------------------- */

static void vector_equals_plain(void **state) {
    (void)state;
    const struct wg__rng_kernels *plain = wg__rng_kernels_for(false), *vector = wg__rng_kernels_for(true);
    if (!vector) {
        print_message("this machine has no vector loops for random numbers (AVX2 with FMA)\n");
        skip();
    }
    enum { N = 4096 };
    static uint32_t words[N], tempered[2][N], block[2][WG_MT_N];
    static float x[2][N];
    static double y[2][N / 2];
    for (uint32_t i = 0; i < N; i++) words[i] = i * 2654435761u ^ i << 7;
    memcpy(block[0], words, sizeof block[0]);
    memcpy(block[1], words, sizeof block[1]);
    for (int i = 0; i < 2; i++) {
        const struct wg__rng_kernels *k = i ? vector : plain;
        k->refill(block[i]);
        k->temper(words, tempered[i], N - 3);
        k->uniform_double(words, y[i], N / 2 - 1, -2.5, 0.3);
        k->uniform_float(words, x[i], N, 0, 1);
        k->normal_float(x[i], N / 16, 0.25f, 1.5f);
    }
    assert_memory_equal(block[0], block[1], sizeof block[0]);
    assert_memory_equal(tempered[0], tempered[1], sizeof tempered[0]);
    assert_memory_equal(x[0], x[1], sizeof x[0]);
    assert_memory_equal(y[0], y[1], sizeof y[0]);
}

/* ---- generators -------------------------------------------------------------------------------------------------- */

static uint32_t draw_crc(wg_generator *g) {
    uint32_t crc = 0;
    WG_SCOPE { crc = crc_of_result(wg_randn(WG_SHAPE(5), NULL, g)); }
    return crc;
}

static void generators_are_apart(void **state) {
    (void)state;
    wg_generator *a = wg_generator_new(), *b = wg_generator_new();
    assert_true(wg_generator_initial_seed(a) == 67280421310721u);
    assert_int_equal(draw_crc(a), draw_crc(b));
    wg_generator_manual_seed(a, 7);
    wg_manual_seed(7);
    draw_crc(b);
    uint32_t from_a = draw_crc(a);
    assert_int_equal(from_a, draw_crc(NULL));
    assert_ptr_equal(wg_generator_keep(a), a);
    wg_generator_release(a);
    wg_generator_manual_seed(a, 7);
    assert_int_equal(from_a, draw_crc(a));
    uint64_t seed = wg_generator_seed(a);
    assert_true(seed < (uint64_t)1 << 53 && seed == wg_generator_initial_seed(a));
    wg_generator_release(a);
    wg_generator_release(b);
    wg_generator_release(NULL);
}

static void state_travels(void **state) {
    (void)state;
    unsigned char saved[WG_GENERATOR_STATE_BYTES];
    wg_generator *g = wg_generator_new();
    for (int i = 0; i < 300; i++) {
        draw_crc(g); /* five values each: half of the time a normal waits */
        if (i % 7) continue;
        assert_int_equal(wg_generator_get_state(g, saved, sizeof saved), WG_OK);
        uint32_t first = draw_crc(g);
        assert_int_equal(wg_generator_set_state(g, saved, sizeof saved), WG_OK);
        assert_int_equal(first, draw_crc(g));
    }
    wg_generator_release(g);
}

static void bad_states(void **state) {
    (void)state;
    unsigned char saved[WG_GENERATOR_STATE_BYTES], before[WG_GENERATOR_STATE_BYTES];
    wg_generator *g = wg_generator_new();
    assert_int_equal(wg_generator_get_state(g, before, sizeof before), WG_OK);
    assert_int_equal(wg_generator_set_state(g, before, 10), WG_ERR_RUNTIME);
    assert_non_null(strstr(wg_last_message(), "but found the input RNG state size to be 10"));
    memset(saved, 0, sizeof saved);
    assert_int_equal(wg_generator_set_state(g, saved, sizeof saved), WG_ERR_RUNTIME);
    assert_non_null(strstr(wg_last_message(), "Invalid mt19937 state"));
    for (int byte = 8; byte < 24; byte++) { /* left, seeded, next */
        memcpy(saved, before, sizeof saved);
        saved[byte] ^= 0x80;
        assert_int_equal(wg_generator_set_state(g, saved, sizeof saved), WG_ERR_RUNTIME);
        wg_clear_error();
    }
    assert_int_equal(wg_generator_get_state(g, saved, 100), WG_ERR_VALUE);
    wg_clear_error();
    assert_int_equal(wg_generator_get_state(g, saved, sizeof saved), WG_OK);
    assert_memory_equal(saved, before, sizeof saved);
    wg_generator_release(g);
}

/* Runs in the child of a fork: the parent's other threads, and the locks they held, are gone. */
static void draw_in_child(wg_generator *g, uint32_t expected) {
    alarm(20);
    wg_generator *fresh = wg_generator_new();
    bool good = draw_crc(g) == expected;
    draw_crc(NULL);
    draw_crc(fresh);
    wg_generator_release(fresh);
    _exit(good ? 0 : 1);
}

static atomic_bool quiet;
static void *draw_until_quiet(void *g) {
    while (!atomic_load(&quiet)) draw_crc(g);
    return NULL;
}

static void generators_survive_fork(void **state) {
    (void)state;
    wg_generator *g = wg_generator_new(), *busy = wg_generator_new();
    pthread_t threads[2];
    atomic_store(&quiet, false);
    assert_int_equal(pthread_create(&threads[0], NULL, draw_until_quiet, NULL), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, draw_until_quiet, busy), 0);
    for (uint64_t i = 0; i < 20; i++) {
        wg_generator_manual_seed(g, i);
        uint32_t expected = draw_crc(g);
        wg_generator_manual_seed(g, i);
        pid_t child = fork();
        if (child == 0) draw_in_child(g, expected);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    atomic_store(&quiet, true);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    wg_generator_release(g);
    wg_generator_release(busy);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, DRAWS = 200, LENGTH = 64 };
static void *draw_rows(void *rows) {
    float(*out)[LENGTH] = rows;
    for (int i = 0; i < DRAWS; i++) WG_SCOPE {
            wg_tensor *t = wg_rand(WG_SHAPE(LENGTH), NULL, NULL);
            if (wg_copy_out(t, WG_FLOAT32, out[i], sizeof out[i]) != WG_OK) return NULL;
        }
    return rows;
}

static int by_first(const void *a, const void *b) {
    const float *x = a, *y = b;
    return memcmp(x, y, LENGTH * sizeof *x);
}

/* Every draw is one piece of the one stream, whoever made it. */
static void threads_share_the_default_generator(void **state) {
    (void)state;
    static float drawn[THREADS * DRAWS][LENGTH], expected[THREADS * DRAWS][LENGTH];
    pthread_t threads[THREADS];
    void *done;
    wg_manual_seed(99);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, draw_rows, drawn[i * DRAWS]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &done);
        assert_non_null(done);
    }
    wg_manual_seed(99);
    for (int i = 0; i < THREADS; i++) assert_non_null(draw_rows(expected[i * DRAWS]));
    qsort(drawn, THREADS * DRAWS, sizeof *drawn, by_first);
    qsort(expected, THREADS * DRAWS, sizeof *expected, by_first);
    assert_memory_equal(drawn, expected, sizeof drawn);
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static void expect_poison(wg_tensor *t, wg_status code, const char *part) {
    assert_true(wg_is_poison(t));
    assert_int_equal(wg_last_status(), code);
    const char *message = wg_last_message();
    if (!strstr(message, part)) fail_msg("'%s' is not in '%s'", part, message);
}

static void refused_parameters(void **state) {
    (void)state;
    wg_status run = WG_ERR_RUNTIME, no = WG_ERR_NOT_IMPLEMENTED;
    WG_SCOPE {
        wg_tensor *f = wg_zeros(WG_SHAPE(2), NULL), *l = wg_zeros(WG_SHAPE(2), WG_DTYPE(WG_INT64));
        wg_tensor *byte = wg_zeros(WG_SHAPE(2), WG_DTYPE(WG_UINT8)), *b = wg_zeros(WG_SHAPE(2), WG_DTYPE(WG_BOOL));
        wg_tensor *h = wg_zeros(WG_SHAPE(2), WG_DTYPE(WG_FLOAT16));
        expect_poison(wg_rand(WG_SHAPE(2), WG_DTYPE(WG_INT64), NULL), no,
                      "\"check_uniform_bounds\" not implemented for 'Long'");
        expect_poison(wg_randn(WG_SHAPE(2), WG_DTYPE(WG_BOOL), NULL), no,
                      "\"normal_kernel_cpu\" not implemented for 'Bool'");
        expect_poison(wg_uniform_(f, 1, 0, NULL), run,
                      "uniform_ expects to return a [from, to) range, but found from=1 > to=0");
        expect_poison(wg_uniform_(f, NAN, 1, NULL), run, "from is out of bounds for float");
        expect_poison(wg_uniform_(h, 0, 1e5, NULL), run, "to is out of bounds for c10::Half");
        expect_poison(wg_uniform_(f, -3e38, 3e38, NULL), run,
                      "uniform_ expects to-from <= std::numeric_limits<Float>::max(), but found to=3e+38 and "
                      "from=-3e+38 which result in to-from to exceed the limit");
        expect_poison(wg_normal_(f, 0, -1, NULL), run, "normal expects std >= 0.0, but found std -1");
        expect_poison(wg_exponential_(f, 0, NULL), run, "exponential_ expects lambda > 0.0, but found lambda=0");
        expect_poison(wg_exponential_(l, 1, NULL), run, "dtype must be a floating point but you specified Long");
        expect_poison(wg_cauchy_(f, 0, 0, NULL), run, "cauchy_ expects sigma > 0.0, but found sigma=0");
        expect_poison(wg_geometric_(f, 1, NULL), run, "geometric_ expects p to be in (0, 1), but got p=1");
        expect_poison(wg_geometric_(b, .5, NULL), no, "\"geometric_cpu\" not implemented for 'Bool'");
        expect_poison(wg_log_normal_(f, 0, 0, NULL), run, "log_normal_ expects std > 0.0, but found std=0");
        expect_poison(wg_bernoulli_(f, 1.5, NULL), run, "bernoulli_ expects p to be in [0, 1], but got p=1.5");
        expect_poison(wg_random_range_(f, 5, 5, NULL), run,
                      "random_ expects 'from' to be less than 'to', but got from=5 >= to=5");
        expect_poison(wg_random_range_(byte, 0, 300, NULL), run, "to - 1 is out of bounds for unsigned char");
        expect_poison(wg_random_range_(byte, -1, 3, NULL), run, "from is out of bounds for unsigned char");
        expect_poison(wg_randint(0, 70000, WG_SHAPE(2), WG_DTYPE(WG_FLOAT16), NULL), run,
                      "to - 1 is out of bounds for c10::Half");
        expect_poison(wg_randperm(300, WG_DTYPE(WG_UINT8), NULL), run,
                      "value cannot be converted to type uint8_t without overflow");
        expect_poison(wg_randperm(5000, WG_DTYPE(WG_FLOAT16), NULL), run,
                      "n cannot be greater than 2049 for Half type.");
        expect_poison(wg_randperm(5, WG_DTYPE(WG_BOOL), NULL), no, "\"randperm\" not implemented for 'Bool'");
    }
}

static wg_tensor *floats(const float *v, int64_t n) { return wg_from_data(v, WG_FLOAT32, 1, &n, NULL); }

static void refused_samples(void **state) {
    (void)state;
    wg_status run = WG_ERR_RUNTIME;
    WG_SCOPE {
        wg_tensor *ones = wg_ones(WG_SHAPE(3), NULL), *zeros = wg_zeros(WG_SHAPE(3), NULL);
        wg_tensor *minus = floats((float[]){1, -1}, 2), *infinite = floats((float[]){1, INFINITY}, 2);
        wg_tensor *big = floats((float[]){2}, 1), *nothing = floats((float[]){NAN}, 1);
        expect_poison(wg_multinomial(ones, 4, false, NULL), run,
                      "cannot sample n_sample > prob_dist.size(-1) samples without replacement");
        expect_poison(wg_multinomial(ones, 0, false, NULL), run, "cannot sample n_sample <= 0 samples");
        expect_poison(wg_multinomial(wg_ones(WG_SHAPE(2, 2, 2), NULL), 1, false, NULL), run,
                      "prob_dist must be 1 or 2 dim");
        expect_poison(wg_multinomial(zeros, 1, true, NULL), run,
                      "invalid multinomial distribution (sum of probabilities <= 0)");
        expect_poison(wg_multinomial(zeros, 2, true, NULL), run,
                      "invalid multinomial distribution (sum of probabilities <= 0)");
        expect_poison(wg_multinomial(minus, 1, false, NULL), run,
                      "probability tensor contains either `inf`, `nan` or element < 0");
        expect_poison(wg_multinomial(minus, 2, true, NULL), run,
                      "invalid multinomial distribution (encountering probability entry < 0)");
        expect_poison(wg_multinomial(infinite, 2, true, NULL), run,
                      "invalid multinomial distribution (encountering probability entry = infinity or NaN)");
        expect_poison(wg_multinomial(wg_ones(WG_SHAPE(3), WG_DTYPE(WG_INT64)), 1, false, NULL), run,
                      "multinomial only supports floating-point dtypes for input, got: Long");
        expect_poison(wg_bernoulli(big, NULL), run, "Expected p_in >= 0 && p_in <= 1 to be true, but got false.");
        expect_poison(wg_bernoulli(nothing, NULL), run, "Expected p_in >= 0 && p_in <= 1 to be true, but got false.");
        expect_poison(wg_normal_tensor(zeros, wg_s(-1), NULL), run, "normal expects std >= 0.0, but found std -1");
        expect_poison(wg_normal_tensor(ones, minus, NULL), run, "The size of tensor a (3) must match");
        expect_poison(wg_normal_tensor(wg_s(0), minus, NULL), run, "normal expects all elements of std >= 0.0");
        expect_poison(wg_normal_tensor(NULL, ones, NULL), WG_ERR_TYPE, "must be Tensor");
    }
}

static void empty_results(void **state) {
    (void)state;
    WG_SCOPE {
        unsigned char before[WG_GENERATOR_STATE_BYTES], after[WG_GENERATOR_STATE_BYTES];
        assert_int_equal(wg_generator_get_state(NULL, before, sizeof before), WG_OK);
        assert_int_equal(wg_numel(wg_rand(WG_SHAPE(0), NULL, NULL)), 0);
        assert_int_equal(wg_numel(wg_randn(WG_SHAPE(3, 0), NULL, NULL)), 0);
        assert_int_equal(wg_numel(wg_randperm(0, NULL, NULL)), 0);
        assert_int_equal(wg_numel(wg_multinomial(wg_ones(WG_SHAPE(0, 3), NULL), 2, false, NULL)), 0);
        assert_int_equal(wg_numel(wg_bernoulli(wg_ones(WG_SHAPE(0), NULL), NULL)), 0);
        assert_int_equal(wg_generator_get_state(NULL, after, sizeof after), WG_OK);
        assert_memory_equal(before, after, sizeof before);
    }
}

static int warnings;
static int count_warning(void *user, wg_warning category, const char *message) {
    (void)user;
    assert_int_equal(category, WG_WARN_USER);
    assert_non_null(strstr(message, "to - 1 is out of bounds [-(2^24), 2^24]. Due to precision limitations float can"));
    return warnings++ < 1 ? 0 : 1;
}

/* The first time the host lets the warning pass, the second time it makes it an error. */
static void precision_warning(void **state) {
    (void)state;
    assert_int_equal(wg_set_host(&(wg_host){.size = sizeof(wg_host), .warn = count_warning}), WG_OK);
    WG_SCOPE {
        assert_false(wg_is_poison(wg_randint(0, 1 << 30, WG_SHAPE(2), WG_DTYPE(WG_FLOAT32), NULL)));
        assert_int_equal(warnings, 1);
        assert_true(wg_is_poison(wg_randint(0, 1 << 30, WG_SHAPE(2), WG_DTYPE(WG_FLOAT32), NULL)));
        wg_clear_error();
    }
    assert_int_equal(wg_set_host(&(wg_host){.size = sizeof(wg_host)}), WG_OK);
}

static atomic_int polls;
static bool stop_at_third(void *user) {
    (void)user;
    return atomic_fetch_add(&polls, 1) >= 2;
}

static void long_fills_can_be_stopped(void **state) {
    (void)state;
    assert_int_equal(wg_set_host(&(wg_host){.size = sizeof(wg_host), .should_stop = stop_at_third}), WG_OK);
    WG_SCOPE {
        wg_tensor *t = wg_empty(WG_SHAPE(40000000), NULL);
        uint32_t version = wg_version_of(t);
        atomic_store(&polls, 0);
        expect_poison(wg_exponential_(t, 1, NULL), WG_ERR_INTERRUPTED, "may be partly written");
        assert_int_equal(wg_version_of(t), version + 1);
        atomic_store(&polls, 0);
        expect_poison(wg_rand(WG_SHAPE(100000000), NULL, NULL), WG_ERR_INTERRUPTED, "rand was interrupted");
    }
    assert_int_equal(wg_set_host(&(wg_host){.size = sizeof(wg_host)}), WG_OK);
}

/* ---- history ----------------------------------------------------------------------------------------------------- */

static void fills_are_writes(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(2), WG_OPT(.requires_grad = true)), *y = wg_mul(x, wg_s(2));
        expect_poison(wg_uniform_(x, 0, 1, NULL), WG_ERR_RUNTIME,
                      "a leaf Variable that requires grad is being used in an in-place operation.");
        wg_tensor *fresh = wg_rand(WG_SHAPE(3), WG_OPT(.requires_grad = true), NULL);
        assert_true(wg_requires_grad(fresh) && wg_is_leaf(fresh));
        assert_int_equal(wg_version_of(fresh), 0);
        assert_ptr_equal(wg_uniform_(y, 0, 1, NULL), y);
        assert_int_equal(wg_version_of(y), 1);
        assert_string_equal(wg_node_name(wg_grad_fn(y)), "UniformBackward0");
        assert_int_equal(wg_backward_with(y, wg_ones(WG_SHAPE(2), NULL)), WG_OK);
        EXPECT(wg_grad_of(x), 0, 0);
        expect_poison(wg_normal_(wg_expand(wg_ones(WG_SHAPE(1), NULL), 1, (int64_t[]){3}), 0, 1, NULL), WG_ERR_RUNTIME,
                      "more than one element of the written-to tensor refers to a single memory location");
    }
}

static void fill_of_a_view(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_ones(WG_SHAPE(2), WG_OPT(.requires_grad = true)), *y = wg_mul(x, wg_s(2));
        wg_normal_(wg_narrow(y, 0, 0, 1), 0, 1, NULL);
        assert_string_equal(wg_node_name(wg_grad_fn(y)), "torch::autograd::CopySlices");
        assert_int_equal(wg_backward_with(y, wg_ones(WG_SHAPE(2), NULL)), WG_OK);
        EXPECT(wg_grad_of(x), 0, 2);
    }
}

static const char *name_after(wg_tensor *t) { return wg_node_name(wg_grad_fn(t)); }

static void names_of_nodes(void **state) {
    (void)state;
    WG_SCOPE {
        wg_tensor *x = wg_full(WG_SHAPE(2), wg_s(0.5), WG_OPT(.requires_grad = true));
#define FRESH wg_mul(x, wg_s(1))
        assert_string_equal(name_after(wg_normal_(FRESH, 0, 1, NULL)), "NormalBackward0");
        assert_string_equal(name_after(wg_exponential_(FRESH, 1, NULL)), "ExponentialBackward0");
        assert_string_equal(name_after(wg_cauchy_(FRESH, 0, 1, NULL)), "CauchyBackward0");
        assert_string_equal(name_after(wg_log_normal_(FRESH, 0, 1, NULL)), "LogNormalBackward0");
        assert_string_equal(name_after(wg_geometric_(FRESH, .5, NULL)), "GeometricBackward0");
        assert_string_equal(name_after(wg_random_(FRESH, NULL)), "RandomBackward2");
        assert_string_equal(name_after(wg_random_range_(FRESH, 0, 3, NULL)), "RandomBackward0");
        assert_string_equal(name_after(wg_bernoulli_(FRESH, .5, NULL)), "BernoulliBackward2");
        assert_string_equal(name_after(wg_bernoulli_tensor_(FRESH, x, NULL)), "BernoulliBackward1");
        assert_string_equal(name_after(wg_bernoulli(x, NULL)), "BernoulliBackward0");
        assert_string_equal(name_after(wg_normal_tensor(x, wg_s(1), NULL)), "NormalBackward1");
        assert_string_equal(name_after(wg_normal_tensor(wg_s(1), x, NULL)), "NormalBackward2");
        assert_string_equal(name_after(wg_normal_tensor(x, x, NULL)), "NormalBackward3");
        assert_int_equal(wg_backward_with(wg_normal_tensor(x, x, NULL), wg_ones(WG_SHAPE(2), NULL)), WG_OK);
        EXPECT(wg_grad_of(x), 0, 0);
        assert_null(wg_grad_fn(wg_multinomial(x, 1, false, NULL)));
    }
}

/* Memory that is not the library's, at an odd address. */
static void unaligned_memory(void **state) {
    (void)state;
    char memory[4 * 20 + 1];
    float aligned[20];
    WG_SCOPE {
        wg_manual_seed(3);
        assert_int_equal(wg_copy_out(wg_rand(WG_SHAPE(20), NULL, NULL), WG_FLOAT32, aligned, sizeof aligned), WG_OK);
        wg_tensor *t = wg_from_memory(WG_FLOAT32, WG_SHAPE(20), WG_MEMORY(.data = memory + 1, .bytes = 80));
        wg_manual_seed(3);
        assert_ptr_equal(wg_uniform_(t, 0, 1, NULL), t);
        assert_memory_equal(memory + 1, aligned, sizeof aligned);
    }
}

/* Each request for memory refused once: the call fails with the memory status or does without. */
static void refused_memory(void **state) {
    (void)state;
    const call calls[] = {
        rand_,       normal_columns,      bernoulli_of, bernoulli_each_columns, multinomial_again, multinomial_rows,
        normal_both, randn_like_permuted, randperm_};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        bool failed = true;
        for (int64_t n = 0; failed; n++) {
            assert_true(n < 1000);
            wg_empty_cache();
            WG_SCOPE {
                wg__alloc_fail_at(n);
                failed = wg_is_poison(calls[i](40, WG_FLOAT32));
                wg__alloc_fail_at(-1);
                if (failed) assert_int_equal(wg_last_status(), WG_ERR_MEMORY);
                wg_clear_error();
            }
            if (!failed && n < 3) failed = true; /* a cached block served: ask again, one further */
        }
    }
    wg__alloc_fail_at(0);
    wg_generator *g = wg_generator_new();
    wg__alloc_fail_at(-1);
    assert_int_equal(wg_last_status(), WG_ERR_MEMORY);
    wg_clear_error();
    WG_SCOPE {
        expect_poison(wg_rand(WG_SHAPE(2), NULL, g), WG_ERR_RUNTIME, "the generator could not be made");
        expect_poison(wg_randperm(2, NULL, g), WG_ERR_RUNTIME, "the generator could not be made");
    }
    wg_generator_release(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_words),
        cmocka_unit_test(known_answers),
        cmocka_unit_test(known_normals),
        cmocka_unit_test(known_hashes),
        cmocka_unit_test(pairs_span_calls),
        cmocka_unit_test(recorded_streams),
        cmocka_unit_test(vector_equals_plain),
        cmocka_unit_test(generators_are_apart),
        cmocka_unit_test(state_travels),
        cmocka_unit_test(bad_states),
        cmocka_unit_test(generators_survive_fork),
        cmocka_unit_test(threads_share_the_default_generator),
        cmocka_unit_test(refused_parameters),
        cmocka_unit_test(refused_samples),
        cmocka_unit_test(empty_results),
        cmocka_unit_test(precision_warning),
        cmocka_unit_test(long_fills_can_be_stopped),
        cmocka_unit_test(fills_are_writes),
        cmocka_unit_test(fill_of_a_view),
        cmocka_unit_test(names_of_nodes),
        cmocka_unit_test(unaligned_memory),
        cmocka_unit_test(refused_memory),
    };
    return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
