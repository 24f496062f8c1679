// cpp17.cc - every convenience macro of the headers is C's; this calls the plain function behind each, from C++17,
// against an installed library, and looks at what comes out.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include <wengert/wengert.h>

namespace {

int failures = 0;

void check(bool ok, const char *what) {
    if (ok) return;
    std::fprintf(stderr, "failed: %s: %s\n", what, wg_error_pending() ? wg_last_message() : "wrong value");
    failures++;
}

double item(wg_tensor *t) {
    double v = NAN;
    return wg_item(t, &v) == WG_OK ? v : NAN;
}

bool is(wg_tensor *t, double want) { return std::fabs(item(t) - want) <= 1e-5; }

// WG_SHAPE, WG_OPT, WG_DTYPE, WG_DIMS, WG_TENSORS are structs and arrays written in place.
wg_tensor *matrix(bool requires_grad, wg_dtype dtype = WG_FLOAT32) {
    const int64_t sizes[] = {2, 3};
    const float data[] = {1, 2, 3, 4, 5, 6};
    wg_options options{};
    options.size = sizeof options;
    options.dtype = dtype;
    options.has_dtype = true;
    options.requires_grad = requires_grad;
    return wg_from_data(data, WG_FLOAT32, 2, sizes, &options);
}

wg_reduce over(const wg_ints &dims, bool keepdim) {
    wg_reduce r{};
    r.size = sizeof r;
    r.dims = dims;
    r.keepdim = keepdim;
    return r;
}

void reductions() {
    wg_tensor *x = matrix(false);
    const int64_t one[] = {1};
    wg_reduce rows = over({1, one}, true);
    check(is(wg_sum_opt(x, nullptr), 21), "wg_sum");
    check(is(wg_mean_opt(x, nullptr), 3.5), "wg_mean");
    check(is(wg_prod_opt(x, nullptr), 720), "wg_prod");
    check(is(wg_amax_opt(x, nullptr), 6), "wg_amax");
    check(is(wg_amin_opt(x, nullptr), 1), "wg_amin");
    check(is(wg_all_opt(x, nullptr), 1), "wg_all");
    check(is(wg_any_opt(x, nullptr), 1), "wg_any");
    check(is(wg_var_opt(x, 1, nullptr), 3.5), "wg_var");
    check(is(wg_std_opt(x, 0, nullptr), std::sqrt(35.0 / 12)), "wg_std");
    check(is(wg_norm_opt(x, 2, nullptr), std::sqrt(91.0)), "wg_norm");
    wg_tensor *sums = wg_sum_opt(x, &rows);
    check(wg_ndim(sums) == 2 && wg_size(sums, 0) == 2 && wg_size(sums, 1) == 1, "wg_sum with dims");
    wg_tensor *logs = wg_logsumexp_opt(x, &rows);
    check(is(wg_select(wg_select(logs, 0, 0), 0, 0), 3.4076059), "wg_logsumexp");
}

void losses() {
    const int64_t batch = 2, classes[] = {0, 2};
    wg_tensor *x = matrix(false), *target = wg_from_data(classes, WG_INT64, 1, &batch, nullptr);
    wg_loss summed{};
    summed.size = sizeof summed;
    summed.has_reduction = true;
    summed.reduction = WG_REDUCE_SUM;
    check(is(wg_cross_entropy_opt(x, target, nullptr), 1.4076059), "wg_cross_entropy");
    check(is(wg_nll_loss_opt(wg_log_softmax(x, 1), target, &summed), 2.8152118), "wg_nll_loss");
    check(is(wg_mse_loss_opt(x, wg_zeros_like(x, nullptr), nullptr), 91.0 / 6), "wg_mse_loss");
}

void gradients() {
    const size_t scope = wg_scope_open(); // WG_SCOPE
    wg_tensor *x = matrix(true), *y = wg_sum_opt(wg_mul(x, x), nullptr), *g = nullptr;
    wg_walk_opts walk{}; // WG_WALK
    walk.size = sizeof walk;
    walk.create_graph = true;
    check(wg_grad(&y, 1, &x, 1, nullptr, &walk, &g) == WG_OK && wg_requires_grad(g), "wg_grad with options");
    check(wg_backward(y) == WG_OK && is(wg_select(wg_select(wg_grad_of(x), 0, 1), 0, 2), 12), "wg_backward");
    const bool before = wg_set_grad_enabled(false); // WG_NO_GRAD, WG_ENABLE_GRAD
    check(!wg_requires_grad(wg_mul(x, x)), "wg_set_grad_enabled");
    wg_set_grad_enabled(before);
    check(wg_requires_grad(wg_mul(x, x)), "wg_set_grad_enabled back");
    wg_scope_close(scope);
    int turns = 0;
    WG_SCOPE { turns++; }
    WG_NO_GRAD { turns += wg_grad_enabled() ? 100 : 1; }
    check(turns == 2, "WG_SCOPE and WG_NO_GRAD in C++");
}

void others() {
    std::vector<double> mine{1, 2, 3, 4};
    const int64_t four = 4;
    wg_memory memory{}; // WG_MEMORY
    memory.size = sizeof memory;
    memory.data = mine.data();
    memory.bytes = mine.size() * sizeof(double);
    wg_tensor *view = wg_from_memory(WG_FLOAT64, 1, &four, &memory);
    wg_tensor *parts[] = {view, view}; // WG_TENSORS
    check(is(wg_sum_opt(wg_cat(parts, 2, 0), nullptr), 20), "wg_cat");
    check(is(wg_full(0, nullptr, wg_i(7), nullptr), 7), "WG_SCALAR_SHAPE");
    wg_print_options print{}; // WG_PRINT
    print.size = sizeof print;
    check(wg_set_print_options(&print) == WG_OK, "wg_set_print_options");
}

} // namespace

int main() {
    WG_SCOPE {
        reductions();
        losses();
        gradients();
        others();
    }
    return failures != 0;
}
