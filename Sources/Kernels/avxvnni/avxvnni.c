// The avxvnni set: the shared bodies with vectors of 256 bits, for processors with dot products of
// bytes (AVX-VNNI) and products of bit matrices (GFNI) but without AVX-512.

#if defined(__x86_64__)

#include "../sets.h"

#pragma clang attribute push(                                                        \
    __attribute__((target("avx2,fma,f16c,avxvnni,gfni"))),                           \
    apply_to = function)

enum { lanes = 8 };

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
#include "lattice_signs.inc"
#include "../vector/lattice_by_swaps.inc"
#include "../vector/codes.inc"
#include "../vector/tile.inc"
#include "../vector/trellis_expand.inc"
#include "../vector/packed.inc"
#include "../vector/trellis.inc"
#include "../vector/packed_entries.inc"

#pragma clang attribute pop

const kernels_set kernels_avxvnni = {
    .name = "avxvnni",
#include "../vector/table.inc"
#include "../vector/packed_table.inc"
};

#endif
