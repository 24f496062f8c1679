/* samples.h - calls to try for every op of the registry: inputs and arguments. Used by the registry tests; an op
 * without an entry here is a pointwise row, whose samples come from its record, or fails the test.
 */
#ifndef WG_TEST_SAMPLES_H
#define WG_TEST_SAMPLES_H

#include "core/op.h"

#define MAX_SAMPLE_IN 4

typedef struct sample {
    const wg_op *op;
    int nin, nattr, nout;
    wg_tensor *in[MAX_SAMPLE_IN]; /* float64 where differentiable */
    wg_value attr[5];
    const char *label;
} sample;

/* The k-th sample of op, in the current scope; false past the last. */
bool sample_make(const wg_op *op, int k, sample *s);
/* Calls it with other inputs. */
wg_status sample_call(const sample *s, wg_tensor *const *in, wg_tensor **out);
/* Deterministic numbers in [lo, hi], different for each seed, no two equal. */
wg_tensor *sample_tensor(uint64_t seed, double lo, double hi, int ndim, const int64_t *sizes);

#endif
