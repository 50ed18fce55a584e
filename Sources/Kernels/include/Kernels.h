#ifndef DUET_KERNELS_H
#define DUET_KERNELS_H

// The contract of the kernels: pure functions over pointers, with one table of functions for each
// family of processors.
//
// No kernel allocates, does I/O or changes a global. Unless a comment says otherwise, pointers need
// only the alignment of their element type, lengths may be zero, and outputs may not overlap inputs.
//
// Accuracy: a sum of n products of floats differs from the exact sum by at most
// n * 2^-24 * sum |a_i b_i|. Each set has its own order of sums, and always uses that order: a
// result depends on the lengths alone, never on threads or addresses. The portable set sums in
// double; the other sets are tested against it.

#include "PackedFormats.h"

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// A row-major matrix times a few vectors:
//   y[t * y_stride + r] = sum over c of w[r * columns + c] * x[t * x_stride + c]
// for r < rows and t < tokens. w is (rows, columns) of the element type in the function's name; f16
// and bf16 are given as 16 bits. tokens is 1 ... KERNELS_MAX_TOKENS, and w is read once for all of
// them. The sum of a token does not depend on how many tokens share the call.
enum { KERNELS_MAX_TOKENS = 4 };

typedef void (*kernels_matvec)(const void *w, size_t rows, size_t columns, const float *x,
                               size_t x_stride, size_t tokens, float *y, size_t y_stride);

// The keys and values of one key-value head.
//
// Keys are in blocks of KERNELS_KEY_LANES positions, each (head_size, KERNELS_KEY_LANES): number d
// of the key at position p is number
//   (p / KERNELS_KEY_LANES * head_size + d) * KERNELS_KEY_LANES + p % KERNELS_KEY_LANES
// of `keys`. A vector then has one number of several keys, and no sum crosses lanes. Values are
// (position, head_size), row-major.
//
// In int8 the key of position p is key_scales[p] times its bytes, a value value_scales[p] times; in
// the other types the scales are not read. Blocks with a position that is seen are read whole, with
// their scales, and up to KERNELS_KEY_LANES - 1 numbers after a value. What is read there does not
// change a result.
enum { KERNELS_KEY_LANES = 16, KERNELS_KEY_BLOCK = 64, KERNELS_MAX_QUERIES = 64 };

typedef struct kernels_head {
  size_t head_size;
  const void *keys;
  const void *values;
  const float *_Nullable key_scales;
  const float *_Nullable value_scales;
} kernels_head;

// The softmax of one query over a part of its keys. With s_j = log2(e) * scale * q . k_j, `maximum`
// is at least every s_j, or -FLT_MAX without a key, and `sum` is the sum of 2^(s_j - maximum).
typedef struct kernels_softmax {
  float maximum;
  float sum;
} kernels_softmax;

// The comparison of two rows of logits, x and y: log(sum of exp(x[i])), log(sum of exp(y[i])), and the
// mean of x - y by the probabilities of x, sum of softmax(x)[i] * (x[i] - y[i]).
typedef struct kernels_comparison {
  double x_normalizer;
  double y_normalizer;
  double mean_difference;
} kernels_comparison;

// One tile of attention queries against the keys and values of one key-value head.
//
// Query i, i < query_count <= KERNELS_MAX_QUERIES, is the head_size floats at queries[i], already
// rotated. It sees the keys first[i] <= j < last[i], and its output, head_size floats at outputs[i],
// is
//   sum_j softmax_j(scale * q . k_j) v_j
// by the running-maximum recurrence of Milakov and Gimelshein, arXiv:1805.02867, in blocks that
// begin at multiples of KERNELS_KEY_BLOCK. An output does not depend on the other queries of the
// tile. scratch holds kernels_attend_scratch(head_size) floats. Outputs overlap nothing.
//
// Without `parts` each query sees at least one key. With `parts` the keys may be a part of those
// that a query sees: outputs[i] = sum_j 2^(s_j - maximum) v_j, parts[i] has maximum and sum.
typedef void (*kernels_attend)(const kernels_head *head, const float *_Nonnull const *_Nonnull queries,
                               size_t query_count, float scale, const size_t *first,
                               const size_t *last, float *_Nonnull const *_Nonnull outputs,
                               kernels_softmax *_Nullable parts, float *scratch);

// The floats of scratch of a kernels_attend: queries and outputs, and a block of keys or values.
static inline size_t kernels_attend_scratch(size_t head_size) {
  return (size_t)(2 * KERNELS_MAX_QUERIES + KERNELS_KEY_BLOCK) * (head_size + KERNELS_KEY_LANES);
}

// A group of activations whose largest magnitude a is below this counts as zeros, because 127 / a
// overflows when a is below about 2^-121. No activation of a working model is so small.
#define KERNELS_SMALLEST_ACTIVATION 0x1p-100f

typedef struct kernels_set {
  const char *name;

  kernels_matvec _Nonnull matvec_f32;
  kernels_matvec _Nonnull matvec_f16;
  kernels_matvec _Nonnull matvec_bf16;

  // y[i] = x[i] exactly, for n numbers.
  void (*widen_f16)(const uint16_t *x, size_t n, float *y);
  void (*widen_bf16)(const uint16_t *x, size_t n, float *y);
  // y[i] = x[i] rounded to nearest, ties to even; beyond 65504 infinity.
  void (*narrow_f16)(const float *x, size_t n, uint16_t *y);
  // y[i] = x[i] * (127 / a) rounded to nearest, ties to even, with a = max |x[j]|; returns the scale
  // a / 127. As in quantize_int8, y is zeros when a is below KERNELS_SMALLEST_ACTIVATION, with scale
  // 0, and when a number is not finite, with scale NaN. Bit-identical in all sets.
  float (*narrow_int8)(const float *x, size_t n, int8_t *y);

  // y[i] += x[i].
  void (*add)(const float *x, size_t n, float *y);

  // y[i] = w[i] * x[i] / sqrt(mean of x[j]^2 + epsilon); y may be x. Zhang and Sennrich,
  // arXiv:1910.07467, equation 4.
  void (*rms_norm)(const float *x, const float *w, size_t n, float epsilon, float *y);

  // Rotates the pair (i, i + head_size / 2) of each of `heads` heads in place:
  //   x'[i]                 = x[i] * cosine[i] - x[i + head_size / 2] * sine[i]
  //   x'[i + head_size / 2] = x[i + head_size / 2] * cosine[i] + x[i] * sine[i]
  // Su et al., arXiv:2104.09864, equation 34, paired as in Hugging Face checkpoints.
  void (*rotate)(float *x, size_t heads, size_t head_size, const float *cosine, const float *sine);

  // y[i] = silu(gate[i]) * up[i], silu(a) = a / (1 + exp(-a)). y may be gate.
  void (*silu_product)(const float *gate, const float *up, size_t n, float *y);

  // The three steps of the randomised Hadamard transform, Tseng et al., arXiv:2402.04396,
  // section 3: signs, butterflies along the inner axis, and a dense factor along the outer axis.
  // The results have the same bits in every set, but where a result is NaN, its bits may differ.

  // y[i] = signs[i] * x[i], signs +1 or -1; y may be x.
  void (*multiply_signs)(const int8_t *signs, const float *x, size_t n, float *y);

  // Replaces each of `rows` contiguous rows of n floats, n = 1, 2, 4, 8, ..., by
  //   scale * (H_n row),   H_1 = (1),   H_2m = (H_m H_m; H_m -H_m),
  // by log2 n stages of butterflies (u, v) -> (u + v, u - v) of numbers at distance 1, 2, 4, ...
  // n / 2, in this order; the product by scale comes last. Every sum and every product is rounded,
  // so a number of the result differs from its exact value by at most
  // (log2 n + 1) * 2^-24 * scale * sum |row_i|, without second-order terms and underflow.
  void (*hadamard)(float *x, size_t rows, size_t n, float scale);

  // The dense factor for sizes that are not a power of two, along the outer axis:
  //   y[i * stride + c] = sum over k of factor[i * inputs + k] * x[k * stride + c]
  // for i < outputs, k < inputs and c < columns; stride is at least columns. Each sum starts from
  // zero and takes one fused multiply-add per term, in the order of k. A number does not depend on
  // how many outputs and columns share the call, so a caller may divide both among threads. Numbers
  // between the rows of x may be read, but do not change the result.
  void (*mix_rows)(const float *factor, size_t outputs, size_t inputs, const float *x,
                   size_t columns, size_t stride, float *y);

  kernels_attend _Nonnull attend_f32;
  kernels_attend _Nonnull attend_f16;
  kernels_attend _Nonnull attend_int8;

  // log(sum of exp(x[i])), n > 0: the normaliser of log-softmax, in double from float exponentials.
  double (*log_sum_exp)(const float *x, size_t n);

  // Both normalisers and the mean difference of two rows of n > 0 logits, all in double.
  void (*compare_logits)(const float *x, const float *y, size_t n, kernels_comparison *result);

  // 1 when every x[i] is finite, else 0.
  int (*all_finite)(const float *x, size_t n);

  // Sums of products with packed matrices, one function for each kernels_format: packed_matvec for
  // one token, packed_matmul for 1 ... KERNELS_TOKEN_BLOCK tokens. The contract is at
  // kernels_packed_sum. Activations come from quantize_int8, and for e8p then go through
  // reorder_e8p.
  kernels_packed_sum _Nonnull packed_matvec[KERNELS_FORMAT_COUNT];
  kernels_packed_sum _Nonnull packed_matmul[KERNELS_FORMAT_COUNT];

  // Quantises n numbers per group of 128, symmetric by the largest magnitude: with a = max |x[i]|,
  //   value = x[i] * (127 / a) rounded to nearest, ties to even;   scale = a / 127,
  // and fills the last group with zeros. The values of group g go to
  // values + g * group_stride * 128, its scale to scales[g * group_stride], and the sum of its
  // values 32k ... 32k + 31 to sums[(4g + k) * group_stride], k < 4. group_stride is the number of
  // tokens that share a kernels_activations. A group with a below KERNELS_SMALLEST_ACTIVATION has
  // scale 0. A group with a NaN or an infinity has scale NaN, so every product with it is NaN.
  // Bit-identical in all sets.
  void (*quantize_int8)(const float *x, size_t n, size_t group_stride, int8_t *values,
                        float *scales, int32_t *sums);

  // The tables by which one token is multiplied with trellis codes, KERNELS_TABLE_BYTES for every 128
  // of the n values. Each eight values have 64 bytes: low bytes of quad 0, low bytes of quad 1, high
  // bytes of quad 0, high bytes of quad 1. A quad is four values x_j. Byte m < 16 of the low ones is
  // entry % 64, of the high ones entry / 64, with
  //   entry = 512 + sum over j < 4 of (bit j of m is set ? x_j : -x_j),
  // which is from 4 to 1020, because no |x_j| is more than 127. n is a multiple of 128.
  void (*bit_tables)(const int8_t *values, size_t n, uint8_t *tables);

  // The order in which e8p reads activations: y[32b + 4s + k] = x[32b + 8k + s], n a multiple of 32.
  void (*reorder_e8p)(const int8_t *x, size_t n, int8_t *y);

  // Rounds eight numbers of each of `rows` rows to the codebook of e8p, for r < rows and i < 8:
  //   y[i * stride + r] = scales[r] * point_i,   point nearest to the eight x[i * stride + r] / scales[r]
  // in the Euclidean norm, but for rounding: with v = x * fl(1 / scale) the squared distance is
  // within 2^-16 * sum (1 + |v_i|) of the least. A scale of 0 gives zeros. Among points at the same
  // distance, those shifted by +1/4 come first, then those with at most four 3/2, the fewest first,
  // then those with 5/2, then those with five 3/2. Among equal coordinates, the first gets the
  // larger number and the flipped sign. Bit-identical in all sets.
  //
  // x must be finite, scales 0 or at least 2^-64, |v| below 2^120. stride is a multiple of 16. x
  // and scales may be read, and y written, up to the next multiple of 16 rows. y may be x.
  void (*round_e8p)(const float *x, const float *scales, size_t rows, size_t stride, float *y);

  // The errors of sixteen rows of a group that is rounded to the nearest scale * (code - zero_point),
  // codes from 0 to largest_code, for r < 16:
  //   errors[r] = sum over c < columns of weights[c] (round(x[c * stride + r]) - x[c * stride + r])^2
  // A scale of 0 rounds to zeros. Sums are in single precision, in the order of the columns.
  // Bit-identical in all sets. x must be finite, and x / scale below 2^22.
  void (*integer_errors)(const float *x, size_t columns, size_t stride, const float *weights,
                         const float *scales, float zero_point, float largest_code, float *errors);

  // Rounds a column: y[r] = scales[r] (code - zero_point), the nearest to x[r], for r < rows.
  // Bit-identical in all sets, but for the sign of zeros. y may be x.
  void (*round_integers)(const float *x, const float *scales, size_t rows, float zero_point,
                         float largest_code, float *y);

  // Rounds a column that is divided by a number, y[r] = round(x[r] / divisor), and returns the sum of
  // (x[r] - divisor y[r])^2. Row r is added to the sum r modulo 16, and the sixteen sums in order.
  // Bit-identical in all sets. y is not x.
  float (*round_divided)(const float *x, float divisor, const float *scales, size_t rows,
                         float zero_point, float largest_code, float *y);

  // Rounds a tile of a column, 64 numbers, to a trellis code: of all bits that go around, b_0 ...
  // b_(32 planes - 1), it takes some for which
  //   sum over r < 64 of (scales[r] q_r - x[r] / unit)^2
  // is near the least, and writes y[r] = fl(scales[r] * unit * q_r) and, where bits is not null,
  // bits[i] = b_i, 0 or 1. A row with scale 0 has no term and y[r] = 0; with all scales 0 the bits are 0.
  // It is the least among the bits with the same last 12 - even_bits, and these are chosen by rounding
  // the rows 32 ... 63, 0 ... 31 as if they were not closed to a circle. Bit-identical in all sets.
  //
  // x must be finite, scales 0 or between 2^-64 and 2^64, and |x| below 2^40 times the largest scale.
  // scratch holds KERNELS_TRELLIS_SCRATCH floats, and is faster when aligned to 64 bytes. y may be x.
  void (*round_trellis)(kernels_format format, const float *x, const float *scales, float *scratch,
                        float *y, uint8_t *_Nullable bits);

  // Multiplies bytes in registers with the set's dot-product instruction and returns the number of
  // products. Prompt processing cannot be faster. `sink` receives a result, so that the compiler
  // keeps the loop.
  uint64_t (*multiply_bytes)(size_t rounds, int32_t *sink);

  // The sum of the n bytes, taken as 64-bit words (n a multiple of 64, x 64-byte aligned): the plain
  // read loop that memory-bound kernels are measured against. `bench` uses it.
  uint64_t (*read_bytes)(const void *x, size_t n);
} kernels_set;

// The sets this processor can run, best first, `portable` last; `count` receives their number.
const kernels_set *_Nonnull const *_Nonnull kernels_supported(size_t *count);

// y[t * y_stride + i] = the sum over `terms` of W x at row first_row + i and token first_token + t,
// for i < rows and t < tokens. Terms are added in their order, and each number of y is written
// once. first_row is a multiple of 16, and of 64 when a term has trellis codes; all terms have at
// least first_row + rows rows. tokens is at most KERNELS_TOKEN_BLOCK. One token uses packed_matvec,
// more use packed_matmul; both give the same bits.
void kernels_packed_product(const kernels_set *set, const kernels_term *terms, size_t term_count,
                            size_t first_row, size_t rows, size_t first_token, size_t tokens,
                            float *y, size_t y_stride);

// Finds the bits of a tile of trellis codes whose 64 values are q, where 127 stands for any value, and
// writes them as bytes of 0 or 1, 32 times `planes` of them. Returns 1, or 0 when no bits have these
// values. After a few rows with values only a few of the 2^12 windows are left, so a tile takes less
// time than rounding does; rows of any value keep them all.
int kernels_trellis_path(kernels_format format, const int8_t *q, uint8_t *bits);

// The compression function of SHA-256 for `count` blocks of 64 bytes, by the instructions for it where
// the processor has them, and without; `state` has the letters a ... h of FIPS 180-4.
void kernels_sha256(uint32_t *state, const uint8_t *blocks, size_t count);
void kernels_sha256_portable(uint32_t *state, const uint8_t *blocks, size_t count);

#pragma clang assume_nonnull end

// Tells the processor that this thread waits in a loop.
static inline void kernels_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

#endif
