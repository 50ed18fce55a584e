#ifndef DUET_KERNELS_SETS_H
#define DUET_KERNELS_SETS_H

// The tables of all sets; supported.c chooses among them.

#include "include/Kernels.h"

extern const kernels_set kernels_portable;
#if defined(__x86_64__)
extern const kernels_set kernels_avx2;
extern const kernels_set kernels_avxvnni;
extern const kernels_set kernels_avx512vnni;
extern const kernels_set kernels_avx512vbmi;
#elif defined(__aarch64__)
extern const kernels_set kernels_neon;
#endif

#endif
