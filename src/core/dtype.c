/* dtype.c - element types: names, sizes, promotion (W2), 16-bit floats, single elements.
 */
#include "core/tensor.h"

/* One row per code; what has no kernels yet has no size, so that every door says "does not exist". */
enum { NO_KIND, BOOL_KIND, INT_KIND, FLOAT_KIND };
static const struct {
    const char *name, *scalar_name;
    uint8_t bytes, kind;
} types[] = {
    [WG_BOOL] = {"bool", "Bool", 1, BOOL_KIND},
    [WG_UINT8] = {"uint8", "Byte", 1, INT_KIND},
    [WG_INT8] = {"int8", "Char", 1, INT_KIND},
    [WG_INT16] = {"int16", "Short", 2, INT_KIND},
    [WG_INT32] = {"int32", "Int", 4, INT_KIND},
    [WG_INT64] = {"int64", "Long", 8, INT_KIND},
    [WG_FLOAT16] = {"float16", "Half", 2, FLOAT_KIND},
    [WG_BFLOAT16] = {"bfloat16", "BFloat16", 2, FLOAT_KIND},
    [WG_FLOAT32] = {"float32", "Float", 4, FLOAT_KIND},
    [WG_FLOAT64] = {"float64", "Double", 8, FLOAT_KIND},
    [WG_COMPLEX64] = {"complex64", "ComplexFloat", 0, NO_KIND},
    [WG_COMPLEX128] = {"complex128", "ComplexDouble", 0, NO_KIND},
    [WG_COMPLEX32] = {"complex32", "ComplexHalf", 0, NO_KIND},
    [WG_UINT16] = {"uint16", "UInt16", 0, NO_KIND},
    [WG_UINT32] = {"uint32", "UInt32", 0, NO_KIND},
    [WG_UINT64] = {"uint64", "UInt64", 0, NO_KIND},
    [WG_FLOAT8_E4M3] = {"float8_e4m3fn", "Float8_e4m3fn", 0, NO_KIND},
    [WG_FLOAT8_E5M2] = {"float8_e5m2", "Float8_e5m2", 0, NO_KIND},
};
#define NTYPES ((int)(sizeof(types) / sizeof(types[0])))

const uint8_t wg__dtype_bytes[32] = {
    [WG_BOOL] = 1,  [WG_UINT8] = 1,   [WG_INT8] = 1,     [WG_INT16] = 2,   [WG_INT32] = 4,
    [WG_INT64] = 8, [WG_FLOAT16] = 2, [WG_BFLOAT16] = 2, [WG_FLOAT32] = 4, [WG_FLOAT64] = 8};

bool wg__dtype_exists(int d) { return d >= 0 && d < NTYPES && types[d].bytes; }
const char *wg_dtype_name(wg_dtype d) { return (int)d >= 0 && (int)d < NTYPES ? types[d].name : "unknown"; }
const char *wg__dtype_cxx_name(wg_dtype d) {
    static const char *const names[WG_KERNEL_DTYPES] = {"bool",  "unsigned char", "signed char", "short int",
                                                        "int",   "long int",      "c10::Half",   "c10::BFloat16",
                                                        "float", "double"};
    return (unsigned)d < WG_KERNEL_DTYPES ? names[d] : "?";
}
const char *wg__dtype_scalar_name(wg_dtype d) {
    return (int)d >= 0 && (int)d < NTYPES ? types[d].scalar_name : "Undefined";
}
size_t wg_dtype_size(wg_dtype d) { return (int)d >= 0 && (int)d < NTYPES ? types[d].bytes : 0; }
bool wg_dtype_is_floating(wg_dtype d) { return (unsigned)d - WG_FLOAT16 <= (unsigned)(WG_FLOAT64 - WG_FLOAT16); }
bool wg_dtype_is_integral(wg_dtype d) { return (unsigned)d - WG_UINT8 <= (unsigned)(WG_INT64 - WG_UINT8); }

/* ---- the default floating type ----------------------------------------------------------------------------------- */

static _Atomic int default_dtype = WG_FLOAT32;
wg_dtype wg_default_dtype(void) { return (wg_dtype)atomic_load_explicit(&default_dtype, memory_order_relaxed); }
wg_status wg_set_default_dtype(wg_dtype d) {
    if (!wg_dtype_is_floating(d))
        return wg__raise(WG_ERR_TYPE, "set_default_dtype",
                         "only floating-point types are supported as the default type. Got torch.%s", wg_dtype_name(d));
    atomic_store_explicit(&default_dtype, d, memory_order_relaxed);
    return WG_OK;
}

/* ---- promotion --------------------------------------------------------------------------------------------------- */

wg_dtype wg_promote_types(wg_dtype a, wg_dtype b) {
    if (!wg__dtype_exists((int)a) || !wg__dtype_exists((int)b)) return WG_DTYPE_NONE;
    if (a == b) return a;
    uint8_t ka = types[a].kind, kb = types[b].kind;
    if (ka != kb) return ka > kb ? a : b; /* bool < int < float */
    if (ka == FLOAT_KIND) {
        if (types[a].bytes == 2 && types[b].bytes == 2) return WG_FLOAT32; /* half with bfloat16 */
        return types[a].bytes > types[b].bytes ? a : b;
    }
    if (a == WG_UINT8 || b == WG_UINT8) { /* unsigned with signed: a signed type that holds both */
        wg_dtype other = a == WG_UINT8 ? b : a;
        return other == WG_INT8 ? WG_INT16 : other;
    }
    return a > b ? a : b;
}

static wg_dtype join(wg_dtype have, wg_dtype more) {
    return have == WG_DTYPE_NONE ? more : wg_promote_types(have, more);
}
static int kind_of(wg_dtype d) { return d == WG_DTYPE_NONE ? NO_KIND : types[d].kind; }

/* A lower priority counts only when its category is higher than all above it. */
static wg_dtype add_lower(wg_dtype high, wg_dtype low) { return kind_of(low) > kind_of(high) ? join(high, low) : high; }

wg_dtype wg__result_type(wg_tensor *const *in, int n) {
    wg_dtype dims = WG_DTYPE_NONE, zero = WG_DTYPE_NONE, number = WG_DTYPE_NONE;
    for (int i = 0; i < n; i++) {
        wg_dtype d = (wg_dtype)in[i]->dtype;
        if (in[i]->flags & TF_NUMBER)
            number = join(number, wg_dtype_is_floating(d) ? wg_default_dtype() : d);
        else if (in[i]->ndim == 0)
            zero = join(zero, d);
        else
            dims = join(dims, d);
    }
    return add_lower(add_lower(dims, zero), number);
}

bool wg__can_cast(wg_dtype from, wg_dtype to) { return kind_of(from) <= kind_of(to); }

/* ---- range ------------------------------------------------------------------------------------------------------- */

/* The greatest and least number of each type; uint8 takes negative integers, which wrap. */
static const struct {
    const char *c_name;
    double least, greatest;
} ranges[] = {
    [WG_UINT8] = {"uint8_t", 0, 255},
    [WG_INT8] = {"int8_t", -128, 127},
    [WG_INT16] = {"int16_t", -32768, 32767},
    [WG_INT32] = {"int", -0x1p31, 0x1p31 - 1},
    [WG_INT64] = {"int64_t", -0x1p63, 0x1p63},
    [WG_FLOAT16] = {"c10::Half", -65504, 65504},
    [WG_BFLOAT16] = {"c10::BFloat16", -0x1.fep127, 0x1.fep127},
    [WG_FLOAT32] = {"float", -0x1.fffffep127, 0x1.fffffep127},
};

wg_status wg__check_fits(const char *op, const wg_tensor *number, wg_dtype d) {
    wg_dtype from = (wg_dtype)number->dtype;
    double v = wg__load_double(number->data, from);
    if (d == WG_BOOL || d == WG_FLOAT64) return WG_OK;
    double least = d == WG_UINT8 && !wg_dtype_is_floating(from) ? -255 : ranges[d].least;
    bool special = wg_dtype_is_floating(d) && v - v != 0; /* nan, inf */
    if (special || (v >= least && v <= ranges[d].greatest)) return WG_OK;
    return wg__raise(WG_ERR_RUNTIME, op, "value cannot be converted to type %s without overflow", ranges[d].c_name);
}

/* ---- 16-bit floats ----------------------------------------------------------------------------------------------- */

static float as_float(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static uint32_t as_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

float wg__half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31) return as_float(sign | 0x7f800000u | mantissa << 13);
    if (exponent) return as_float(sign | (exponent + 112) << 23 | mantissa << 13);
    float tiny = (float)mantissa * 0x1p-24f;
    return sign ? -tiny : tiny;
}

uint16_t wg__float_to_half(float f) {
    uint32_t u = as_bits(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a >= 0x7f800000u) return (uint16_t)(sign | 0x7c00 | (a > 0x7f800000u ? 0x200 | (a >> 13 & 0x1ff) : 0));
    if (a >= 0x477ff000u) return (uint16_t)(sign | 0x7c00); /* rounds to 65520 or more */
    if (a < 0x38800000u) {                                  /* subnormal: let the float unit round, in units of 2^-24 */
        float magic = as_float(a) + 0.5f;
        return (uint16_t)(sign | (as_bits(magic) - as_bits(0.5f)));
    }
    uint32_t odd = a >> 13 & 1;
    return (uint16_t)(sign | ((a - 0x38000000u + 0xfff + odd) >> 13));
}

float wg__bfloat_to_float(uint16_t h) { return as_float((uint32_t)h << 16); }
uint16_t wg__float_to_bfloat(float f) {
    uint32_t u = as_bits(f);
    if ((u & 0x7fffffff) > 0x7f800000u) return 0x7fc0;
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* ---- one element ------------------------------------------------------------------------------------------------- */

#define LOAD(T)                                                                                                        \
    {                                                                                                                  \
        T v;                                                                                                           \
        memcpy(&v, p, sizeof(v));                                                                                      \
        return v;                                                                                                      \
    }
double wg__load_double(const void *p, wg_dtype d) {
    uint16_t h;
    switch (d) {
    case WG_BOOL: return *(const uint8_t *)p != 0;
    case WG_UINT8: return *(const uint8_t *)p;
    case WG_INT8: return *(const int8_t *)p;
    case WG_INT16: LOAD(int16_t)
    case WG_INT32: LOAD(int32_t)
    case WG_INT64: {
        int64_t v;
        memcpy(&v, p, 8);
        return (double)v;
    }
    case WG_FLOAT16: return memcpy(&h, p, 2), (double)wg__half_to_float(h);
    case WG_BFLOAT16: return memcpy(&h, p, 2), (double)wg__bfloat_to_float(h);
    case WG_FLOAT32: {
        float v;
        memcpy(&v, p, 4);
        return (double)v;
    }
    case WG_FLOAT64: LOAD(double)
    default: return 0;
    }
}

/* What does not fit becomes what x86 gives: the lowest number. */
static int64_t to_int(double v) { return v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN; }

int64_t wg__load_int(const void *p, wg_dtype d) {
    switch (d) {
    case WG_BOOL: return *(const uint8_t *)p != 0;
    case WG_UINT8: return *(const uint8_t *)p;
    case WG_INT8: return *(const int8_t *)p;
    case WG_INT16: LOAD(int16_t)
    case WG_INT32: LOAD(int32_t)
    case WG_INT64: LOAD(int64_t)
    default: return to_int(wg__load_double(p, d));
    }
}

void wg__store_double(void *p, wg_dtype d, double v) {
    float f = (float)v;
    uint16_t h;
    switch (d) {
    case WG_BOOL: *(uint8_t *)p = v != 0; break;
    case WG_FLOAT16: h = wg__float_to_half(f), memcpy(p, &h, 2); break;
    case WG_BFLOAT16: h = wg__float_to_bfloat(f), memcpy(p, &h, 2); break;
    case WG_FLOAT32: memcpy(p, &f, 4); break;
    case WG_FLOAT64: memcpy(p, &v, 8); break;
    default: wg__store_int(p, d, to_int(v));
    }
}

void wg__store_int(void *p, wg_dtype d, int64_t v) {
    switch (d) {
    case WG_BOOL: *(uint8_t *)p = v != 0; break;
    case WG_UINT8:
    case WG_INT8: *(uint8_t *)p = (uint8_t)v; break;
    case WG_INT16: memcpy(p, &(int16_t){(int16_t)v}, 2); break;
    case WG_INT32: memcpy(p, &(int32_t){(int32_t)v}, 4); break;
    case WG_INT64: memcpy(p, &v, 8); break;
    default: wg__store_double(p, d, (double)v);
    }
}
