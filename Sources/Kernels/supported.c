// The tables that the processor supports, by its features, best first.

#include "sets.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
#include <cpuid.h>

static const kernels_set *const best_first[] = {&kernels_avx512vbmi, &kernels_avx512vnni,
                                                &kernels_avxvnni, &kernels_avx2, &kernels_portable};
static const kernels_set *const without_avxvnni[] = {&kernels_avx512vbmi, &kernels_avx512vnni,
                                                     &kernels_avx2, &kernels_portable};

// Whether the processor has the dot products of AVX-VNNI: leaf 7, subleaf 1, bit 4 of EAX. Whether
// the system keeps vectors of 256 bits is a question for avx2.
static int has_avxvnni(void) {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 4);
}

// Each set needs the features of the next one and more, except avxvnni, which is left out of the
// list of a processor that has AVX-512 without it. So the sets that a processor supports are the end
// of a list.
const kernels_set *const *kernels_supported(size_t *count) {
  __builtin_cpu_init();
  const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                   __builtin_cpu_supports("f16c");
  const int avx512vnni = avx2 && __builtin_cpu_supports("avx512f") &&
                         __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512vl") &&
                         __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vnni");
  const int avx512vbmi = avx512vnni && __builtin_cpu_supports("avx512vbmi") &&
                         __builtin_cpu_supports("gfni");
  const size_t above = avx512vbmi ? 0 : avx512vnni ? 1 : 2;
  if (avx2 && has_avxvnni() && __builtin_cpu_supports("gfni")) {
    *count = 5 - above;
    return best_first + above;
  }
  const size_t skipped = avx2 ? above : 3;
  *count = 4 - skipped;
  return without_avxvnni + skipped;
}

#elif defined(__aarch64__)

static const kernels_set *const with_neon[] = {&kernels_neon, &kernels_portable};

// Whether the processor has dot-product instructions. Every Apple processor in a Mac has them; on
// Linux the operating system knows.
static int has_dot_product(void) {
#if defined(__APPLE__)
  return 1;
#elif defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return 0;
#endif
}

const kernels_set *const *kernels_supported(size_t *count) {
  const size_t skipped = has_dot_product() ? 0 : 1;
  *count = 2 - skipped;
  return with_neon + skipped;
}

#else

static const kernels_set *const portable_only[] = {&kernels_portable};

const kernels_set *const *kernels_supported(size_t *count) {
  *count = 1;
  return portable_only;
}

#endif
