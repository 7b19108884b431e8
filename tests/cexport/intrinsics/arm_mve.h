/* Likewise the vectors of Arm's M profile (MVE), of four numbers of 32 bits. */
#ifndef ARM_MVE_H
#define ARM_MVE_H

#include <stdint.h>

typedef int32_t int32x4_t __attribute__((vector_size(16)));

static inline int32x4_t vdupq_n_s32(int32_t value)
{
    return (int32x4_t){value, value, value, value};
}

static inline int32x4_t vldrhq_s32(const int16_t *cells)
{
    return (int32x4_t){cells[0], cells[1], cells[2], cells[3]};
}

static inline int32x4_t vaddq_s32(int32x4_t a, int32x4_t b)
{
    return a + b;
}

static inline int32x4_t vsubq_s32(int32x4_t a, int32x4_t b)
{
    return a - b;
}

static inline int32x4_t vmlaq_n_s32(int32x4_t sum, int32x4_t value, int32_t weight)
{
    return sum + value * weight;
}

static inline void vst1q_s32(int32_t *sums, int32x4_t value)
{
    for (int i = 0; i < 4; i++) {
        sums[i] = value[i];
    }
}

#endif
