/* pool.c - the thread pool: workers, one loop at a time, how many threads there are.
 *
 * A loop is published in `job`; workers that see it join, take chunks from a shared counter, and leave. The caller
 * works too, then closes the job to new workers and waits for those inside, so nobody waits for a worker that still
 * sleeps. Workers are started when a loop first needs them, spin for a few microseconds after work, then sleep. A
 * forked child begins without workers and starts its own.
 *
 * Not here: how tensors become loops (loop.c).
 */
#define _GNU_SOURCE
#include "cpu/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/tensor.h"

enum {
    MAX_THREADS = 256,      /* of ours; wg_set_num_threads takes any number */
    SPIN_NS = 30 * 1000,    /* how long a thread spins before it sleeps */
    POLL_NS = 10 * 1000000, /* how often the poll is asked */
    STACK_BYTES = 2 << 20,
    OPEN = 1 << 30, /* job.state: new workers may join; the rest counts those inside */
};

typedef void (*range_fn)(void *ctx, int64_t begin, int64_t end);

static struct {
    range_fn fn;
    void *ctx;
    int64_t n, grain;
    atomic_int limit;     /* workers that may be inside at once */
    _Atomic int64_t next; /* first element not yet taken */
    _Alignas(64) atomic_int state;
    atomic_flag busy;
} job = {.busy = ATOMIC_FLAG_INIT};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    _Alignas(64) atomic_uint epoch; /* counts jobs */
    atomic_int sleepers;            /* workers asleep, or about to */
    atomic_int caller_sleeps;
    atomic_bool quit;
    atomic_int workers;
    pthread_t thread[MAX_THREADS];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static atomic_int wanted;       /* threads, the caller included; 0: not yet known */
static _Atomic int64_t spin_ns; /* 0 when there are more threads than processors */
static bool (*_Atomic poll_fn)(void);
static struct {
    void (*parallel_for)(void *user, int64_t tasks, void (*fn)(void *context, int64_t i), void *context);
    void *user;
} host;

struct pool_tls {
    int inside;     /* loops this thread is in */
    int64_t polled; /* when the poll was last asked */
};
static __thread struct pool_tls tls __attribute__((tls_model("initial-exec")));

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- how many threads -------------------------------------------------------------------------------------------- */

/* Processors' worth of time that the control group grants, rounded up, or 0. */
static int quota(void) {
    double most = 0, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (f) {
        if (fscanf(f, "%lf %lf", &most, &period) != 2) period = 0; /* "max 100000" */
        fclose(f);
    } else if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re"))) {
        int got = fscanf(f, "%lf", &most);
        fclose(f);
        f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re");
        if (!f || got != 1 || fscanf(f, "%lf", &period) != 1) period = 0;
        if (f) fclose(f);
    }
    if (!(period > 0) || !(most > 0)) return 0;
    double n = most / period;
    return n >= MAX_THREADS ? 0 : (int)n + ((double)(int)n < n);
}

static int processors(void) {
    int n = (int)sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) n = CPU_COUNT(&set);
#endif
    int q = quota();
    if (q && q < n) n = q;
    return n < 1 ? 1 : n;
}

static int from_environment(void) {
    const char *text = getenv("WENGERT_NUM_THREADS");
    if (!text || !*text) return 0;
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    return errno || *end || n < 1 || n > INT32_MAX ? 0 : (int)n;
}

static int set_wanted(int n) {
    int cpus = processors();
    if (!n) n = cpus;
    atomic_store_explicit(&spin_ns, n <= cpus ? SPIN_NS : 0, memory_order_relaxed);
    atomic_store_explicit(&wanted, n, memory_order_relaxed);
    return n;
}

int wg_num_threads(void) {
    int n = atomic_load_explicit(&wanted, memory_order_relaxed);
    return n ? n : set_wanted(from_environment());
}

wg_status wg_set_num_threads(int n) {
    if (n < 1)
        return wg__raise(WG_ERR_RUNTIME, "set_num_threads", "set_num_threads expects a positive integer. Got %d", n);
    set_wanted(n);
    return WG_OK;
}

int wg__pool_workers(void) { return atomic_load(&pool.workers); }

/* ---- the poll ---------------------------------------------------------------------------------------------------- */

void wg__pool_set_poll(bool (*poll)(void)) { atomic_store(&poll_fn, poll); }

static bool stop_wanted(void) {
    bool (*poll)(void) = atomic_load_explicit(&poll_fn, memory_order_relaxed);
    if (WG_LIKELY(!poll) || tls.inside > 1) return false; /* inside another loop only that one asks */
    int64_t now = now_ns();
    if (now - tls.polled < POLL_NS) return false;
    tls.polled = now;
    return poll();
}

/* ---- loops in one thread ----------------------------------------------------------------------------------------- */

static int64_t chunk_end(int64_t begin, int64_t n, int64_t grain) { return n - begin > grain ? begin + grain : n; }

static wg_status run_alone(int64_t n, int64_t grain, range_fn fn, void *ctx) {
    wg_status status = WG_OK;
    tls.inside++;
    for (int64_t begin = 0; begin < n; begin = chunk_end(begin, n, grain)) {
        if (begin && stop_wanted()) {
            status = WG_ERR_INTERRUPTED;
            break;
        }
        fn(ctx, begin, chunk_end(begin, n, grain));
    }
    tls.inside--;
    return status;
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

/* Takes chunks until none is left. */
static void work(bool caller, bool *stopped) {
    tls.inside++;
    for (;;) {
        int64_t begin = atomic_fetch_add_explicit(&job.next, job.grain, memory_order_relaxed);
        if (begin >= job.n) break;
        job.fn(job.ctx, begin, chunk_end(begin, job.n, job.grain));
        if (caller && atomic_load_explicit(&job.next, memory_order_relaxed) < job.n && stop_wanted()) {
            atomic_store(&job.next, job.n);
            *stopped = true; /* even when the others took the rest: the host has been told that we stop */
            break;
        }
    }
    tls.inside--;
}

static void wake_caller(void) {
    if (!atomic_load(&pool.caller_sleeps)) return;
    pthread_mutex_lock(&pool.lock);
    pthread_cond_signal(&pool.done);
    pthread_mutex_unlock(&pool.lock);
}

/* Joins the open job, if there is one with room, and works in it. */
static void join(void) {
    int s = atomic_load(&job.state);
    do {
        if (!(s & OPEN) || (s & ~OPEN) >= atomic_load_explicit(&job.limit, memory_order_relaxed)) return;
    } while (!atomic_compare_exchange_weak(&job.state, &s, s + 1));
    work(false, NULL);
    if (atomic_fetch_sub(&job.state, 1) == 1) wake_caller(); /* closed, and we were the last */
}

/* Waits until the epoch is another than seen; returns it. */
static unsigned await_job(unsigned seen) {
    int64_t spin = atomic_load_explicit(&spin_ns, memory_order_relaxed), end = spin ? now_ns() + spin : 0;
    for (int i = 0; spin; i++) {
        unsigned epoch = atomic_load_explicit(&pool.epoch, memory_order_acquire);
        if (epoch != seen || atomic_load_explicit(&pool.quit, memory_order_relaxed)) return epoch;
        relax();
        if (i % 16 == 15 && now_ns() > end) break;
    }
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.sleepers, 1);
    while (atomic_load(&pool.epoch) == seen && !atomic_load(&pool.quit)) pthread_cond_wait(&pool.work, &pool.lock);
    atomic_fetch_sub(&pool.sleepers, 1);
    pthread_mutex_unlock(&pool.lock);
    return atomic_load(&pool.epoch);
}

static void *worker(void *arg) {
    unsigned seen = (unsigned)(uintptr_t)arg;
    while (!atomic_load(&pool.quit)) {
        seen = await_job(seen);
        join();
    }
    return NULL;
}

static bool start_worker(int index) {
    pthread_attr_t attr;
    if (pthread_attr_init(&attr)) return false;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigset_t all, old; /* signals are the host's: its threads handle them */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    void *epoch = (void *)(uintptr_t)(atomic_load(&pool.epoch));
    bool ok = pthread_create(&pool.thread[index], &attr, worker, epoch) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return ok;
}

/* A child of fork has one thread, and locks that another thread may have held. */
static void fork_child(void) {
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.work, NULL);
    pthread_cond_init(&pool.done, NULL);
    atomic_store(&pool.workers, 0);
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.caller_sleeps, 0);
    atomic_store(&job.state, 0);
    if (!tls.inside) atomic_flag_clear(&job.busy);
}

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static void watch_fork(void) { pthread_atfork(NULL, NULL, fork_child); }

/* Brings the pool to n workers if it can; called by the owner of the job. */
static void start_workers(int n) {
    int have = atomic_load_explicit(&pool.workers, memory_order_relaxed);
    if (WG_LIKELY(have >= n)) return;
    pthread_once(&fork_once, watch_fork);
    while (have < n && start_worker(have)) atomic_store(&pool.workers, ++have);
}

/* ---- loops in many threads --------------------------------------------------------------------------------------- */

static void wake_workers(int n) {
    atomic_fetch_add(&pool.epoch, 1);
    int asleep = atomic_load(&pool.sleepers);
    if (!asleep) return;
    pthread_mutex_lock(&pool.lock);
    if (n < asleep)
        for (int i = 0; i < n; i++) pthread_cond_signal(&pool.work);
    else
        pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.lock);
}

static void await_workers(void) {
    if (atomic_fetch_and(&job.state, ~OPEN) == OPEN) return;
    int64_t spin = atomic_load_explicit(&spin_ns, memory_order_relaxed), end = now_ns() + spin;
    for (int i = 0; spin; i++) {
        if (!atomic_load(&job.state)) return;
        relax();
        if (i % 16 == 15 && now_ns() > end) break;
    }
    pthread_mutex_lock(&pool.lock);
    atomic_store(&pool.caller_sleeps, 1);
    while (atomic_load(&job.state)) pthread_cond_wait(&pool.done, &pool.lock);
    atomic_store(&pool.caller_sleeps, 0);
    pthread_mutex_unlock(&pool.lock);
}

/* The caller owns job.busy. helpers: workers wanted besides the caller. */
static wg_status run_together(int64_t n, int64_t grain, range_fn fn, void *ctx, int helpers) {
    start_workers(helpers);
    job.fn = fn;
    job.ctx = ctx;
    job.n = n;
    job.grain = grain;
    atomic_store_explicit(&job.limit, helpers, memory_order_relaxed);
    atomic_store_explicit(&job.next, 0, memory_order_relaxed);
    atomic_store(&job.state, OPEN);
    wake_workers(helpers);
    bool stopped = false;
    work(true, &stopped);
    await_workers();
    return stopped ? WG_ERR_INTERRUPTED : WG_OK;
}

/* ---- the host's loop --------------------------------------------------------------------------------------------- */

void wg__pool_set_host(void (*parallel_for)(void *user, int64_t tasks, void (*fn)(void *context, int64_t i),
                                            void *context),
                       void *user) {
    host.parallel_for = parallel_for;
    host.user = user;
}

struct host_job {
    range_fn fn;
    void *ctx;
    int64_t n, grain;
    pthread_t caller;
    atomic_bool stopped;
};

static void host_task(void *context, int64_t i) {
    struct host_job *h = context;
    if (atomic_load_explicit(&h->stopped, memory_order_relaxed)) return;
    tls.inside++;
    if (i && pthread_equal(h->caller, pthread_self()) && stop_wanted())
        atomic_store(&h->stopped, true);
    else
        h->fn(h->ctx, i * h->grain, chunk_end(i * h->grain, h->n, h->grain));
    tls.inside--;
}

static wg_status run_by_host(int64_t n, int64_t grain, range_fn fn, void *ctx) {
    struct host_job h = {.fn = fn, .ctx = ctx, .n = n, .grain = grain, .caller = pthread_self()};
    host.parallel_for(host.user, n / grain + (n % grain != 0), host_task, &h);
    return atomic_load(&h.stopped) ? WG_ERR_INTERRUPTED : WG_OK;
}

/* ---- the front door ---------------------------------------------------------------------------------------------- */

wg_status wg__parallel_for(int64_t n, int64_t grain, void (*fn)(void *ctx, int64_t begin, int64_t end), void *ctx) {
    if (n <= 0) return WG_OK;
    if (grain < 1) grain = 1;
    if (n <= grain) {
        fn(ctx, 0, n);
        return WG_OK;
    }
    if (tls.inside) return run_alone(n, grain, fn, ctx);
    if (host.parallel_for) return run_by_host(n, grain, fn, ctx);
    int threads = wg_num_threads();
    if (threads == 1 || atomic_load_explicit(&pool.quit, memory_order_relaxed)) return run_alone(n, grain, fn, ctx);
    if (n > INT64_MAX / 1024 || atomic_flag_test_and_set(&job.busy)) return run_alone(n, grain, fn, ctx);
    int64_t helpers = n / grain + (n % grain != 0) - 1;
    if (helpers > threads - 1) helpers = threads - 1;
    if (helpers > MAX_THREADS) helpers = MAX_THREADS;
    wg_status status = run_together(n, grain, fn, ctx, (int)helpers);
    atomic_flag_clear(&job.busy);
    return status;
}

/* The process ends or the library is unloaded: workers must be gone before their code is. A loop that is running in
 * another thread is finished by that thread. */
__attribute__((destructor)) static void at_end(void) {
    atomic_store(&pool.quit, true);
    pthread_mutex_lock(&pool.lock);
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.lock);
    int n = atomic_exchange(&pool.workers, 0);
    for (int i = 0; i < n; i++) pthread_join(pool.thread[i], NULL);
}
