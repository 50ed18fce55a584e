// CPU features -> tables, best first.

#include "sets.h"

#if defined(__x86_64__)

static const kernels_set *const with_avx512vnni[] = {&kernels_avx512vnni, &kernels_avx2,
                                                     &kernels_portable};

// The sets are ordered so that what a processor supports is a tail of the list.
const kernels_set *const *kernels_supported(size_t *count) {
  __builtin_cpu_init();
  const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                   __builtin_cpu_supports("f16c");
  const int avx512vnni = avx2 && __builtin_cpu_supports("avx512f") &&
                         __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512vl") &&
                         __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vnni");
  const size_t skipped = avx512vnni ? 0 : avx2 ? 1 : 2;
  *count = 3 - skipped;
  return with_avx512vnni + skipped;
}

#else

static const kernels_set *const portable_only[] = {&kernels_portable};

const kernels_set *const *kernels_supported(size_t *count) {
  *count = 1;
  return portable_only;
}

#endif
