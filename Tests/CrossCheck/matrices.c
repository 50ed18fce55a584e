// Packed matrices and quantised activations to multiply, random or extreme.

#include "packed.h"

#include <string.h>

const char *const format_names[KERNELS_FORMAT_COUNT] = {
    "int2", "int3", "int4", "int8", "e8p", "trellis2", "trellis2.5", "trellis3"};

const size_t format_blocks[KERNELS_FORMAT_COUNT] = {16, 32, 8, 4, 32, 32, 32, 32};

// Of a column of a panel.
static const size_t bytes[KERNELS_FORMAT_COUNT] = {4, 6, 8, 16, 4, 4, 5, 6};

// Makes q the largest or smallest in as many even or odd rows of every tile as have no bit in
// common.
static void fill_windows(kernels_format format, uint8_t *codes, size_t tiles, size_t columns) {
  enum { group = KERNELS_ACTIVATION_GROUP, window = KERNELS_TRELLIS_WINDOW };
  const kernels_trellis *code = &kernels_trellis_codes[format - KERNELS_TRELLIS2];
  const int parity = random_word() % 2, negative = random_word() % 2;
  const int planes = code->planes, apart = (window + planes - 1) / planes;
  for (size_t tile = 0; tile < tiles; tile++)
    for (int i = apart; i < KERNELS_TRELLIS_PAIRS; i += apart)
      for (int k = 0; k < window; k++) {
        const int bit = planes * i + (parity ? planes : code->even_bits) - 1 - k;
        const int pair = bit / planes, plane = bit % planes;
        for (size_t c = 0; c < columns; c += 8) {
          const size_t start = c / group * group;
          const size_t width = columns - start < group ? columns - start : group;
          uint8_t *in_group = codes + (tile * columns + start) * 4 * (size_t)planes;
          uint8_t *block = in_group + (size_t)plane * width * 4 + (c - start) * 4;
          block[2 * (pair % 16) + pair / 16] =
              (code->taps[parity][k] > 0) != negative ? 255 : 0;
        }
      }
}

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
  panels = (panels + panel_step(format) - 1) / panel_step(format) * panel_step(format);
  const size_t size = panels * columns * bytes[format];
  uint8_t *codes = memory(size, offset);
  const uint8_t fill = random_word() % 2 ? 255 : 0;
  for (size_t i = 0; i < size; i++) codes[i] = filling == EXTREME ? fill : (uint8_t)random_word();
  if (is_trellis(format) && filling == EXTREME && random_word() % 2)
    fill_windows(format, codes, panels / 4, columns);
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
  return (kernels_activations){values, factors, sums, tokens, NULL};
}
