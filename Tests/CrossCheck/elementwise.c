// The element-wise steps of a layer, and what only reads.

#include "check.h"

#include <math.h>
#include <string.h>

static void check_add(const kernels_set *set, size_t n, size_t offset) {
  const float *x = random_floats(n, offset, 20);
  float *y = random_floats(n, 64 - offset, 20), *expected = memory(n * sizeof *expected, 0);
  for (size_t i = 0; i < n; i++) expected[i] = y[i] + x[i];
  set->add(x, n, y);
  require_same_floats(y, expected, n);
  release_all();
}

// With u = 2^-24: the sum of squares is relatively within n u, adding epsilon and dividing by n
// make it (n + 2) u, the root halves that, and the root, the reciprocal and two products round once
// each.
static void check_rms_norm(const kernels_set *set, size_t n, size_t offset) {
  const float epsilon = 1e-5f;
  float *x = random_floats(n, offset, 6), *w = random_floats(n, 64 - offset, 2);
  float *y = memory(n * sizeof *y, offset);
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
  const double scale = 1 / sqrt(sum / (double)n + (double)epsilon);
  const double relative = ((double)n / 2 + 5) * UNIT * 1.001;
  set->rms_norm(x, w, n, epsilon, y);
  for (size_t i = 0; i < n; i++) {
    const double expected = w[i] * (x[i] * scale);
    require_near(y[i], expected, relative * fabs(expected), i);
  }
  set->rms_norm(x, w, n, epsilon, x);
  require_same_floats(x, y, n);
  release_all();
}

// Two products and their difference, three roundings of which each term meets two.
static void check_rotate(const kernels_set *set, size_t half, size_t heads, size_t offset) {
  const size_t size = 2 * half;
  float *x = random_floats(heads * size, offset, 6), *before = memory(heads * size * sizeof *x, 0);
  float *cosine = random_floats(half, 64 - offset, 0), *sine = random_floats(half, offset, 0);
  if (heads * size > 0) memcpy(before, x, heads * size * sizeof *x);
  set->rotate(x, heads, size, cosine, sine);
  for (size_t h = 0; h < heads; h++)
    for (size_t i = 0; i < half; i++) {
      const double a = before[h * size + i], b = before[h * size + half + i];
      const double c = cosine[i], s = sine[i], bound = 2.001 * UNIT;
      require_near(x[h * size + i], a * c - b * s, bound * (fabs(a * c) + fabs(b * s)), i);
      require_near(x[h * size + half + i], b * c + a * s, bound * (fabs(b * c) + fabs(a * s)), i);
    }
  release_all();
}

// e^-a is within 2 ulp, at most 4 u; one more rounding each for 1 + e^-a, the quotient and the
// product, all relative: 7 u. Below -88, where the kernel's exponential stops, the result is
// between 0 and a e^-88 times up instead of a e^a; and products may be subnormal.
static void check_silu(const kernels_set *set, size_t n, size_t offset) {
  float *gate = random_floats(n, offset, 10), *up = random_floats(n, 64 - offset, 4);
  float *y = memory(n * sizeof *y, offset);
  for (size_t i = 0; i < n; i++) gate[i] *= i % 3 == 0 ? 200 : 20;
  set->silu_product(gate, up, n, y);
  for (size_t i = 0; i < n; i++) {
    const double a = gate[i], expected = a / (1 + exp(-a)) * up[i];
    const double stopped = a < -87 ? fabs(a * up[i]) * exp(-87) : 0;
    require_near(y[i], expected, 7.001 * UNIT * fabs(expected) + stopped + 0x1p-148, i);
  }
  set->silu_product(gate, up, n, gate);
  require_same_floats(gate, y, n);
  for (size_t i = 0; i < n; i++) {
    gate[i] = NAN;
    set->silu_product(gate, up, n, y);
    require(isnan(y[i]), "NaN at %zu of %zu was lost", i, n);
    gate[i] = 0;
  }
  release_all();
}

// The terms are e^(x - maximum): the difference is rounded, an error of u times the range of x, its
// exponential within 4 u, and they are added in runs of at most 64 terms a lane, then 16 lanes
// halving: 64 + 4 roundings. Terms below e^-87 are left out. Relative in the sum is absolute in its
// logarithm.
static void check_log_sum_exp(const kernels_set *set, size_t n, size_t offset, float range) {
  float *x = random_floats(n, offset, 0);
  double maximum = -INFINITY, minimum = INFINITY, sum = 0;
  for (size_t i = 0; i < n; i++) {
    x[i] *= range / 2;
    maximum = fmax(maximum, x[i]);
    minimum = fmin(minimum, x[i]);
  }
  for (size_t i = 0; i < n; i++) sum += exp(x[i] - maximum);
  const double bound = (fmin(maximum - minimum, 88) + 4 + 64 + 4) * UNIT * 1.001;
  require_near(set->log_sum_exp(x, n), maximum + log(sum), bound + (double)n * exp(-87), n);
  x[n / 2] = NAN;
  require(isnan(set->log_sum_exp(x, n)), "NaN among %zu was lost", n);
  release_all();
}

// Everything is in double, v = 2^-53: exponentials within 4 ulp = 8 v, differences and products
// rounded once, at most n additions, less the rounding of the oracle, which is as large. Terms below
// e^-708 are left out.
static void check_comparison(const kernels_set *set, size_t n, size_t offset, float range) {
  float *x = random_floats(n, offset, 0), *y = random_floats(n, 0, 0);
  double highest_x = -INFINITY, highest_y = -INFINITY, sum_x = 0, sum_y = 0, mean = 0, size = 0;
  for (size_t i = 0; i < n; i++) {
    x[i] *= range / 2;
    y[i] += x[i];
    highest_x = fmax(highest_x, x[i]);
    highest_y = fmax(highest_y, y[i]);
  }
  for (size_t i = 0; i < n; i++) {
    const double weight = exp(x[i] - highest_x), difference = (double)x[i] - y[i];
    sum_x += weight;
    sum_y += exp(y[i] - highest_y);
    mean += weight * difference;
    size += weight * fabs(difference);
  }
  const double error = 2 * (12 + (double)n) * 0x1p-53;
  kernels_comparison found;
  set->compare_logits(x, y, n, &found);
  require_near(found.x_normalizer, highest_x + log(sum_x), error * (1 + fabs(highest_x)), n);
  require_near(found.y_normalizer, highest_y + log(sum_y), error * (1 + fabs(highest_y)), n);
  require_near(found.mean_difference, mean / sum_x, error * size / sum_x, n);
  set->compare_logits(x, x, n, &found);
  require(found.mean_difference == 0, "equal logits of %zu differ", n);
  require(found.x_normalizer == found.y_normalizer, "normalisers of equal logits of %zu differ", n);
  y[n / 2] = NAN;
  set->compare_logits(x, y, n, &found);
  require(isnan(found.mean_difference), "NaN among %zu was lost", n);
  release_all();
}

static void check_all_finite(const kernels_set *set, size_t n, size_t offset) {
  const float unusual[] = {INFINITY, -INFINITY, NAN};
  float *x = random_floats(n, offset, 20);
  for (size_t i = 0; i < n; i++)
    if (i % 5 == 0) x[i] = i % 2 ? -3.4028235e38f : 1e-45f;
  require(set->all_finite(x, n) == 1, "%zu finite numbers are not", n);
  for (size_t i = 0; i < n; i++) {
    const float kept = x[i];
    x[i] = unusual[i % 3];
    require(set->all_finite(x, n) == 0, "%a at %zu of %zu is finite", (double)x[i], i, n);
    x[i] = kept;
  }
  release_all();
}

static void check_reading(const kernels_set *set) {
  for (size_t n = 0; n <= 64 * 40; n += 64) {
    uint64_t *x = memory(n, 0), sum = 0;
    for (size_t i = 0; i < n / 8; i++) {
      x[i] = (uint64_t)random_word() << 32 | random_word();
      sum += x[i];
    }
    require(set->read_bytes(x, n) == sum, "the sum of %zu bytes is wrong", n);
    release_all();
  }
}

// How many products it reports is for the set to say; that each round has as many is not.
static void check_multiply_bytes(const kernels_set *set) {
  int32_t sink = 77;
  const uint64_t one = set->multiply_bytes(1, &sink);
  require(one > 0 && set->multiply_bytes(10, &sink) == 10 * one, "products per round differ");
}

void check_elementwise(const kernels_set *set) {
  for (size_t l = 0; l < LENGTH_COUNT; l++) {
    const size_t n = lengths[l], offset = 4 * (l % 16);
    begin(set->name, "add");
    check_add(set, n, offset);
    begin(set->name, "rms_norm");
    check_rms_norm(set, n, offset);
    begin(set->name, "rotate");
    check_rotate(set, n, 1 + l % 3, offset);
    begin(set->name, "silu_product");
    check_silu(set, n, offset);
    begin(set->name, "all_finite");
    check_all_finite(set, n, offset);
    begin(set->name, "log_sum_exp");
    if (n > 0) check_log_sum_exp(set, n, offset, 1);
    if (n > 0) check_log_sum_exp(set, n, offset, 300);
  }
  check_log_sum_exp(set, 100003, 4, 20);
  begin(set->name, "compare_logits");
  for (size_t l = 0; l < LENGTH_COUNT; l++)
    for (int range = 1; lengths[l] > 0 && range <= 2000; range += 333)
      check_comparison(set, lengths[l], 4 * (l % 16), (float)range);
  check_comparison(set, 100003, 4, 20);
  begin(set->name, "read_bytes");
  check_reading(set);
  begin(set->name, "multiply_bytes");
  check_multiply_bytes(set);
}
