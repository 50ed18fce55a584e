// Packed matrices and quantised activations to multiply, random or extreme.

#include "packed.h"

#include <string.h>

const char *const format_names[KERNELS_FORMAT_COUNT] = {"int2", "int3", "int4", "int8", "e8p"};

const size_t format_blocks[KERNELS_FORMAT_COUNT] = {16, 32, 8, 4, 32};

static const size_t bits[KERNELS_FORMAT_COUNT] = {2, 3, 4, 8, 2};

// F16 of 2^-14 ... 2^15 with any sign and fraction, now and then zero or subnormal. Extreme ones
// are 1.
static uint16_t *scales(size_t n, size_t offset, filling filling) {
  uint16_t *x = memory(n * sizeof *x, offset & ~(size_t)1);
  for (size_t i = 0; i < n; i++) {
    const uint32_t word = random_word();
    const uint32_t exponent = word % 16 == 0 ? 0 : 1 + (word >> 16) % 30;
    x[i] = filling == EXTREME ? 0x3c00
           : word % 64 == 0   ? 0
                              : (uint16_t)((word & 0x83ff) | exponent << 10);
  }
  return x;
}

kernels_packed random_matrix(kernels_format format, size_t panels, size_t columns,
                             size_t group_size, int asymmetric, size_t offset, filling filling) {
  const size_t size = panels * columns * 2 * bits[format];
  uint8_t *codes = memory(size, offset);
  const uint8_t fill = random_word() % 2 ? 255 : 0;
  for (size_t i = 0; i < size; i++) codes[i] = filling == EXTREME ? fill : (uint8_t)random_word();
  const size_t groups = group_size ? columns / group_size : 1;
  return (kernels_packed){
      .format = format,
      .codes = codes,
      .scales = scales(panels * groups * 16, offset, filling),
      .offsets = asymmetric ? scales(panels * groups * 16, 64 - offset, filling) : NULL,
      .columns = columns,
      .group_size = group_size,
  };
}

kernels_activations random_activations(size_t tokens, size_t columns, filling filling) {
  enum { group = KERNELS_ACTIVATION_GROUP, step = KERNELS_SUM_COLUMNS };
  const size_t groups = (columns + group - 1) / group;
  int8_t *values = memory(groups * tokens * group, 13);
  float *factors = memory(groups * tokens * sizeof *factors, 4);
  int32_t *sums = memory(groups * 4 * tokens * sizeof *sums, 4);
  memset(sums, 0, groups * 4 * tokens * sizeof *sums);
  for (size_t g = 0; g < groups; g++)
    for (size_t t = 0; t < tokens; t++) {
      // Per token all largest, all smallest, alternating, and alternating as e8p reads them.
      const int kind = (int)(t % 4);
      const float factor = random_word() % 32 == 0 ? 0 : 0.01f + random_float() * random_float();
      factors[g * tokens + t] = filling == EXTREME ? 1 : factor;
      for (size_t i = 0; i < group; i++) {
        const int sign = kind == 0 ? 1 : kind == 1 ? -1 : (kind == 2 ? i : i / 4) % 2 ? -1 : 1;
        const int value = filling == EXTREME ? 127 * sign : (int)(random_word() % 255) - 127;
        const int8_t stored = (int8_t)(g * group + i < columns ? value : 0);
        values[(g * tokens + t) * group + i] = stored;
        sums[(g * 4 + i / step) * tokens + t] += stored;
      }
    }
  return (kernels_activations){values, factors, sums, tokens};
}
