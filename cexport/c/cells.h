#if PFX_Q15
/* GCC orders instructions so that registers run short, unless told to spare them. */
#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__) && !defined(__clang__)
#define PFX_UNROLLED __attribute__((__noinline__, __optimize__("Os")))
#endif
/* Two rows lie interleaved where the processor multiplies two pairs of 16-bit numbers at once. */
#ifdef PFX_PAIRS
#define PFX_INLINED inline __attribute__((__always_inline__))
#define PFX_ALIGNED __attribute__((__aligned__(4)))
#define PFX_DOT(a, b, sum) __smlad((int16x2_t)(a), (int16x2_t)(b), sum)
#define PFX_STEP(kernel) (1 + (kernel)->paired)
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

#if PFX_Q15
#ifdef PFX_VECTORS
/* Outputs that are computed at once: four, in a vector. */
#define PFX_LANES 4
typedef int32x4_t pfx_lanes;
#define PFX_ZERO vdupq_n_s32(0)
#define PFX_LOAD(cells) vldrhq_s32(cells)
#define PFX_ADD(a, b) vaddq_s32(a, b)
#define PFX_SUBTRACT(a, b) vsubq_s32(a, b)
#define PFX_MULTIPLY_ADD(sum, value, weight) vmlaq_n_s32(sum, value, weight)
#define PFX_STORE(sums, value) vst1q_s32(sums, value)
#endif
#endif
#ifndef PFX_LANES
/* Outputs that are computed at once: compilers make vectors of several turns. */
#define PFX_LANES 1
typedef pfx_sum pfx_lanes;
#define PFX_ZERO 0
#define PFX_LOAD(cells) ((pfx_sum)*(cells))
#define PFX_ADD(a, b) ((a) + (b))
#define PFX_SUBTRACT(a, b) ((a) - (b))
#define PFX_MULTIPLY_ADD(sum, value, weight) ((sum) + (weight) * (value))
#define PFX_STORE(sums, value) (*(sums) = (value))
#endif
