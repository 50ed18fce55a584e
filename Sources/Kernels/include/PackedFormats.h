#ifndef DUET_PACKED_FORMATS_H
#define DUET_PACKED_FORMATS_H

// Packed matrices: the layout in memory and in files, the same for every processor.
//
// A matrix W (rows, columns) is cut into panels of 16 rows. Rows are padded to a multiple of 16 (of
// 64 for trellis codes), columns to a multiple of the group size or, when there is one scale per
// row, of the columns of the format's block: int2 16, int3 32, int4 8, int8 4, e8p 32, trellis codes
// 32. Codes of padding may have any value; writers put zeros. Padded rows have scales and offsets of
// zero, and the activations of padded columns are zero. Within a panel the blocks follow each other
// in the order of their columns, so a panel is one run of bytes, and panel p begins at p times the
// size of a panel. Trellis codes, at the end of this list, have four panels in one run.
//
// In every block byte 4r + i belongs to row r of the panel, r < 16 and i < 4: a vector of 64 bytes has
// one row in each lane of 32 bits. Instructions that multiply four bytes by four bytes and add the
// products to a lane need this order, and no sum crosses lanes.
//
// int2: 16 rows x 16 columns in 64 bytes, value scale * (code - 1.5)
//     byte 4r + i:   bit  7 6 | 5 4 | 3 2 | 1 0
//                  column 12+i  8+i   4+i    i       of row r
//   Row 0 with codes 0 1 2 3 3 2 1 0 in columns 0 ... 7 and zeros after them: byte 0 holds columns 0
//   and 4, 0 | 3 << 2 = 0x0c; byte 1 columns 1 and 5, 1 | 2 << 2 = 0x09; byte 2 is 2 | 1 << 2 = 0x06,
//   byte 3 is 3 | 0 << 2 = 0x03.
//
// int3: 16 rows x 32 columns in 192 bytes, three vectors A, B, C, value scale * (code - 3.5)
//     byte 4r + i of A:  bit    7 6      | 5 4 3 | 2 1 0
//                     high of 24+i (2,1)   4+i       i
//     byte 4r + i of B:      high of 28+i  12+i     8+i
//     byte 4r + i of C:  bit   7     |   6     | 5 4 3 | 2 1 0
//                     low of 28+i  low of 24+i  20+i     16+i
//   Six of eight codes are whole in one byte. A mask is enough to make such a code a factor, which
//   is 1 or 8 times the code. Separate planes of low and high bits would need more operations.
//   Row 0 with codes 7 0 0 0 5 0 0 0 in columns 0 ... 7 and 6 in column 24: byte 0 of A is
//   7 | 5 << 3 | (6 >> 1) << 6 = 0xef, byte 0 of C is (6 & 1) << 6 = 0x00.
//
// int4: 16 rows x 8 columns in 64 bytes, value scale * (code - 7.5)
//     byte 4r + i:   bit 7 6 5 4 | 3 2 1 0
//                    column 4+i      i
//   Row 0 with codes 0 ... 7 in columns 0 ... 7: bytes 0x40, 0x51, 0x62, 0x73.
//
// int8: 16 rows x 4 columns in 64 bytes, value scale * (code - 128)
//     byte 4r + i: column i
//   Row 0 with codes 1 2 3 4, row 1 with codes 5 6 7 8: bytes 1 2 3 4 5 6 7 8.
//
// e8p: 16 rows x 32 columns in 128 bytes: 64 index bytes, then 64 sign bytes; byte 4r + k of both is
// the code of columns 8k ... 8k+7 of row r, value scale * (a point of E8 + 1/4 or E8 - 1/4).
//   The codebook is E8P of Tseng et al., QuIP#, arXiv:2402.04396, section 4.2: the half-integer
//   patterns of absolute values 1/2, 3/2, 5/2 with squared norm at most 10 and 29 of norm 12, with
//   all signs that make the sum even, shifted by +1/4 or -1/4. Each coordinate is
//     value_i = t_i - 5/2 + (1/4 or -1/4),   t_i in 0 ... 5,   sum of t_i even,
//   so |t_i - 5/2| is the pattern and the parity of t is that of the plane of its lowest bits.
//   Index byte m, low nibble l and high nibble h, names the pattern. With the bits b_l, b_h set in the
//   nibbles, f = 10 b_l + (5 if b_l > 2) and g = 10 b_h, but 5 for h = 1:
//   - f + g <= 50: coordinate i is 3/2 where bit i of m is set, else 1/2. These are the masks of at
//     most four bits, and 29 of five: two in l and three in h, one in l and four in h, and 0x1f;
//   - else number j = first(l) + rank(h) = 8p + q is the pattern with 5/2 at p and, unless q = p, 3/2
//     at q. rank counts h among those of two bits and more (3 5 6 7 9 10 11 12 13 14 15: 0 ... 10),
//     then 2, 4, 8: 11, 12, 13; first(15) = 0, first(7 11 13 14) = 14 25 36 47 and
//     first(3 5 6 9 10 12) = 48 ... 53.
//   Sign byte: an odd number of set bits means the shift is -1/4, and then bit 7 is to be flipped;
//   after that bit i is the lowest bit of t_i: 1/2 has t = 2 + bit, 3/2 has 4 - 3 bit, 5/2 has 5 bit.
//   Index 0x01 and sign 0x00: pattern 3/2 1/2 1/2 ..., t = 4 2 2 2 2 2 2 2, shift +1/4, values
//   1.75 -0.25 -0.25 ... ; sign 0x80 is odd: bit 7 flips to 0, the same t and the shift -1/4.
//
// trellis2, trellis2.5, trellis3: tiles of 64 rows, 32 pairs; P = 4, 5, 6 planes, bits of a pair and
// column. Trellis.h has the values; there is one scale per row, and no offsets.
//   The codes of a tile, of four panels, are one run of 4 P bytes for each column. It is cut into
//   groups of 128 columns, the last may be shorter; group g begins at byte 512 P g. In a group of n
//   columns plane p is 4 n bytes from byte 4 n p on, blocks of 32 bytes for eight columns each:
//     byte 2i + h of a block, i < 16 and h < 2:   bit j is bit p of pair 16h + i in column j, set
//                                                 for +1
//   In a vector with lanes of 16 bits the low bytes then belong to pairs 0 ... 15, the high bytes to
//   pairs 16 ... 31.
//   trellis2 with 160 columns: 2560 bytes in a tile, group 0 of 128 columns from byte 0, planes at
//   0, 512, 1024 and 1536, group 1 of 32 columns from byte 2048, planes at 2048, 2176, 2304 and
//   2432.
//   Row 35 is the odd row of pair 17, h = 1 and i = 1, byte 3 of a block. Column 140 is column 12 of
//   group 1: bit 4 in block 1. Bit 2 of that pair and column is bit 4 of byte 2304 + 32 + 3 = 2339.
//
// Scales are F16, (panels, groups, 16): one number per row and group of columns, with one scale per
// row (panels, 1, 16). A matrix with offsets has them in the same layout, and its values are
// scale * code + offset instead.

#include "Trellis.h"

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

enum {
  KERNELS_PANEL_ROWS = 16,
  // Columns of an int8 activation group, and the step in which their sums are kept.
  KERNELS_ACTIVATION_GROUP = 128,
  KERNELS_SUM_COLUMNS = 32,
  // Tokens that one call of a token-block product takes at most.
  KERNELS_TOKEN_BLOCK = 96,
  // The bytes of the tables of a group of activations, see bit_tables.
  KERNELS_TABLE_BYTES = 1024
};

typedef enum kernels_format {
  KERNELS_INT2,
  KERNELS_INT3,
  KERNELS_INT4,
  KERNELS_INT8,
  KERNELS_E8P,
  KERNELS_TRELLIS2,
  KERNELS_TRELLIS2_5,
  KERNELS_TRELLIS3,
} kernels_format;

enum { KERNELS_FORMAT_COUNT = 8 };

// A packed matrix. group_size is 32, 64 or 128, or 0 for one scale per row. `columns` is the padded
// number, a multiple of group_size or, where that is 0, of the format's block. offsets are null
// unless the grid is asymmetric; e8p has none. Trellis codes have group_size 0 and no offsets. codes
// need no alignment, but with 64 bytes they are faster.
typedef struct kernels_packed {
  kernels_format format;
  const uint8_t *codes;
  const uint16_t *scales;
  const uint16_t *_Nullable offsets;
  size_t columns;
  size_t group_size;
} kernels_packed;

// Quantised activations of `tokens` vectors, in groups of 128 numbers, the last padded with zeros:
// number i of group g of token t is scales[g * tokens + t] * values[(g * tokens + t) * 128 + i],
// and sums[(g * 4 + k) * tokens + t] is the sum of its values 32k ... 32k + 31.
//
// `tables` may be what bit_tables makes of the values when there is one token, else it is null. Only
// packed_matvec of trellis codes reads it; without, it makes the tables itself, for every tile.
typedef struct kernels_activations {
  const int8_t *values;
  const float *scales;
  const int32_t *sums;
  size_t tokens;
  const uint8_t *_Nullable tables;
} kernels_activations;

// One term of a sum of products: y += W x.
typedef struct kernels_term {
  kernels_packed weight;
  kernels_activations activations;
} kernels_term;

// sums[(p * tokens + t) * 16 + r] += row r of panel first_panel + p of W times token first_token + t,
// for p < panels and t < tokens. With trellis codes first_panel is a multiple of 4.
//
// Per group of columns, the smaller of the weight's and the activations', the integer dot product is
// exact:
//   dot = sum of q x,   q = 2 code - 3, 2 code - 7, 2 code - 15, code - 128 and 4 value for the first
//   five formats (with offsets q = code), the q of Trellis.h for trellis codes,
// then, in the order of the groups, s += fl(weight scale * unit * activation scale) * dot, with the
// unit 1/2, 1/2, 1/2, 1 and 1/4 (with offsets 1), and 1/16 for trellis codes, as one fused
// multiply-add; with offsets then also s += fl(offset * activation scale) * sum of x. With one scale
// per row the weight scale is left out of the sum, which starts from zero, and
// sums += weight scale * unit * s at the end, fused too (with offsets, a second sum s' of activation
// scale * sum of x, and sums += offset * s').
// Every set computes exactly this, so all sets and token counts agree to the last bit.
//
// No overflow: |q| <= 255, |x| <= 127 and at most 128 columns, so |dot| < 2^22.1, which a float holds
// exactly too. The file of each set's instructions says why its intermediate sums do not overflow.
typedef void (*kernels_packed_sum)(const kernels_packed *weight, size_t first_panel, size_t panels,
                                   const kernels_activations *activations, size_t first_token,
                                   size_t tokens, float *sums);

#pragma clang assume_nonnull end

// The code of a trellis format, and the tap of its even (parity 0) or odd rows for a bit so many
// places before the last one of the window.
static inline kernels_trellis kernels_trellis_code(kernels_format format) {
  return kernels_trellis_codes[format - KERNELS_TRELLIS2];
}
static inline int kernels_trellis_tap(kernels_format format, int parity, int age) {
  return kernels_trellis_codes[format - KERNELS_TRELLIS2].taps[parity][age];
}

#endif
