// Attention tiles against softmax by its definition.

#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { f32, f16, int8, type_count };

static const size_t element_sizes[type_count] = {4, 2, 1};

typedef struct {
  size_t queries, head_size, positions;
  int type, in_parts;
} tile;

// Number d of the key, or of the value, at a position.
static double number_at(const tile *t, const void *x, size_t i) {
  switch (t->type) {
    case f32: return ((const float *)x)[i];
    case f16: return half_value(((const uint16_t *)x)[i]);
    default: return ((const int8_t *)x)[i];
  }
}

static double key_at(const tile *t, const kernels_head *head, size_t position, size_t d) {
  const size_t block = position / KERNELS_KEY_LANES, lane = position % KERNELS_KEY_LANES;
  return number_at(t, head->keys, (block * t->head_size + d) * KERNELS_KEY_LANES + lane) *
         (t->type == int8 ? (double)head->key_scales[position] : 1);
}

static double value_at(const tile *t, const kernels_head *head, size_t position, size_t d) {
  return number_at(t, head->values, position * t->head_size + d) *
         (t->type == int8 ? (double)head->value_scales[position] : 1);
}

// Random numbers; F16 of moderate size, with exponents 2^-6 ... 2^1.
static void *numbers(const tile *t, size_t n, size_t offset) {
  char *x = memory(n * element_sizes[t->type], element_sizes[t->type] * offset);
  for (size_t i = 0; i < n; i++) switch (t->type) {
      case f32: ((float *)(void *)x)[i] = random_float() * exp2f((float)(random_word() % 5)); break;
      case f16:
        ((uint16_t *)(void *)x)[i] =
            (uint16_t)((random_word() & 0x83ff) | (9 + random_word() % 8) << 10);
        break;
      default: ((int8_t *)x)[i] = (int8_t)((int)(random_word() % 255) - 127);
    }
  return x;
}

// All bits set are NaN in F32 and F16.
static void spoil(const tile *t, void *x, size_t i) {
  memset((char *)x + i * element_sizes[t->type], 255, element_sizes[t->type]);
}

static float *scales(size_t positions, size_t padded, size_t offset) {
  float *x = random_floats(padded, 4 * offset, 2);
  for (size_t i = 0; i < padded; i++) x[i] = i < positions ? fabsf(x[i]) / 64 : NAN;
  return x;
}

// The keys and values of a head. What may be read but not used is NaN.
static kernels_head head_of(const tile *t, size_t offset) {
  const size_t lanes = KERNELS_KEY_LANES, size = t->head_size;
  const size_t padded = (t->positions + lanes - 1) / lanes * lanes;
  kernels_head head = {.head_size = size};
  void *keys = numbers(t, padded * size, offset);
  void *values = numbers(t, t->positions * size + lanes - 1, 15 - offset);
  for (size_t p = t->positions; p < padded; p++)
    for (size_t d = 0; d < size; d++) spoil(t, keys, (p / lanes * size + d) * lanes + p % lanes);
  for (size_t i = 0; i < lanes - 1; i++) spoil(t, values, t->positions * size + i);
  head.keys = keys;
  head.values = values;
  if (t->type == int8) {
    head.key_scales = scales(t->positions, padded, offset);
    head.value_scales = scales(t->positions, padded, offset);
  }
  return head;
}

// One query and its output. With u = 2^-24, a score has n = head_size products, a scale that is
// rounded with log2(e), the query times that scale, and, in int8, the scale of the key, so it is
// within e = (n + 4) u scale sum |q k|, in units of the natural logarithm; its difference from the
// maximum, at most 2 m for scores up to m, within 2 e + 2 m u; and the weight, after the exponential
// (4 u), relatively within
//   d = 2 e + 2 m u + 4 u + (6 u + 2 m u) blocks,
// each block before it was shrunk by a factor that is such an exponential and a product. The output
// is a quotient of two sums over at most p keys, each relatively (of the sum of magnitudes) within
// d + p u, rounds the reciprocal and the product, and in int8 the scale of the value before. Weights
// below 2^-126 are left out.
static void check_query(const tile *t, const float *query, double scale, const kernels_head *head,
                        size_t first, size_t last, const float *output,
                        const kernels_softmax *part) {
  double score[512], maximum = -INFINITY, largest = 0, product_error = 0, total = 0;
  const double n = (double)t->head_size, seen = last > first ? (double)(last - first) : 0;
  for (size_t j = first; j < last; j++) {
    double sum = 0, magnitude = 0;
    for (size_t d = 0; d < t->head_size; d++) {
      const double product = query[d] * key_at(t, head, j, d);
      sum += product;
      magnitude += fabs(product);
    }
    score[j] = scale * sum;
    maximum = fmax(maximum, score[j]);
    largest = fmax(largest, fabs(score[j]));
    product_error = fmax(product_error, (n + 4) * UNIT * scale * magnitude);
  }
  const double blocks = seen / KERNELS_KEY_BLOCK + 2;
  const double weight_error = 2 * product_error + 2 * largest * UNIT + 4 * UNIT +
                              (6 + 2 * largest) * UNIT * blocks;
  // The reference of a part is the maximum that the kernel reports, which then has no error.
  if (part) maximum = part->maximum * M_LN2;
  for (size_t j = first; j < last; j++) total += exp(score[j] - maximum);
  if (part) {
    require(part->maximum >= -FLT_MAX && (last > first || part->maximum == -FLT_MAX),
            "maximum %g", (double)part->maximum);
    require_near(part->sum, total, (weight_error + seen * UNIT) * total * 1.01 + seen * 0x1p-126,
                 0);
    total = 1;
  }
  for (size_t d = 0; d < t->head_size; d++) {
    double sum = 0, magnitude = 0, highest = 0;
    for (size_t j = first; j < last; j++) {
      const double value = value_at(t, head, j, d);
      const double product = exp(score[j] - maximum) / total * value;
      sum += product;
      magnitude += fabs(product);
      highest = fmax(highest, fabs(value));
    }
    const double bound = (2 * weight_error + (2 * seen + 3) * UNIT) * magnitude * 1.01;
    require_near(output[d], sum, bound + seen * highest * 0x1p-126, d);
  }
}

static void check_tile(kernels_attend attend, tile t, int whole, size_t offset) {
  const float *queries[KERNELS_MAX_QUERIES];
  float *outputs[KERNELS_MAX_QUERIES];
  size_t first[KERNELS_MAX_QUERIES], last[KERNELS_MAX_QUERIES];
  kernels_softmax parts[KERNELS_MAX_QUERIES];
  const kernels_head head = head_of(&t, offset);
  for (size_t i = 0; i < t.queries; i++) {
    queries[i] = random_floats(t.head_size, 4 * offset, 3);
    outputs[i] = memory(t.head_size * sizeof *outputs[i], 4 * offset);
    // All keys, or a window that may begin anywhere; in parts, a query may see no key.
    last[i] = whole ? t.positions : 1 + random_word() % t.positions;
    first[i] = whole ? 0 : random_word() % last[i];
    if (t.in_parts && i % 5 == 3) first[i] = last[i];
  }
  // What a page or the allocator holds is no accident to rely on.
  const size_t count = kernels_attend_scratch(t.head_size);
  float *scratch = memory(count * sizeof *scratch, 4 * offset);
  for (size_t i = 0; i < count; i++) scratch[i] = NAN;
  const float scale = 1 / sqrtf((float)t.head_size);
  attend(&head, queries, t.queries, scale, first, last, outputs, t.in_parts ? parts : NULL,
         scratch);
  for (size_t i = 0; i < t.queries; i++)
    check_query(&t, queries[i], (double)scale, &head, first[i], last[i], outputs[i],
                t.in_parts ? parts + i : NULL);
  release_all();
}

// The output of a query has the same bits alone and in a tile.
static void check_alone(kernels_attend attend, tile t) {
  const float *queries[KERNELS_MAX_QUERIES];
  float *outputs[KERNELS_MAX_QUERIES];
  size_t first[KERNELS_MAX_QUERIES], last[KERNELS_MAX_QUERIES];
  const kernels_head head = head_of(&t, 0);
  for (size_t i = 0; i < t.queries; i++) {
    queries[i] = random_floats(t.head_size, 0, 3);
    outputs[i] = memory(t.head_size * sizeof(float), 0);
    last[i] = t.positions - i % t.positions;
    first[i] = last[i] > 70 ? last[i] - 70 : 0;
  }
  float *scratch = memory(kernels_attend_scratch(t.head_size) * sizeof *scratch, 0);
  float *alone = memory(t.head_size * sizeof *alone, 0);
  attend(&head, queries, t.queries, 1, first, last, outputs, NULL, scratch);
  for (size_t i = 0; i < t.queries; i++) {
    attend(&head, queries + i, 1, 1, first + i, last + i, &alone, NULL, scratch);
    require_same_floats(outputs[i], alone, t.head_size);
  }
  release_all();
}

// A NaN in a query, or else in a key, must come out wherever that is seen, and nowhere else.
static void check_nan(kernels_attend attend, int type) {
  enum { count = 3, size = 16, positions = 40, padded = 48 };
  static const size_t first[count] = {0, 0, 6}, last[count] = {positions, 5, 33};
  for (size_t at = 0; at <= count; at++) {
    const float *queries[count];
    float *outputs[count];
    // No bits are zero in every type.
    char *keys = memory(padded * size * element_sizes[type], 0);
    char *values = memory((positions * size + KERNELS_KEY_LANES) * element_sizes[type], 0);
    float *ones = memory(padded * sizeof *ones, 0), *key_scales = memory(padded * sizeof *ones, 0);
    memset(keys, 0, padded * size * element_sizes[type]);
    memset(values, 0, (positions * size + KERNELS_KEY_LANES) * element_sizes[type]);
    for (size_t i = 0; i < padded; i++) ones[i] = key_scales[i] = 1;
    for (size_t i = 0; i < count; i++) {
      float *query = random_floats(size, 0, 0);
      if (i == at) query[5] = NAN;
      queries[i] = query;
      outputs[i] = memory(size * sizeof(float), 0);
    }
    if (at == count) {
      const tile t = {.type = type};
      // The key at position 5, of which int8 has no NaN.
      if (type == int8) key_scales[5] = NAN;
      for (size_t d = 0; type != int8 && d < size; d++)
        spoil(&t, keys, d * KERNELS_KEY_LANES + 5);
    }
    const kernels_head head = {size, keys, values, key_scales, ones};
    float *scratch = memory(kernels_attend_scratch(size) * sizeof *scratch, 0);
    attend(&head, queries, count, 1, first, last, outputs, NULL, scratch);
    for (size_t i = 0; i < count; i++)
      for (size_t d = 0; d < size; d++)
        require(isnan(outputs[i][d]) == (at < count ? i == at : i == 0),
                "NaN at %zu: output %zu is %g", at, i, (double)outputs[i][d]);
    release_all();
  }
}

// The scale and the bytes by their definition, in all sets.
static void check_narrowing(const kernels_set *set) {
  begin(set->name, "narrow_int8");
  for (size_t round = 0; round < 4 * LENGTH_COUNT; round++) {
    const size_t n = lengths[round % LENGTH_COUNT], kind = round / LENGTH_COUNT;
    float *x = random_floats(n, 4 * (round % 16), 6);
    for (size_t i = 0; kind == 1 && i < n; i++) x[i] *= 0x1p-120f;
    if (kind == 2 && n > 0) x[n / 2] = NAN;
    if (kind == 3 && n > 0) x[n - 1] = INFINITY;
    int8_t *y = memory(n, round % 64);
    const float scale = set->narrow_int8(x, n, y);
    float a = 0;
    for (size_t i = 0; i < n; i++) a = fmaxf(a, fabsf(x[i]));
    if (kind > 0) a = 0;
    require(n > 0 && kind >= 2 ? isnan(scale) : scale == a / 127, "scale %g", (double)scale);
    for (size_t i = 0; i < n; i++)
      require(y[i] == (a > 0 ? (int)rintf(x[i] * (127 / a)) : 0), "byte %zu is %d", i, y[i]);
    release_all();
  }
}

void check_attention(const kernels_set *set) {
  check_narrowing(set);
  static const size_t head_sizes[] = {1, 2, 3, 4, 7, 8, 15, 16, 17, 33, 40, 64, 80, 96, 128};
  static const size_t positions[] = {1, 2, 15, 16, 31, 32, 33, 63, 64, 65, 100, 300};
  static const size_t counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 13, KERNELS_MAX_QUERIES};
  static const char *const names[type_count] = {"attend_f32", "attend_f16", "attend_int8"};
  const kernels_attend functions[type_count] = {set->attend_f32, set->attend_f16,
                                                set->attend_int8};
  for (int type = 0; type < type_count; type++) {
    begin(set->name, names[type]);
    size_t round = 0;
    for (size_t h = 0; h < sizeof head_sizes / sizeof *head_sizes; h++)
      for (size_t p = 0; p < sizeof positions / sizeof *positions; p++, round++)
        check_tile(functions[type],
                   (tile){counts[round % 11], head_sizes[h], positions[p], type, round % 4 == 1},
                   round % 3 == 0, round % 16);
    check_alone(functions[type], (tile){KERNELS_MAX_QUERIES, 40, 200, type, 0});
    check_alone(functions[type], (tile){7, 64, 200, type, 0});
    check_nan(functions[type], type);
  }
}
