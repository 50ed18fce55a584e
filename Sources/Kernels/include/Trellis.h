#ifndef DUET_TRELLIS_H
#define DUET_TRELLIS_H

// Trellis codes: weights of a column that share their bits with the weights above them.
//
// A tile is 64 rows of a column, 32 pairs of an even and an odd row. Every pair brings `planes` new
// bits, even_bits of them with its even row. Bit p of pair i is bit planes * i + p of the tile, and
// the bits go around: the last is followed by the first. The window of a row is the 12 bits that end with
// the last one that its row brings, so it reaches over the rows above. With every bit taken as
// +1 or -1 the value of a row is
//   scale * unit * q,   q = sum over k < 12 of taps[parity][k] * bit[end - k],   unit = 1/16,
// with the taps of even or odd rows. The sum of |taps| is 31 for both, so q is odd, |q| <= 31.
//
// A code that looks at the bits of several rows comes nearer to a column of Gaussian numbers than a
// lattice of eight dimensions, and because the value is linear in the bits, a product with the matrix is
// a product with the bits, of which the taps make rows afterwards.
//
// Sources: trellis coding of weights, Tseng et al., QTIP, arXiv:2406.11235; values that are linear in
// the bits, LiftQuant, arXiv:2606.04050. The taps were trained on Gaussian numbers for this file.

#include <stddef.h>
#include <stdint.h>

enum {
  KERNELS_TRELLIS_ROWS = 64,
  KERNELS_TRELLIS_PAIRS = 32,
  KERNELS_TRELLIS_WINDOW = 12,
  KERNELS_TRELLIS_MOST_PLANES = 6,
  // The largest |q|.
  KERNELS_TRELLIS_LARGEST = 31,
  // The most states between two rows: the bits of a window without the two or three that leave it.
  KERNELS_TRELLIS_STATES = 1 << (KERNELS_TRELLIS_WINDOW - 2),
  // The floats of scratch of round_trellis: the costs of the states before every row and after the last.
  // The best path is found from them, so that no choice has to be kept.
  KERNELS_TRELLIS_SCRATCH = (KERNELS_TRELLIS_ROWS + 1) * KERNELS_TRELLIS_STATES
};

typedef struct kernels_trellis {
  int planes;
  int even_bits;
  int8_t taps[2][KERNELS_TRELLIS_WINDOW];
  // The scale for a column of Gaussian numbers of variance 1, at which their error is least.
  float deviation;
} kernels_trellis;

// The codes of two, two and a half and three bits. Gaussian numbers of variance 1 lose 0.081, 0.040
// and 0.020 of it.
static const kernels_trellis kernels_trellis_codes[3] = {
    {4, 2,
     {{3, -2, 0, 0, 0, 0, 3, 4, -5, -6, -4, 4}, {-6, -3, -4, -1, 0, 1, 1, 4, 0, 5, -3, 3}},
     1.536f},
    {5, 2,
     {{-5, 3, 2, 2, 6, 1, -3, 0, 0, 1, -3, -5}, {7, -4, -2, -3, 0, 0, 2, -3, -2, 0, -3, -5}},
     1.574f},
    {6, 3,
     {{3, 5, 4, 0, 1, 0, 0, 3, -2, -4, -2, -7}, {-5, -3, 3, -3, 0, 0, 0, -5, 0, 4, 2, -6}},
     1.507f},
};

#endif
