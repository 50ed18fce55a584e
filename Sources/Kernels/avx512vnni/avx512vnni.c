// The avx512vnni set: the shared bodies with vectors of 512 bits.

#if defined(__x86_64__)

#include "../sets.h"

#pragma clang attribute push(                                                        \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
    apply_to = function)

enum { lanes = 16 };

#include "../vector/vector.inc"
#include "../vector/dense.inc"
#include "../vector/elementwise.inc"
#include "../vector/logits.inc"
#include "../vector/hadamard.inc"
#include "../vector/attention.inc"
#include "../vector/rounding.inc"
#include "../vector/integer_rounding.inc"
#include "../vector/trellis_passes.inc"
#include "../vector/trellis_rounding.inc"
#include "dot.inc"
#include "../vector/bytes.inc"
#include "../vector/lattice_by_nibbles.inc"
#include "../vector/lattice.inc"
#include "../vector/codes.inc"
#include "../vector/tile.inc"
#include "../vector/trellis_expand.inc"
#include "../vector/packed.inc"
#include "../vector/trellis.inc"
#include "../vector/packed_entries.inc"

#pragma clang attribute pop

const kernels_set kernels_avx512vnni = {
    .name = "avx512vnni",
#include "../vector/table.inc"
#include "../vector/packed_table.inc"
};

#endif
