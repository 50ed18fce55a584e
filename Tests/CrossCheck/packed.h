#ifndef DUET_CROSS_CHECK_PACKED_H
#define DUET_CROSS_CHECK_PACKED_H

#include "check.h"

// What the numbers of a case are.
typedef enum {
  RANDOM,
  // All bits of codes 0 or 1, all activations 127 or -127 or alternating, scales of 1: the largest
  // sums that an integer has to hold.
  EXTREME,
} filling;

// A matrix of `panels` panels, rounded up to whole tiles where the format has them; codes, scales and
// offsets at `offset` bytes behind a multiple of 64, the latter two rounded down to an even number.
kernels_packed random_matrix(kernels_format format, size_t panels, size_t columns,
                             size_t group_size, int asymmetric, size_t offset, filling filling);
// Activations of `tokens` tokens for that many columns, with sums that belong to them.
kernels_activations random_activations(size_t tokens, size_t columns, filling filling);

extern const char *const format_names[KERNELS_FORMAT_COUNT];
// The columns of a block.
extern const size_t format_blocks[KERNELS_FORMAT_COUNT];

static inline int has_offsets(kernels_format format) { return format < KERNELS_E8P; }
// Trellis codes have one scale per row.
static inline int is_trellis(kernels_format format) { return format >= KERNELS_TRELLIS2; }
// A first panel is a multiple of it.
static inline size_t panel_step(kernels_format format) { return is_trellis(format) ? 4 : 1; }

#endif
