/* Likewise the vectors of Arm's M profile (MVE), of four numbers of 32 bits. */
#ifndef ARM_MVE_H
#define ARM_MVE_H

#include <stdint.h>

typedef struct {
    int32_t lane[4];
} int32x4_t;

#define FOR_EACH_LANE(expression)             \
    int32x4_t result;                         \
    for (int i = 0; i < 4; i++) {             \
        result.lane[i] = (expression);        \
    }                                         \
    return result

static inline int32x4_t vdupq_n_s32(int32_t value)
{
    FOR_EACH_LANE(value);
}

static inline int32x4_t vldrhq_s32(const int16_t *cells)
{
    FOR_EACH_LANE(cells[i]);
}

static inline int32x4_t vaddq_s32(int32x4_t a, int32x4_t b)
{
    FOR_EACH_LANE(a.lane[i] + b.lane[i]);
}

static inline int32x4_t vsubq_s32(int32x4_t a, int32x4_t b)
{
    FOR_EACH_LANE(a.lane[i] - b.lane[i]);
}

static inline int32x4_t vmlaq_n_s32(int32x4_t sum, int32x4_t a, int32_t b)
{
    FOR_EACH_LANE(sum.lane[i] + a.lane[i] * b);
}

static inline void vst1q_s32(int32_t *sums, int32x4_t value)
{
    for (int i = 0; i < 4; i++) {
        sums[i] = value.lane[i];
    }
}

#endif
