// The neon set: the shared bodies with vectors of 128 bits, for aarch64 with dot-product
// instructions.

#if defined(__aarch64__)

#include "../sets.h"

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

enum { lanes = 4 };

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

const kernels_set kernels_neon = {
    .name = "neon",
#include "../vector/table.inc"
#include "../vector/packed_table.inc"
};

#endif
