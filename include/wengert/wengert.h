/* wengert.h - everything: PyTorch's autograd as a small C library. */
#ifndef WENGERT_WENGERT_H
#define WENGERT_WENGERT_H

#include "wengert/core.h"

#include "wengert/autograd.h"
#include "wengert/ops.h"
#include "wengert/print.h"
#include "wengert/random.h"

#endif
