// Conversions and products of dense matrices.

#include "check.h"

#include <math.h>
#include <string.h>

// All 2^16 patterns there are, and every length.
static void check_widening(void (*widen)(const uint16_t *, size_t, float *),
                           double (*value)(uint16_t)) {
  uint16_t *all = memory(0x10000 * sizeof *all, 2);
  float *wide = memory(0x10000 * sizeof *wide, 4);
  for (size_t i = 0; i < 0x10000; i++) all[i] = (uint16_t)i;
  widen(all, 0x10000, wide);
  for (size_t i = 0; i < 0x10000; i++) require_near(wide[i], value(all[i]), 0, i);
  require(signbit(wide[0x8000]) != 0, "the sign of zero is lost");
  for (size_t l = 0; l < LENGTH_COUNT; l++) {
    const size_t n = lengths[l];
    uint16_t *x = random_halves(n, 2 * (l % 32));
    float *y = memory(n * sizeof *y, 4 * (l % 16));
    widen(x, n, y);
    for (size_t i = 0; i < n; i++) require_near(y[i], value(x[i]), 0, i);
  }
  release_all();
}

// Every number of F16, and around every middle of two neighbours, one float below, at and above it:
// the three ways that rounding to nearest, ties to even, can go.
static void check_narrowing(const kernels_set *set) {
  enum { finite = 0x7c00, cases = 4 };
  float *x = memory(2 * finite * cases * sizeof *x, 4);
  uint16_t *expected = memory(2 * finite * cases * sizeof *expected, 2);
  uint16_t *actual = memory(2 * finite * cases * sizeof *actual, 2);
  size_t n = 0;
  for (int negative = 0; negative < 2; negative++)
    for (uint32_t h = 0; h < finite; h++) {
      const float sign = negative ? -1 : 1;
      const float low = (float)half_value((uint16_t)h);
      // What follows the largest number would be 65536; it is infinity instead.
      const float high = h + 1 < finite ? (float)half_value((uint16_t)(h + 1)) : 65536;
      const float middle = (low + high) / 2;
      const float values[cases] = {low, nextafterf(middle, 0), middle, nextafterf(middle, high)};
      const uint32_t rounded[cases] = {h, h, h + (h & 1), h + 1};
      for (int i = 0; i < cases; i++, n++) {
        x[n] = sign * values[i];
        expected[n] = (uint16_t)(rounded[i] | (negative ? 0x8000 : 0));
      }
    }
  set->narrow_f16(x, n, actual);
  for (size_t i = 0; i < n; i++)
    require(actual[i] == expected[i], "%a is 0x%04x, expected 0x%04x", (double)x[i], actual[i],
            expected[i]);
  const float special[4] = {INFINITY, -INFINITY, 1e30f, NAN};
  set->narrow_f16(special, 4, actual);
  require(actual[0] == 0x7c00 && actual[1] == 0xfc00 && actual[2] == 0x7c00, "no infinity");
  require(isnan(half_value(actual[3])), "NaN became a number");
  for (size_t l = 0; l < LENGTH_COUNT; l++) {
    const size_t count = lengths[l];
    uint16_t *halves = random_halves(count, 0);
    float *numbers = memory(count * sizeof *numbers, 4 * (l % 16));
    uint16_t *back = memory(count * sizeof *back, 2 * (l % 32));
    for (size_t i = 0; i < count; i++) numbers[i] = (float)half_value(halves[i]);
    set->narrow_f16(numbers, count, back);
    require(memcmp(back, halves, count * sizeof *back) == 0, "%zu numbers came back changed",
            count);
  }
  release_all();
}

void check_conversions(const kernels_set *set) {
  begin(set->name, "widen_f16");
  check_widening(set->widen_f16, half_value);
  begin(set->name, "widen_bf16");
  check_widening(set->widen_bf16, bfloat_value);
  begin(set->name, "narrow_f16");
  check_narrowing(set);
}

typedef enum { F32, F16, BF16 } element;

static double weight_at(element type, const void *w, size_t i) {
  switch (type) {
    case F32: return ((const float *)w)[i];
    case F16: return half_value(((const uint16_t *)w)[i]);
    case BF16: return bfloat_value(((const uint16_t *)w)[i]);
  }
}

// The bound of the contract, n * 2^-24 * sum |w x|; the sum in double is itself off by n * 2^-53 of
// that, and each of the n roundings may be one of a subnormal number, off by 2^-150.
static void check_matvec(kernels_matvec matvec, element type, size_t rows, size_t columns,
                         size_t tokens, size_t offset) {
  const size_t count = rows * columns, x_stride = columns + 3, y_stride = rows + 2;
  const void *w = type == F32   ? (void *)random_floats(count, 4 * offset, 8)
                  : type == F16 ? (void *)random_halves(count, 2 * offset)
                                : (void *)random_bfloats(count, 2 * offset);
  const float *x = random_floats((tokens - 1) * x_stride + columns, 4 * offset, 4);
  const size_t written = (tokens - 1) * y_stride + rows;
  float *y = memory(written * sizeof *y, 4 * offset);
  for (size_t i = 0; i < written; i++) y[i] = 1234;
  matvec(w, rows, columns, x, x_stride, tokens, y, y_stride);
  for (size_t t = 0; t < tokens; t++) {
    for (size_t r = 0; r < rows; r++) {
      double sum = 0, magnitude = 0;
      for (size_t c = 0; c < columns; c++) {
        const double product = weight_at(type, w, r * columns + c) * x[t * x_stride + c];
        sum += product;
        magnitude += fabs(product);
      }
      const double n = (double)columns;
      require_near(y[t * y_stride + r], sum, n * (UNIT + 0x1p-52) * magnitude + n * 0x1p-150, r);
      float alone;
      const size_t size = type == F32 ? 4 : 2;
      const void *row = (const char *)w + r * columns * size;
      matvec(row, 1, columns, x + t * x_stride, x_stride, 1, &alone, 1);
      require(memcmp(&alone, &y[t * y_stride + r], sizeof alone) == 0,
              "token %zu of %zu is summed differently", t, tokens);
    }
    for (size_t r = rows; t + 1 < tokens && r < y_stride; r++)
      require(y[t * y_stride + r] == 1234, "wrote between the outputs of two tokens");
  }
  release_all();
}

void check_dense(const kernels_set *set) {
  const kernels_matvec functions[] = {set->matvec_f32, set->matvec_f16, set->matvec_bf16};
  const char *names[] = {"matvec_f32", "matvec_f16", "matvec_bf16"};
  for (element type = F32; type <= BF16; type++) {
    begin(set->name, names[type]);
    for (size_t l = 0; l < LENGTH_COUNT; l++)
      for (size_t tokens = 1; tokens <= KERNELS_MAX_TOKENS; tokens++)
        check_matvec(functions[type], type, 1 + l % 4, lengths[l], tokens, (l + tokens) % 16);
    check_matvec(functions[type], type, 0, 16, 2, 0);
  }
}
