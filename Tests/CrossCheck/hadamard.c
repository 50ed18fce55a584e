// The steps of the randomised Hadamard transform: the same bits in every set, and near the matrix.

#include "check.h"

#include <math.h>
#include <string.h>

static void check_signs(const kernels_set *set, size_t n, size_t offset) {
  int8_t *signs = memory(n, offset % 64);
  float *x = random_floats(n, offset, 20), *y = memory(n * sizeof *y, 64 - offset);
  float *expected = memory(n * sizeof *expected, 0);
  for (size_t i = 0; i < n; i++) {
    signs[i] = random_word() % 2 ? 1 : -1;
    if (i % 9 == 0) x[i] = i % 2 ? INFINITY : 0;
    expected[i] = signs[i] < 0 ? -x[i] : x[i];
  }
  set->multiply_signs(signs, x, n, y);
  require_same_floats(y, expected, n);
  set->multiply_signs(signs, x, n, x);
  require_same_floats(x, expected, n);
  release_all();
}

// The bound of the contract, its second-order terms within a hundredth of it: the matrix has 1 where
// row and column have an even number of bits in common, else -1.
static void check_butterflies(const kernels_set *set, const kernels_set *portable, size_t rows,
                              size_t n, size_t offset) {
  const size_t count = rows * n;
  const float scale = 1 / sqrtf((float)n);
  float *x = random_floats(count, 0, 12);
  float *actual = memory(count * sizeof *x, offset), *expected = memory(count * sizeof *x, 0);
  if (count > 0) memcpy(actual, x, count * sizeof *x);
  if (count > 0) memcpy(expected, x, count * sizeof *x);
  set->hadamard(actual, rows, n, scale);
  portable->hadamard(expected, rows, n, scale);
  require_same_floats(actual, expected, count);
  for (size_t r = 0; n <= 256 && r < rows; r++) {
    double magnitude = 0;
    for (size_t k = 0; k < n; k++) magnitude += fabs((double)x[r * n + k]);
    const double bound = (log2((double)n) + 1) * UNIT * 1.01 * (double)scale * magnitude;
    for (size_t i = 0; i < n; i++) {
      double sum = 0;
      for (size_t k = 0; k < n; k++)
        sum += __builtin_popcountll(i & k) % 2 ? -(double)x[r * n + k] : (double)x[r * n + k];
      require_near(actual[r * n + i], (double)scale * sum, bound, i);
    }
  }
  release_all();
}

// From zero on, a fused multiply-add per term. What lies between the rows of y stays as it is, and
// the call reads nothing behind the last number of x.
static void check_mixing(const kernels_set *set, size_t outputs, size_t inputs, size_t columns,
                         size_t gap, size_t offset) {
  const size_t stride = columns + gap;
  const size_t read = inputs ? (inputs - 1) * stride + columns : 0;
  const size_t written = outputs ? (outputs - 1) * stride + columns : 0;
  const float *factor = random_floats(outputs * inputs, 64 - offset, 3);
  const float *x = random_floats(read, offset, 8);
  float *y = memory(written * sizeof *y, offset), *expected = memory(written * sizeof *y, 0);
  for (size_t i = 0; i < written; i++) y[i] = expected[i] = 1234;
  for (size_t i = 0; i < outputs; i++)
    for (size_t c = 0; c < columns; c++) {
      float sum = 0;
      for (size_t k = 0; k < inputs; k++)
        sum = fmaf(factor[i * inputs + k], x[k * stride + c], sum);
      expected[i * stride + c] = sum;
    }
  set->mix_rows(factor, outputs, inputs, x, columns, stride, y);
  require_same_floats(y, expected, written);
  release_all();
}

void check_hadamard(const kernels_set *set, const kernels_set *portable) {
  begin(set->name, "multiply_signs");
  for (size_t l = 0; l < LENGTH_COUNT; l++) check_signs(set, lengths[l], 4 * (l % 16));
  begin(set->name, "hadamard");
  for (size_t n = 1; n <= 16384; n *= 2)
    for (size_t rows = 0; rows < (n <= 256 ? 8 : 3); rows++)
      check_butterflies(set, portable, rows, n, 4 * ((n + rows) % 16));
  begin(set->name, "mix_rows");
  static const size_t orders[] = {0, 1, 3, 4, 6, 12, 20, 28, 43};
  static const size_t widths[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 100};
  size_t round = 0;
  for (size_t o = 0; o < sizeof orders / sizeof *orders; o++)
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++, round++) {
      check_mixing(set, orders[o], orders[o], widths[w], round % 3 * 2, 4 * (round % 16));
      check_mixing(set, orders[round % 9], orders[o], widths[w], round % 2, 4 * (round % 16));
    }
}
