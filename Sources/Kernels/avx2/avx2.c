// The avx2 set: the shared bodies at 256-bit.

#if defined(__x86_64__)

#include "../sets.h"

#pragma clang attribute push(                                                        \
    __attribute__((target("avx2,fma,f16c"))), \
    apply_to = function)

enum { lanes = 8 };

#include "../vector/vector.inc"
#include "../vector/dense.inc"
#include "../vector/elementwise.inc"
#include "../vector/attention.inc"

#pragma clang attribute pop

const kernels_set kernels_avx2 = {
    .name = "avx2",
#include "../vector/table.inc"
};

#endif
