// The portable set: the shortest correct code, with sums in double. The other sets are tested
// against it.

#include <float.h>
#include <math.h>
#include <string.h>

#include "../sets.h"

#pragma STDC FP_CONTRACT OFF

static float bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static float f32_at(const void *x, size_t i) { return ((const float *)x)[i]; }

static float bf16_at(const void *x, size_t i) {
  return bits_to_float((uint32_t)((const uint16_t *)x)[i] << 16);
}

// IEEE binary16: sign, 5 bits of exponent biased by 15, 10 bits of fraction.
static float f16_at(const void *x, size_t i) {
  const uint32_t half = ((const uint16_t *)x)[i];
  const uint32_t sign = (half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 31, fraction = half & 0x3ff;
  if (exponent == 31) return bits_to_float(sign | 0x7f800000 | fraction << 13);
  const float magnitude = exponent == 0 ? ldexpf((float)fraction, -24)
                                        : ldexpf((float)(fraction | 0x400), (int)exponent - 25);
  return sign ? -magnitude : magnitude;
}

static uint16_t f16_from(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  const float magnitude = fabsf(value);
  if (isnan(value)) return sign | 0x7e00 | (uint16_t)(bits >> 13 & 0x3ff);
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 0x1p-14f) return sign | (uint16_t)rintf(magnitude * 0x1p24f);
  int exponent;
  frexpf(magnitude, &exponent);  // magnitude = m * 2^exponent, 0.5 <= m < 1
  // Adding the implicit bit of the significand raises the exponent by one, and a carry from
  // rounding raises it once more.
  const uint32_t significand = (uint32_t)rintf(ldexpf(magnitude, 11 - exponent));
  return sign | (uint16_t)(((uint32_t)(exponent + 13) << 10) + significand);
}

typedef float (*element)(const void *, size_t);

static inline void matvec(element at, const void *w, size_t rows, size_t columns, const float *x,
                          size_t x_stride, size_t tokens, float *y, size_t y_stride) {
  for (size_t r = 0; r < rows; r++)
    for (size_t t = 0; t < tokens; t++) {
      double sum = 0;
      for (size_t c = 0; c < columns; c++)
        sum += (double)at(w, r * columns + c) * x[t * x_stride + c];
      y[t * y_stride + r] = (float)sum;
    }
}

static void matvec_f32(const void *w, size_t rows, size_t columns, const float *x, size_t x_stride,
                       size_t tokens, float *y, size_t y_stride) {
  matvec(f32_at, w, rows, columns, x, x_stride, tokens, y, y_stride);
}

static void matvec_f16(const void *w, size_t rows, size_t columns, const float *x, size_t x_stride,
                       size_t tokens, float *y, size_t y_stride) {
  matvec(f16_at, w, rows, columns, x, x_stride, tokens, y, y_stride);
}

static void matvec_bf16(const void *w, size_t rows, size_t columns, const float *x,
                        size_t x_stride, size_t tokens, float *y, size_t y_stride) {
  matvec(bf16_at, w, rows, columns, x, x_stride, tokens, y, y_stride);
}

static void widen_f16(const uint16_t *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = f16_at(x, i);
}

static void widen_bf16(const uint16_t *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = bf16_at(x, i);
}

static void narrow_f16(const float *x, size_t n, uint16_t *y) {
  for (size_t i = 0; i < n; i++) y[i] = f16_from(x[i]);
}

static void add(const float *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] += x[i];
}

static void rms_norm(const float *x, const float *w, size_t n, float epsilon, float *y) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
  const double scale = 1 / sqrt(sum / (double)n + epsilon);
  for (size_t i = 0; i < n; i++) y[i] = (float)(w[i] * (x[i] * scale));
}

static void rotate(float *x, size_t heads, size_t head_size, const float *cosine,
                   const float *sine) {
  const size_t half = head_size / 2;
  for (size_t h = 0; h < heads; h++, x += head_size)
    for (size_t i = 0; i < half; i++) {
      const float a = x[i], b = x[i + half];
      x[i] = a * cosine[i] - b * sine[i];
      x[i + half] = b * cosine[i] + a * sine[i];
    }
}

static void silu_product(const float *gate, const float *up, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = (float)(gate[i] / (1 + exp(-(double)gate[i])) * up[i]);
}

static void multiply_signs(const int8_t *signs, const float *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = signs[i] * x[i];
}

static void hadamard(float *x, size_t rows, size_t n, float scale) {
  for (size_t r = 0; r < rows; r++, x += n) {
    for (size_t distance = 1; distance < n; distance *= 2)
      for (size_t i = 0; i < n; i++) {
        if (i & distance) continue;
        const float u = x[i], v = x[i + distance];
        x[i] = u + v;
        x[i + distance] = u - v;
      }
    for (size_t i = 0; i < n; i++) x[i] *= scale;
  }
}

static void mix_rows(const float *factor, size_t outputs, size_t inputs, const float *x,
                     size_t columns, size_t stride, float *y) {
  for (size_t i = 0; i < outputs; i++)
    for (size_t c = 0; c < columns; c++) {
      float sum = 0;
      for (size_t k = 0; k < inputs; k++)
        sum = fmaf(factor[i * inputs + k], x[k * stride + c], sum);
      y[i * stride + c] = sum;
    }
}

static float narrow_int8(const float *x, size_t n, int8_t *y) {
  float largest = 0;
  int finite = 1;
  for (size_t i = 0; i < n; i++) {
    largest = fmaxf(largest, fabsf(x[i]));
    finite &= isfinite(x[i]) != 0;
  }
  const int usable = finite && largest >= KERNELS_SMALLEST_ACTIVATION;
  const float inverse = usable ? 127 / largest : 0;
  for (size_t i = 0; i < n; i++) y[i] = usable ? (int8_t)rintf(x[i] * inverse) : 0;
  return finite ? (usable ? largest / 127 : 0) : NAN;
}

static float int8_at(const void *x, size_t i) { return ((const int8_t *)x)[i]; }

// The place of number d of the key at position p.
static size_t key_place(const kernels_head *head, size_t p, size_t d) {
  return (p / KERNELS_KEY_LANES * head->head_size + d) * KERNELS_KEY_LANES + p % KERNELS_KEY_LANES;
}

// The score of a key in units of the binary logarithm.
static inline double score(element at, const kernels_head *head, const float *query, double scale,
                           size_t position) {
  double sum = 0;
  for (size_t d = 0; d < head->head_size; d++)
    sum += (double)query[d] * at(head->keys, key_place(head, position, d));
  return sum * scale * M_LOG2E * (at == int8_at ? head->key_scales[position] : 1);
}

// Softmax by its definition, not by its recurrence: two passes over the keys, the first for the
// maximum.
static inline void attend(element at, const kernels_head *head, const float *const *queries,
                          size_t query_count, float scale, const size_t *first, const size_t *last,
                          float *const *outputs, kernels_softmax *parts) {
  for (size_t i = 0; i < query_count; i++) {
    double maximum = -FLT_MAX, total = 0;
    for (size_t j = first[i]; j < last[i]; j++) {
      const double s = score(at, head, queries[i], scale, j);
      maximum = s > maximum || isnan(s) ? s : maximum;
    }
    // The maximum of a part is a float.
    maximum = (float)maximum;
    for (size_t j = first[i]; j < last[i]; j++)
      total += exp2(score(at, head, queries[i], scale, j) - maximum);
    if (parts) parts[i] = (kernels_softmax){(float)maximum, (float)total};
    for (size_t d = 0; d < head->head_size; d++) outputs[i][d] = 0;
    for (size_t j = first[i]; j < last[i]; j++) {
      const double weight = exp2(score(at, head, queries[i], scale, j) - maximum) /
                            (parts ? 1 : total) * (at == int8_at ? head->value_scales[j] : 1);
      for (size_t d = 0; d < head->head_size; d++)
        outputs[i][d] =
            (float)(outputs[i][d] + weight * at(head->values, j * head->head_size + d));
    }
  }
}

static void attend_f32(const kernels_head *head, const float *const *queries, size_t query_count,
                       float scale, const size_t *first, const size_t *last,
                       float *const *outputs, kernels_softmax *parts, float *scratch) {
  (void)scratch;
  attend(f32_at, head, queries, query_count, scale, first, last, outputs, parts);
}

static void attend_f16(const kernels_head *head, const float *const *queries, size_t query_count,
                       float scale, const size_t *first, const size_t *last,
                       float *const *outputs, kernels_softmax *parts, float *scratch) {
  (void)scratch;
  attend(f16_at, head, queries, query_count, scale, first, last, outputs, parts);
}

static void attend_int8(const kernels_head *head, const float *const *queries, size_t query_count,
                        float scale, const size_t *first, const size_t *last,
                        float *const *outputs, kernels_softmax *parts, float *scratch) {
  (void)scratch;
  attend(int8_at, head, queries, query_count, scale, first, last, outputs, parts);
}

static double log_sum_exp(const float *x, size_t n) {
  double maximum = -INFINITY, sum = 0;
  for (size_t i = 0; i < n; i++) maximum = x[i] > maximum || isnan(x[i]) ? x[i] : maximum;
  for (size_t i = 0; i < n; i++) sum += exp(x[i] - maximum);
  return maximum + log(sum);
}

static void compare_logits(const float *x, const float *y, size_t n, kernels_comparison *result) {
  result->x_normalizer = log_sum_exp(x, n);
  result->y_normalizer = log_sum_exp(y, n);
  double sum = 0, product = 0;
  for (size_t i = 0; i < n; i++) {
    const double weight = exp(x[i] - result->x_normalizer);
    sum += weight;
    product += weight * ((double)x[i] - y[i]);
  }
  result->mean_difference = product / sum;
}

static int all_finite(const float *x, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!isfinite(x[i])) return 0;
  return 1;
}

static uint64_t read_bytes(const void *x, size_t n) {
  const uint64_t *words = x;
  uint64_t sum = 0;
  for (size_t i = 0; i < n / 8; i++) sum += words[i];
  return sum;
}

#include "packed.inc"
#include "rounding.inc"
#include "integer_rounding.inc"
#include "trellis_rounding.inc"

const kernels_set kernels_portable = {
    .name = "portable",
#include "../vector/table.inc"
    .packed_matvec = {packed_sum, packed_sum, packed_sum, packed_sum, packed_sum, packed_sum,
                      packed_sum, packed_sum},
    .packed_matmul = {packed_sum, packed_sum, packed_sum, packed_sum, packed_sum, packed_sum,
                      packed_sum, packed_sum},
    .quantize_int8 = quantize_int8,
    .bit_tables = bit_tables,
    .reorder_e8p = reorder_e8p,
    .multiply_bytes = multiply_bytes,
};
