#ifndef DUET_CROSS_CHECK_H
#define DUET_CROSS_CHECK_H

// A check of every kernel of every set this processor can run, in C alone so that it can be built
// for another processor and run in an emulator: Scripts/test-neon builds and runs it.
//
// Integer kernels, conversions and packed products must equal `portable` bit for bit. Float
// kernels, those of `portable` among them, must be as near to a sum in double as the bound at each
// check says. Whatever is read or written lies in memory that ends where the kernel's contract says
// it ends.

#include "Kernels.h"

// Half a unit in the last place of 1: the largest relative rounding error of float arithmetic.
#define UNIT 0x1p-24

// Names what is being checked, for the message of a failure.
void begin(const char *set, const char *function);
// Ends the program with that name, and the formatted reason, unless `holds`.
void require(int holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Fails unless the n floats are the same bits, or both NaN.
void require_same_floats(const float *actual, const float *expected, size_t n);
// Fails unless |actual - expected| <= bound, or both are NaN.
void require_near(double actual, double expected, double bound, size_t index);

// Memory of exactly `size` bytes, the first of them `offset` bytes behind a multiple of 64: reading
// or writing behind it is reported by the address sanitizer, or else by a page that cannot be
// touched (which sees only what goes beyond the next multiple of 64 and of the page). Freed by
// release_all.
void *memory(size_t size, size_t offset);
void release_all(void);

// A sequence that is the same in every run.
uint32_t random_word(void);
// Uniform in -1 ... 1.
float random_float(void);
// n floats, of magnitudes that differ by powers of two up to 2^spread.
float *random_floats(size_t n, size_t offset, int spread);
// The same as their F16 or BF16 bits, all finite.
uint16_t *random_halves(size_t n, size_t offset);
uint16_t *random_bfloats(size_t n, size_t offset);

// The number of the bits, by the definition of the format.
double half_value(uint16_t bits);
double bfloat_value(uint16_t bits);

// Lengths around every vector width and unrolling step; LENGTH_COUNT of them.
enum { LENGTH_COUNT = 24 };
extern const size_t lengths[LENGTH_COUNT];

void check_conversions(const kernels_set *set);
void check_dense(const kernels_set *set);
void check_elementwise(const kernels_set *set);
void check_attention(const kernels_set *set);

// Against `portable`.
void check_hadamard(const kernels_set *set, const kernels_set *portable);
void check_quantization(const kernels_set *set, const kernels_set *portable);
void check_packed(const kernels_set *set, const kernels_set *portable);
void check_lattice(const kernels_set *set, const kernels_set *portable);
void check_rounding(const kernels_set *set, const kernels_set *portable);
void check_trellis_rounding(const kernels_set *set, const kernels_set *portable);
void check_products(const kernels_set *set, const kernels_set *portable);

#endif
