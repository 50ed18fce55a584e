// The compression function of SHA-256: FIPS 180-4, sections 4.1.2 and 6.2.2.

#include "include/Kernels.h"

// The constants K of FIPS 180-4, section 4.2.2.
static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotated(uint32_t word, int count) {
  return word >> count | word << (32 - count);
}

void kernels_sha256_portable(uint32_t *state, const uint8_t *blocks, size_t count) {
  for (; count > 0; count--, blocks += 64) {
    uint32_t w[64];
    for (int t = 0; t < 16; t++)
      w[t] = (uint32_t)blocks[4 * t] << 24 | (uint32_t)blocks[4 * t + 1] << 16 |
             (uint32_t)blocks[4 * t + 2] << 8 | blocks[4 * t + 3];
    for (int t = 16; t < 64; t++) {
      const uint32_t x = w[t - 15], y = w[t - 2];
      w[t] = (rotated(y, 17) ^ rotated(y, 19) ^ y >> 10) + w[t - 7] +
             (rotated(x, 7) ^ rotated(x, 18) ^ x >> 3) + w[t - 16];
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t++) {
      const uint32_t first = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
                             ((e & f) ^ (~e & g)) + constants[t] + w[t];
      const uint32_t second = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) +
                              ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + first;
      d = c, c = b, b = a, a = first + second;
    }
    const uint32_t letters[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) state[i] += letters[i];
  }
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

// Whether the processor has the SHA extensions, leaf 7, bit 29 of EBX, and SSE4.1, leaf 1, bit 19 of
// ECX.
static int has_sha(void) {
  unsigned eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & 1u << 19)) return 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & 1u << 29);
}

// The instructions keep the letters of FIPS 180-4 as (f, e, b, a) and (h, g, d, c), lowest lane
// first, and do two rounds at a time.
__attribute__((target("sha,sse4.1"))) static void compress(uint32_t *state, const uint8_t *blocks,
                                                           size_t count) {
  const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
  const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
  __m128i feba = _mm_alignr_epi8(badc, hgfe, 8);
  __m128i hgdc = _mm_blend_epi16(hgfe, badc, 0xF0);
  for (; count > 0; count--, blocks += 64) {
    const __m128i first = feba, second = hgdc;
    // Four words of the message schedule each; words[i % 4] are 4 i ... 4 i + 3.
    __m128i words[4];
    for (int i = 0; i < 4; i++)
      words[i] =
          _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(blocks + 16 * i)), big_endian);
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i++) {
      const __m128i sum = _mm_add_epi32(words[i % 4],
                                        _mm_load_si128((const __m128i *)(constants + 4 * i)));
      hgdc = _mm_sha256rnds2_epu32(hgdc, feba, sum);
      feba = _mm_sha256rnds2_epu32(feba, hgdc, _mm_shuffle_epi32(sum, 0x0E));
      if (i < 12) {
        // W[t] = sigma1(W[t - 2]) + W[t - 7] + sigma0(W[t - 15]) + W[t - 16] for t = 4 i + 16 ...
        const __m128i last = words[(i + 3) % 4];
        const __m128i seventh = _mm_alignr_epi8(last, words[(i + 2) % 4], 4);
        const __m128i part = _mm_sha256msg1_epu32(words[i % 4], words[(i + 1) % 4]);
        words[i % 4] = _mm_sha256msg2_epu32(_mm_add_epi32(part, seventh), last);
      }
    }
    feba = _mm_add_epi32(feba, first);
    hgdc = _mm_add_epi32(hgdc, second);
  }
  const __m128i abef = _mm_shuffle_epi32(feba, 0x1B);
  const __m128i ghcd = _mm_shuffle_epi32(hgdc, 0xB1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(abef, ghcd, 0xF0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(ghcd, abef, 8));
}

void kernels_sha256(uint32_t *state, const uint8_t *blocks, size_t count) {
  // 0 is not known yet. Threads that find out at the same time write the same value.
  static _Atomic int known;
  if (known == 0) known = has_sha() ? 1 : 2;
  if (known == 1)
    compress(state, blocks, count);
  else
    kernels_sha256_portable(state, blocks, count);
}

#else

void kernels_sha256(uint32_t *state, const uint8_t *blocks, size_t count) {
  kernels_sha256_portable(state, blocks, count);
}

#endif
