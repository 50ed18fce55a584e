// Sums of products of packed matrices, panel by panel, with the functions of a set.

#include <string.h>

#include "include/Kernels.h"

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
      for (size_t p = 0; p < panels; p++) {
        const float *panel = sums + (p * tokens + t) * panel_rows;
        const size_t part = count - p * panel_rows;
        // A memcpy of constant size compiles to a few moves, without a call.
        if (part >= panel_rows)
          memcpy(out + p * panel_rows, panel, panel_rows * sizeof *out);
        else
          memcpy(out + p * panel_rows, panel, part * sizeof *out);
      }
    }
  }
}
