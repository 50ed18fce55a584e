#ifndef DUET_KERNELS_H
#define DUET_KERNELS_H
// Tells the processor that this thread spins.
static inline void kernels_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}
#endif
