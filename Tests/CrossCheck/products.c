// Sums of packed products over rows and tokens, and the quantisation of their activations.

#include "packed.h"

#include <math.h>
#include <string.h>

// The same by `portable`, panel by panel: its sums of all terms, the rows that are there copied.
static void add_up(const kernels_set *portable, const kernels_term *terms, size_t term_count,
                   size_t first_row, size_t rows, size_t first_token, size_t tokens, float *y,
                   size_t stride) {
  for (size_t r = 0; r < rows; r += 16)
    for (size_t t = 0; t < tokens; t++) {
      float sums[16] = {0};
      for (size_t i = 0; i < term_count; i++) {
        const kernels_packed_sum sum = portable->packed_matvec[terms[i].weight.format];
        sum(&terms[i].weight, (first_row + r) / 16, 1, &terms[i].activations, first_token + t, 1,
            sums);
      }
      for (size_t k = 0; k < 16 && r + k < rows; k++) y[t * stride + r + k] = sums[k];
    }
}

// A few terms of different formats into one block of y, and nothing beside it.
static void check_product(const kernels_set *set, const kernels_set *portable, size_t round) {
  static const size_t row_counts[] = {1, 15, 16, 17, 40, 63, 64, 65, 100, 130};
  const size_t term_count = round % 4;
  size_t first_row = round % 3 * 16;
  for (size_t i = 0; i < term_count; i++)
    if (is_trellis((round + 2 * i) % KERNELS_FORMAT_COUNT)) first_row = round % 3 * 64;
  const size_t rows = row_counts[round % 10];
  const size_t tokens = round % 3 == 0 ? 1 : 2 + round * 5 % 12, first_token = round % 2;
  const size_t panels = (first_row + rows + 15) / 16;
  kernels_term terms[3];
  for (size_t i = 0; i < term_count; i++) {
    const kernels_format format = (round + 2 * i) % KERNELS_FORMAT_COUNT;
    const size_t columns = 128 * (1 + (round + i) % 3);
    static const size_t group_sizes[] = {0, 32, 64, 128};
    const size_t group_size = is_trellis(format) ? 0 : group_sizes[(round + i) / 2 % 4];
    terms[i].weight = random_matrix(format, panels, columns, group_size,
                                    has_offsets(format) && round % 3 == 1, round % 64, RANDOM);
    terms[i].activations = random_activations(first_token + tokens, columns, RANDOM);
  }
  const size_t stride = rows + 3, n = (tokens - 1) * stride + rows;
  float *actual = random_floats(n, 4 * (round % 16), 0);
  float *expected = memory(n * sizeof *expected, 0);
  memcpy(expected, actual, n * sizeof *expected);
  kernels_packed_product(set, terms, term_count, first_row, rows, first_token, tokens, actual,
                         stride);
  add_up(portable, terms, term_count, first_row, rows, first_token, tokens, expected, stride);
  require_same_floats(actual, expected, n);
  release_all();
}

void check_products(const kernels_set *set, const kernels_set *portable) {
  begin(set->name, "packed_product");
  for (size_t round = 0; round < 40; round++) check_product(set, portable, round);
}

// Quantises n numbers with both sets into memory that holds something else before.
static void check_quantized(const kernels_set *set, const kernels_set *portable, const float *x,
                            size_t n, size_t stride) {
  enum { group = KERNELS_ACTIVATION_GROUP };
  const size_t groups = (n + group - 1) / group;
  const size_t slots = groups ? (groups - 1) * stride + 1 : 0;
  const size_t sum_count = groups ? (4 * groups - 1) * stride + 1 : 0;
  int8_t *values[2];
  float *scales[2];
  int32_t *sums[2];
  for (int i = 0; i < 2; i++) {
    values[i] = memory(slots * group, 3);
    scales[i] = memory(slots * sizeof **scales, 4);
    sums[i] = memory(sum_count * sizeof **sums, 8);
    memset(values[i], 99, slots * group);
    memset(scales[i], 99, slots * sizeof **scales);
    memset(sums[i], 99, sum_count * sizeof **sums);
    (i ? portable : set)->quantize_int8(x, n, stride, values[i], scales[i], sums[i]);
  }
  require_same_floats(scales[0], scales[1], slots);
  require(memcmp(values[0], values[1], slots * group) == 0, "values of %zu numbers differ", n);
  require(memcmp(sums[0], sums[1], sum_count * sizeof **sums) == 0, "sums of %zu numbers differ",
          n);
}

static void check_int8(const kernels_set *set, const kernels_set *portable) {
  for (size_t l = 0; l < LENGTH_COUNT; l++)
    for (size_t stride = 1; stride <= 5; stride += 4) {
      float *x = random_floats(lengths[l], 4 * (l % 16), 12);
      check_quantized(set, portable, x, lengths[l], stride);
      release_all();
    }
  // Ties: a largest of 127 leaves x as it is, and halves must go to the even neighbour.
  float *x = memory(512 * sizeof *x, 4);
  for (size_t i = 0; i < 512; i++) x[i] = i % 128 == 0 ? 127 : (float)(i % 256) / 2 - 63.5f;
  check_quantized(set, portable, x, 512, 1);
  const float largest[] = {0,        0x1p-149f, 0x1p-126f, 0x1.fffffep-101f, 0x1p-100f, 0x1p-99f,
                           0x1p100f, 0x1p127f,  3.4028235e38f, INFINITY,    -INFINITY, NAN,
                           -NAN};
  // Each of them at every place of a group, beside numbers that are ordinary, then beside zeros.
  for (size_t k = 0; k < sizeof largest / sizeof *largest; k++)
    for (size_t at = 0; at < 256; at += 3) {
      for (size_t i = 0; i < 256; i++) x[i] = i < 128 ? random_float() : 0;
      x[at] = largest[k];
      check_quantized(set, portable, x, 256, 2);
      x[255 - at] = -largest[k];
      check_quantized(set, portable, x, 200 + at % 57, 1);
      if (at % 30 == 0) {
        release_all();
        x = memory(512 * sizeof *x, 4);
      }
    }
  release_all();
}

void check_quantization(const kernels_set *set, const kernels_set *portable) {
  begin(set->name, "quantize_int8");
  check_int8(set, portable);
  begin(set->name, "bit_tables");
  for (size_t groups = 0; groups <= 3; groups++) {
    const size_t n = groups * KERNELS_ACTIVATION_GROUP, size = groups * KERNELS_TABLE_BYTES;
    int8_t *x = memory(n, groups);
    uint8_t *actual = memory(size, 7), *expected = memory(size, 0);
    for (size_t i = 0; i < n; i++)
      x[i] = (int8_t)(i % 32 < 4 ? 127 : i % 32 < 8 ? -127 : (int)(random_word() % 255) - 127);
    set->bit_tables(x, n, actual);
    portable->bit_tables(x, n, expected);
    require(memcmp(actual, expected, size) == 0, "the tables of %zu numbers differ", n);
    release_all();
  }
  begin(set->name, "reorder_e8p");
  for (size_t n = 0; n <= 1024; n = n * 2 + 32) {
    int8_t *x = memory(n, n / 32 % 64 + 1), *actual = memory(n, 7), *expected = memory(n, 0);
    for (size_t i = 0; i < n; i++) x[i] = (int8_t)random_word();
    set->reorder_e8p(x, n, actual);
    for (size_t i = 0; i < n; i++) expected[i / 32 * 32 + i % 8 * 4 + i / 8 % 4] = x[i];
    require(memcmp(actual, expected, n) == 0, "%zu numbers are out of order", n);
    release_all();
  }
}
