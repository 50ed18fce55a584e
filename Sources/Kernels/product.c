// Sums of products of packed matrices, panel by panel, with the functions of a set.

#include <string.h>

#include "include/Kernels.h"

// The moves of a whole panel. A memcpy of 64 bytes would do, but compilers join it with a copy of a
// part of a panel, and then call the library for every panel.
static inline void copy_panel(const float *restrict from, float *restrict to) {
  for (size_t r = 0; r < KERNELS_PANEL_ROWS; r++) to[r] = from[r];
}

void kernels_packed_product(const kernels_set *set, const kernels_term *terms, size_t term_count,
                            size_t first_row, size_t rows, size_t first_token, size_t tokens,
                            float *y, size_t y_stride) {
  // The sums of a few panels stay in the first cache while every term is added. Four panels are a
  // tile of trellis codes.
  enum { panel_rows = KERNELS_PANEL_ROWS, block_panels = 4 };
  float sums[block_panels * KERNELS_TOKEN_BLOCK * panel_rows] __attribute__((aligned(64)));
  const size_t end = first_row + rows;
  for (size_t row = first_row; row < end; row += block_panels * panel_rows) {
    const size_t left = end - row;
    const size_t count = left < block_panels * panel_rows ? left : block_panels * panel_rows;
    const size_t panels = (count + panel_rows - 1) / panel_rows;
    memset(sums, 0, panels * tokens * panel_rows * sizeof *sums);
    for (size_t i = 0; i < term_count; i++) {
      const kernels_format format = terms[i].weight.format;
      const kernels_packed_sum add =
          tokens == 1 ? set->packed_matvec[format] : set->packed_matmul[format];
      add(&terms[i].weight, row / panel_rows, panels, &terms[i].activations, first_token, tokens,
          sums);
    }
    for (size_t t = 0; t < tokens; t++) {
      float *out = y + t * y_stride + (row - first_row);
      const float *panel = sums + t * panel_rows;
      size_t copied = 0;
      for (; copied + panel_rows <= count; copied += panel_rows, panel += tokens * panel_rows)
        copy_panel(panel, out + copied);
      for (size_t r = 0; copied + r < count; r++) out[copied + r] = panel[r];
    }
  }
}
