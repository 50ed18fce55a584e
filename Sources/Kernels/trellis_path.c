// The bits of a tile that has given values, by the states that can lie between its rows.

#include <string.h>

#include "include/Kernels.h"

enum {
  rows = KERNELS_TRELLIS_ROWS,
  window_bits = KERNELS_TRELLIS_WINDOW,
  states = KERNELS_TRELLIS_STATES,
  any_value = 127
};

// The states between two rows that some bits with the right values lead to, and for each of them the
// state before.
typedef struct {
  int count;
  int16_t state[states], before[states];
} reached;

// What a tile needs: q of a window is the part of its state and the part of its new bits.
typedef struct {
  int bits[2];  // that an even and an odd row bring
  int8_t of_state[2][states], of_bits[2][8];
} values;

// sums[s] = sum over k < count of taps[k] * (bit k of s is set ? 1 : -1), for s < 2^count.
static void fill(const int8_t *taps, int count, int8_t *sums) {
  for (int s = 0; s < 1 << count; s++) {
    int sum = 0;
    for (int k = 0; k < count; k++) sum += s >> k & 1 ? taps[k] : -taps[k];
    sums[s] = (int8_t)sum;
  }
}

// The states after a row, from those before it. A state is the bits that the next window keeps, the
// newest at bit 0; of several ways to a state the first is kept.
static void advance(const values *v, int row, int q, const reached *from, reached *to) {
  const int bits = v->bits[row % 2], kept = window_bits - v->bits[(row + 1) % 2];
  uint8_t seen[states] = {0};
  to->count = 0;
  for (int i = 0; i < from->count; i++) {
    const int state = from->state[i], rest = q - v->of_state[row % 2][state];
    for (int new_bits = 0; new_bits < 1 << bits; new_bits++) {
      if (q != any_value && v->of_bits[row % 2][new_bits] != rest) continue;
      const int next = (state << bits | new_bits) & ((1 << kept) - 1);
      if (seen[next]) continue;
      seen[next] = 1;
      to->state[to->count] = (int16_t)next;
      to->before[to->count++] = (int16_t)i;
    }
  }
}

// Runs through all rows from the states of way[0]; way[r + 1] is after row r.
static void run(const values *v, const int8_t *q, reached *way) {
  for (int row = 0; row < rows; row++) advance(v, row, q[row], &way[row], &way[row + 1]);
}

int kernels_trellis_path(kernels_format format, const int8_t *q, uint8_t *bits) {
  const kernels_trellis *code = &kernels_trellis_codes[format - KERNELS_TRELLIS2];
  values v = {.bits = {code->even_bits, code->planes - code->even_bits}};
  for (int parity = 0; parity < 2; parity++) {
    const int new_bits = v.bits[parity];
    fill(code->taps[parity], new_bits, v.of_bits[parity]);
    fill(code->taps[parity] + new_bits, window_bits - new_bits, v.of_state[parity]);
  }
  reached way[rows + 1], last;
  // The bits before row 0 are those after row 63, so only a state that some path ends with can be the
  // first one. After a few rows there are few of them.
  way[0].count = 1 << (window_bits - v.bits[0]);
  for (int s = 0; s < way[0].count; s++) way[0].state[s] = (int16_t)s;
  run(&v, q, way);
  last = way[rows];
  for (int i = 0; i < last.count; i++) {
    way[0].count = 1;
    way[0].state[0] = last.state[i];
    run(&v, q, way);
    for (int end = 0; end < way[rows].count; end++) {
      if (way[rows].state[end] != last.state[i]) continue;
      for (int row = rows - 1, at = end; row >= 0; row--) {
        const int count = v.bits[row % 2], state = way[row + 1].state[at];
        uint8_t *const target = bits + row / 2 * code->planes + row % 2 * code->even_bits;
        for (int k = 0; k < count; k++) target[count - 1 - k] = (uint8_t)(state >> k & 1);
        at = way[row + 1].before[at];
      }
      return 1;
    }
  }
  return 0;
}
