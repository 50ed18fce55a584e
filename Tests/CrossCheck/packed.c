// Packed products, bit for bit like `portable`, and what quantises their activations.

#include "packed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The sums of `panels` panels from first_panel on and `tokens` tokens from first_token on.
static void check_sums(const kernels_set *set, const kernels_set *portable, const kernels_packed *w,
                       const kernels_activations *x, size_t first_panel, size_t panels,
                       size_t first_token, size_t tokens) {
  const size_t n = panels * tokens * KERNELS_PANEL_ROWS;
  float *expected = random_floats(n, 0, 8), *actual = memory(n * sizeof *actual, 4 * (panels % 16));
  memcpy(actual, expected, n * sizeof *actual);
  float *single = memory(n * sizeof *single, 20);
  memcpy(single, expected, n * sizeof *single);
  portable->packed_matmul[w->format](w, first_panel, panels, x, first_token, tokens, expected);
  set->packed_matmul[w->format](w, first_panel, panels, x, first_token, tokens, actual);
  require_same_floats(actual, expected, n);
  if (tokens != 1) return;
  float *looked_up = memory(n * sizeof *single, 8);
  memcpy(looked_up, single, n * sizeof *single);
  set->packed_matvec[w->format](w, first_panel, panels, x, first_token, 1, single);
  require_same_floats(single, expected, n);
  if (x->tokens != 1) return;
  const size_t groups = (w->columns + KERNELS_ACTIVATION_GROUP - 1) / KERNELS_ACTIVATION_GROUP;
  uint8_t *tables = memory(groups * KERNELS_TABLE_BYTES, 3 * (panels % 16));
  set->bit_tables(x->values, groups * KERNELS_ACTIVATION_GROUP, tables);
  kernels_activations with_tables = *x;
  with_tables.tables = tables;
  set->packed_matvec[w->format](w, first_panel, panels, &with_tables, 0, 1, looked_up);
  require_same_floats(looked_up, expected, n);
}

static void check_format(const kernels_set *set, const kernels_set *portable, kernels_format format,
                         size_t group_size, int asymmetric, filling filling) {
  static const size_t widths[] = {4,  8,   12,  16,  20,  24,  32,  40,  48,  64,
                                  96, 124, 128, 136, 160, 224, 256, 288, 384, 416};
  static const size_t token_counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 25};
  size_t round = group_size + (size_t)asymmetric;
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
    const size_t columns = widths[i];
    if (columns % (group_size ? group_size : format_blocks[format])) continue;
    for (int repeat = 0; repeat < 2; repeat++, round++) {
      const size_t tokens = repeat == 0 ? 1 : token_counts[round % 11];
      const size_t panels = 1 + round % 6, first_panel = round % 3 * panel_step(format);
      const size_t first_token = round % 4;
      const kernels_packed w = random_matrix(format, first_panel + panels, columns, group_size,
                                             asymmetric, round * 7 % 64, filling);
      const kernels_activations x =
          random_activations(first_token + tokens + round % 2, columns, filling);
      check_sums(set, portable, &w, &x, first_panel, panels, first_token, tokens);
      release_all();
    }
  }
}

// A scale of NaN must make every sum NaN that it belongs to, and no other.
static void check_nan(const kernels_set *set, kernels_format format, size_t group_size) {
  const kernels_packed w = random_matrix(format, 2, 256, group_size, 0, 0, EXTREME);
  const kernels_activations x = random_activations(7, 256, EXTREME);
  ((float *)x.scales)[7 + 2] = NAN;
  float sums[2 * 7 * 16] = {0};
  set->packed_matmul[format](&w, 0, 2, &x, 0, 7, sums);
  for (size_t i = 0; i < 2 * 7 * 16; i++)
    require(isnan(sums[i]) == (i / 16 % 7 == 2), "sum %zu is %g", i, (double)sums[i]);
  release_all();
}

// What the expansion to bytes and the bounds of sums take for granted of the taps.
static void check_taps(const kernels_set *set) {
  begin(set->name, "trellis taps");
  for (size_t i = 0; i < 3; i++)
    for (int parity = 0; parity < 2; parity++) {
      int sum = 0;
      for (int k = 0; k < KERNELS_TRELLIS_WINDOW; k++)
        sum += abs(kernels_trellis_codes[i].taps[parity][k]);
      require(sum == KERNELS_TRELLIS_LARGEST, "code %zu, parity %d: the sum of |taps| is %d", i,
              parity, sum);
    }
}

void check_packed(const kernels_set *set, const kernels_set *portable) {
  check_taps(set);
  static const size_t group_sizes[] = {0, 32, 64, 128};
  for (kernels_format format = 0; format < KERNELS_FORMAT_COUNT; format++)
    for (size_t g = 0; g < (is_trellis(format) ? 1 : 4); g++)
      for (int asymmetric = 0; asymmetric <= has_offsets(format); asymmetric++) {
        char name[80];
        snprintf(name, sizeof name, "packed %s, group size %zu%s", format_names[format],
                 group_sizes[g], asymmetric ? ", offsets" : "");
        begin(set->name, name);
        check_format(set, portable, format, group_sizes[g], asymmetric, RANDOM);
        check_format(set, portable, format, group_sizes[g], asymmetric, EXTREME);
        check_nan(set, format, group_sizes[g]);
      }
  // Blocks of tokens as large as they get.
  begin(set->name, "packed, 96 tokens");
  for (kernels_format format = 0; format < KERNELS_FORMAT_COUNT; format++)
    for (size_t tokens = KERNELS_TOKEN_BLOCK - 1; tokens <= KERNELS_TOKEN_BLOCK; tokens++) {
      const size_t group_size = is_trellis(format) ? 0 : 128 * (tokens % 2);
      const kernels_packed w = random_matrix(format, 5, 128, group_size, 0, 0, RANDOM);
      const kernels_activations x = random_activations(tokens, 128, RANDOM);
      check_sums(set, portable, &w, &x, 0, 5, 0, tokens);
      release_all();
    }
}

// All 2^16 codes of e8p, one coordinate at a time: token c sees column c alone.
void check_lattice(const kernels_set *set, const kernels_set *portable) {
  enum { panels = 16, columns = 32, codes = 64 };
  begin(set->name, "packed e8p, every code");
  uint8_t *bytes = memory(panels * 2 * codes, 0);
  uint16_t *scales = memory(panels * 16 * sizeof *scales, 0);
  for (size_t i = 0; i < panels * 16; i++) scales[i] = 0x4400;  // 4: sums are four times the values
  int8_t *values = memory(columns * KERNELS_ACTIVATION_GROUP, 0);
  float factors[columns];
  int32_t sums[4 * columns] = {0};
  memset(values, 0, columns * KERNELS_ACTIVATION_GROUP);
  for (size_t c = 0; c < columns; c++) {
    values[c * KERNELS_ACTIVATION_GROUP + c] = 1;
    factors[c] = 1;
    sums[c] = 1;
  }
  const kernels_packed w = {KERNELS_E8P, bytes, scales, NULL, columns, 0};
  const kernels_activations x = {values, factors, sums, columns, NULL};
  float *expected = memory(panels * columns * 16 * sizeof *expected, 0);
  float *actual = memory(panels * columns * 16 * sizeof *actual, 0);
  for (unsigned first = 0; first < 0x10000; first += panels * codes) {
    for (unsigned i = 0; i < panels * codes; i++) {
      const unsigned block = i / codes * 2 * codes + i % codes;
      bytes[block] = (uint8_t)((first + i) >> 8);
      bytes[block + codes] = (uint8_t)(first + i);
    }
    memset(expected, 0, panels * columns * 16 * sizeof *expected);
    memset(actual, 0, panels * columns * 16 * sizeof *actual);
    portable->packed_matmul[KERNELS_E8P](&w, 0, panels, &x, 0, columns, expected);
    set->packed_matmul[KERNELS_E8P](&w, 0, panels, &x, 0, columns, actual);
    require_same_floats(actual, expected, panels * columns * 16);
    for (size_t t = 0; t < columns; t += 5) {
      float one[panels * 16] = {0};
      set->packed_matvec[KERNELS_E8P](&w, 0, panels, &x, t, 1, one);
      for (size_t p = 0; p < panels; p++)
        require_same_floats(one + p * 16, expected + (p * columns + t) * 16, 16);
    }
  }
  release_all();
}
