// Attention tiles against softmax by its definition.

#include "check.h"

#include <math.h>
#include <string.h>

typedef struct {
  size_t queries, head_size, positions;
  int halves;
} tile;

static double number_at(const tile *t, const void *x, size_t i) {
  return t->halves ? half_value(((const uint16_t *)x)[i]) : (double)((const float *)x)[i];
}

// F16 of moderate size: exponents 2^-6 ... 2^1.
static void *numbers(const tile *t, size_t offset) {
  const size_t n = t->positions * t->head_size;
  if (!t->halves) return random_floats(n, 4 * offset, 4);
  uint16_t *x = memory(n * sizeof *x, 2 * offset);
  for (size_t i = 0; i < n; i++)
    x[i] = (uint16_t)((random_word() & 0x83ff) | (9 + random_word() % 8) << 10);
  return x;
}

// One query and its output. With u = 2^-24, a score has n = head_size products and a scale, so it
// is within e = (n + 1) u scale sum |q k|; its difference from the maximum, at most 2 m for scores
// up to m, within 2 e + 2 m u; and the weight, after the exponential (4 u), relatively within
//   d = 2 e + 2 m u + 4 u + (6 u + 2 m u) blocks,
// each block before it was shrunk by a factor that is such an exponential and a product. The output
// is a quotient of two sums over at most p keys, each relatively (of the sum of magnitudes) within
// d + p u, and rounds once. Weights below e^-87 are left out.
static void check_query(const tile *t, const float *query, double scale, const void *keys,
                        const void *values, size_t first, size_t last, const float *output) {
  double score[512], maximum = -INFINITY, largest = 0, product_error = 0, total = 0;
  const double n = (double)t->head_size, seen = (double)(last - first);
  for (size_t j = first; j < last; j++) {
    double sum = 0, magnitude = 0;
    for (size_t d = 0; d < t->head_size; d++) {
      const double product = query[d] * number_at(t, keys, j * t->head_size + d);
      sum += product;
      magnitude += fabs(product);
    }
    score[j] = scale * sum;
    maximum = fmax(maximum, score[j]);
    largest = fmax(largest, fabs(score[j]));
    product_error = fmax(product_error, (n + 1) * UNIT * scale * magnitude);
  }
  const double blocks = seen / KERNELS_KEY_BLOCK + 2;
  const double weight_error = 2 * product_error + 2 * largest * UNIT + 4 * UNIT +
                              (6 + 2 * largest) * UNIT * blocks;
  for (size_t j = first; j < last; j++) total += exp(score[j] - maximum);
  for (size_t d = 0; d < t->head_size; d++) {
    double sum = 0, magnitude = 0, highest = 0;
    for (size_t j = first; j < last; j++) {
      const double value = number_at(t, values, j * t->head_size + d);
      const double product = exp(score[j] - maximum) / total * value;
      sum += product;
      magnitude += fabs(product);
      highest = fmax(highest, fabs(value));
    }
    const double bound = (2 * weight_error + (2 * seen + 1) * UNIT) * magnitude * 1.01;
    require_near(output[d], sum, bound + seen * highest * exp(-87), d);
  }
}

static void check_tile(kernels_attend attend, tile t, int whole, size_t offset) {
  const float *queries[KERNELS_MAX_QUERIES];
  float *outputs[KERNELS_MAX_QUERIES];
  size_t first[KERNELS_MAX_QUERIES], last[KERNELS_MAX_QUERIES];
  const void *keys = numbers(&t, offset), *values = numbers(&t, 15 - offset);
  for (size_t i = 0; i < t.queries; i++) {
    queries[i] = random_floats(t.head_size, 4 * offset, 3);
    outputs[i] = memory(t.head_size * sizeof *outputs[i], 4 * offset);
    // All keys, or a window that may begin anywhere.
    last[i] = whole ? t.positions : 1 + random_word() % t.positions;
    first[i] = whole ? 0 : random_word() % last[i];
  }
  // What a page or the allocator holds is no accident to rely on.
  float *scratch = memory(2 * KERNELS_KEY_BLOCK * t.head_size * sizeof *scratch, 4 * offset);
  for (size_t i = 0; i < 2 * KERNELS_KEY_BLOCK * t.head_size; i++) scratch[i] = NAN;
  const float scale = 1 / sqrtf((float)t.head_size);
  attend(queries, t.queries, t.head_size, scale, keys, values, first, last, outputs, scratch);
  for (size_t i = 0; i < t.queries; i++)
    check_query(&t, queries[i], (double)scale, keys, values, first[i], last[i], outputs[i]);
  release_all();
}

// A NaN in a query, or else in a key, must come out wherever that is seen, and nowhere else.
static void check_nan(kernels_attend attend, size_t element_size) {
  enum { count = 3, size = 16, positions = 40 };
  static const size_t first[count] = {0, 0, 6}, last[count] = {positions, 5, 33};
  for (size_t at = 0; at <= count; at++) {
    const float *queries[count];
    float *outputs[count];
    // No bits are zero in either format, all bits NaN.
    char *keys = memory(positions * size * element_size, 0);
    char *values = memory(positions * size * element_size, 0);
    memset(keys, 0, positions * size * element_size);
    memset(values, 0, positions * size * element_size);
    for (size_t i = 0; i < count; i++) {
      float *query = random_floats(size, 0, 0);
      if (i == at) query[5] = NAN;
      queries[i] = query;
      outputs[i] = memory(size * sizeof(float), 0);
    }
    if (at == count) memset(keys + 5 * size * element_size, 255, size * element_size);
    float *scratch = memory(2 * KERNELS_KEY_BLOCK * size * sizeof *scratch, 0);
    attend(queries, count, size, 1, keys, values, first, last, outputs, scratch);
    for (size_t i = 0; i < count; i++)
      for (size_t d = 0; d < size; d++)
        require(isnan(outputs[i][d]) == (at < count ? i == at : i == 0),
                "NaN at %zu: output %zu is %g", at, i, (double)outputs[i][d]);
    release_all();
  }
}

void check_attention(const kernels_set *set) {
  static const size_t head_sizes[] = {1, 2, 3, 4, 7, 8, 15, 16, 17, 33, 64, 80, 128};
  static const size_t positions[] = {1, 2, 31, 32, 33, 64, 65, 100, 300};
  static const size_t counts[] = {1, 2, 3, 4, 5, 7, 8, KERNELS_MAX_QUERIES};
  const kernels_attend functions[] = {set->attend_f32, set->attend_f16};
  for (int halves = 0; halves < 2; halves++) {
    begin(set->name, halves ? "attend_f16" : "attend_f32");
    size_t round = 0;
    for (size_t h = 0; h < sizeof head_sizes / sizeof *head_sizes; h++)
      for (size_t p = 0; p < sizeof positions / sizeof *positions; p++, round++)
        check_tile(functions[halves],
                   (tile){counts[round % 8], head_sizes[h], positions[p], halves}, round % 3 == 0,
                   round % 16);
    check_nan(functions[halves], halves ? 2 : 4);
  }
}
