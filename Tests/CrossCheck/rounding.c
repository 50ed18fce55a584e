// Rounding to the points of e8p: the same bits in every set, and points that round to themselves.

#include "check.h"

#include <math.h>
#include <string.h>

// Rounds 8 x stride numbers in both sets, apart and in place, and a second time: what is on the grid
// stays.
static void check_rows(const kernels_set *set, const kernels_set *portable, const float *x,
                       const float *scales, size_t rows, size_t stride) {
  const size_t read = 7 * stride + (rows + 15) / 16 * 16;
  float *expected = memory(read * sizeof *x, 0), *actual = memory(read * sizeof *x, 4);
  float *again = memory(read * sizeof *x, 8);
  memcpy(expected, x, read * sizeof *x);
  memcpy(actual, x, read * sizeof *x);
  memcpy(again, x, read * sizeof *x);
  portable->round_e8p(x, scales, rows, stride, expected);
  set->round_e8p(x, scales, rows, stride, actual);
  set->round_e8p(again, scales, rows, stride, again);
  for (size_t i = 0; i < 8; i++) {
    require_same_floats(actual + i * stride, expected + i * stride, rows);
    require_same_floats(again + i * stride, expected + i * stride, rows);
  }
  set->round_e8p(actual, scales, rows, stride, again);
  for (size_t i = 0; i < 8; i++)
    require_same_floats(again + i * stride, expected + i * stride, rows);
}

void check_rounding(const kernels_set *set, const kernels_set *portable) {
  begin(set->name, "round_e8p");
  static const size_t row_counts[] = {0, 1, 3, 4, 5, 8, 9, 15, 16, 17, 33, 500};
  for (size_t k = 0; k < sizeof row_counts / sizeof *row_counts; k++)
    // Numbers of all magnitudes; of few values, which tie; around the points; far outside.
    for (int kind = 0; kind < 4; kind++) {
      const size_t rows = row_counts[k], padded = (rows + 15) / 16 * 16;
      const size_t stride = padded + 16 * (k % 3), n = rows ? 7 * stride + padded : 0;
      float *x = random_floats(n, 4 * k % 64, kind == 0 ? 6 : 0);
      float *scales = memory(padded * sizeof *scales, 4 * k % 64);
      for (size_t r = 0; r < padded; r++)
        scales[r] = r % 13 == 12 ? 0 : kind == 1 ? 1 : ldexpf(1.5f + random_float() / 2, -(int)k);
      for (size_t i = 0; i < n; i++) {
        const float scale = kind == 1 ? 1 : scales[i % stride % (padded ? padded : 1)];
        x[i] = kind == 0   ? 6 * scale * x[i]
               : kind == 1 ? 0.25f * (float)(random_word() % 25) - 3
               : kind == 2 ? scale * (0.5f * (float)(int)(random_word() % 11) - 2.5f + 0.25f + x[i] / 8)
                           : 1e12f * x[i];
      }
      if (rows) check_rows(set, portable, x, scales, rows, stride);
      release_all();
    }
}
