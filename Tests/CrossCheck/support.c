// Failures, memory with an end, and random numbers.

#include "check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const size_t lengths[LENGTH_COUNT] = {0,  1,  2,  3,  4,   5,   7,   8,   9,   15,  16,  17,
                                      31, 32, 33, 63, 64,  65,  127, 128, 129, 255, 257, 1000};

static const char *current_set, *current_function;

void begin(const char *set, const char *function) {
  current_set = set;
  current_function = function;
}

void require(int holds, const char *format, ...) {
  if (holds) return;
  va_list arguments;
  va_start(arguments, format);
  printf("%s %s: ", current_set, current_function);
  vprintf(format, arguments);
  printf("\n");
  va_end(arguments);
  exit(1);
}

void require_same_floats(const float *actual, const float *expected, size_t n) {
  if (memcmp(actual, expected, n * sizeof *actual) == 0) return;
  for (size_t i = 0; i < n; i++)
    require(memcmp(actual + i, expected + i, sizeof *actual) == 0 ||
                (isnan(actual[i]) && isnan(expected[i])),
            "number %zu of %zu is %a, expected %a", i, n, (double)actual[i], (double)expected[i]);
}

void require_near(double actual, double expected, double bound, size_t index) {
  require(fabs(actual - expected) <= bound || (isnan(actual) && isnan(expected)) ||
              actual == expected,
          "number %zu is %a, expected %a, off by %g where %g is allowed", index, actual, expected,
          fabs(actual - expected), bound);
}

// Blocks handed out since the last release_all.
static struct {
  void *start;
  size_t size;
} blocks[4096];
static size_t block_count;

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif

void *memory(size_t size, size_t offset) {
  require(block_count < sizeof blocks / sizeof *blocks, "too many blocks");
#if defined(ADDRESS_SANITIZER)
  const size_t whole = 0;
  void *start;
  require(posix_memalign(&start, 64, offset + size + (offset + size == 0)) == 0, "no memory");
  char *begin = (char *)start + offset;
#else
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const size_t used = (offset + size + 63) / 64 * 64;
  const size_t whole = (used + page - 1) / page * page + page;
  void *start = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(start != MAP_FAILED, "no memory");
  require(mprotect((char *)start + whole - page, page, PROT_NONE) == 0, "no guard page");
  char *begin = (char *)start + whole - page - used + offset;
#endif
  blocks[block_count].start = start;
  blocks[block_count++].size = whole;
  return begin;
}

void release_all(void) {
  while (block_count > 0) {
    block_count--;
#if defined(ADDRESS_SANITIZER)
    free(blocks[block_count].start);
#else
    munmap(blocks[block_count].start, blocks[block_count].size);
#endif
  }
}

// Marsaglia, Xorshift RNGs, Journal of Statistical Software 8 (2003), with shifts 13, 7 and 17.
uint32_t random_word(void) {
  static uint64_t state = 0x9e3779b97f4a7c15;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 32);
}

float random_float(void) { return (float)(int32_t)random_word() * 0x1p-31f; }

float *random_floats(size_t n, size_t offset, int spread) {
  float *x = memory(n * sizeof *x, offset);
  for (size_t i = 0; i < n; i++)
    x[i] = ldexpf(random_float(), spread ? -(int)(random_word() % (uint32_t)spread) : 0);
  return x;
}

uint16_t *random_halves(size_t n, size_t offset) {
  uint16_t *x = memory(n * sizeof *x, offset);
  for (size_t i = 0; i < n; i++)
    do x[i] = (uint16_t)random_word();
    while ((x[i] & 0x7c00) == 0x7c00);
  return x;
}

uint16_t *random_bfloats(size_t n, size_t offset) {
  uint16_t *x = memory(n * sizeof *x, offset);
  // Exponents 2^-15 ... 2^16 of the 2^-126 ... 2^127: no sum of products overflows.
  for (size_t i = 0; i < n; i++)
    x[i] = (uint16_t)((random_word() & 0x807f) | (112 + random_word() % 32) << 7);
  return x;
}

double half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  const double magnitude = exponent == 31  ? (fraction ? NAN : INFINITY)
                           : exponent == 0 ? ldexp(fraction, -24)
                                           : ldexp(fraction + 1024, exponent - 25);
  return bits >> 15 ? -magnitude : magnitude;
}

double bfloat_value(uint16_t bits) {
  const int exponent = bits >> 7 & 255, fraction = bits & 0x7f;
  const double magnitude = exponent == 255 ? (fraction ? NAN : INFINITY)
                           : exponent == 0 ? ldexp(fraction, -133)
                                           : ldexp(fraction + 128, exponent - 134);
  return bits >> 15 ? -magnitude : magnitude;
}
