#if PFX_Q15
/* Two rows lie interleaved where the processor multiplies two pairs of 16-bit numbers at once. GCC
 * orders instructions so that registers run short, unless told not to. */
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE) && !defined(PFX_PLAIN)
#include <arm_acle.h>
#define PFX_PAIRS
#define PFX_ALIGNED __attribute__((aligned(4)))
#define PFX_DOT(a, b, sum) __smlad((int16x2_t)(a), (int16x2_t)(b), sum)
#define PFX_STEP(kernel) (1 + (kernel)->paired)
#ifndef __clang__
#define PFX_UNROLLED __attribute__((noinline, optimize("Os")))
#endif
static inline uint32_t pfx_pair(const int16_t *numbers)
{
    uint32_t pair;
    __builtin_memcpy(&pair, __builtin_assume_aligned(numbers, 4), 4);
    return pair;
}
#else
#define PFX_STEP(kernel) 1
#endif
#else
#define PFX_STEP(kernel) 1
#endif
#ifndef PFX_UNROLLED
#define PFX_UNROLLED
#endif

