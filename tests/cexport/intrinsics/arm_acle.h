/* The instructions of Arm's DSP extension that generated headers use, in C: so that what uses them
 * runs on any machine, under sanitizers. Where an instruction would lose a bit, the program stops;
 * headers are proven not to get there. */
#ifndef ARM_ACLE_H
#define ARM_ACLE_H

#include <stdint.h>

typedef int32_t int16x2_t;

static inline int32_t exact(int64_t value, int bits)
{
    if (value >= (int64_t)1 << (bits - 1) || value < -((int64_t)1 << (bits - 1))) {
        __builtin_trap();
    }
    return (int32_t)value;
}

static inline int32_t low_half(int16x2_t pair)
{
    return (int32_t)((uint32_t)pair << 16) >> 16;
}

static inline int32_t high_half(int16x2_t pair)
{
    return pair >> 16;
}

static inline int16x2_t pair_of(int32_t low, int32_t high)
{
    return (int16x2_t)(((uint32_t)high << 16) | ((uint32_t)low & 0xFFFFU));
}

static inline int16x2_t __sadd16(int16x2_t a, int16x2_t b)
{
    return pair_of(exact((int64_t)low_half(a) + low_half(b), 16),
                   exact((int64_t)high_half(a) + high_half(b), 16));
}

static inline int16x2_t __ssub16(int16x2_t a, int16x2_t b)
{
    return pair_of(exact((int64_t)low_half(a) - low_half(b), 16),
                   exact((int64_t)high_half(a) - high_half(b), 16));
}

static inline int32_t __smlad(int16x2_t a, int16x2_t b, int32_t sum)
{
    const int64_t products = (int64_t)low_half(a) * low_half(b) +
                             (int64_t)high_half(a) * high_half(b);
    return exact(sum + products, 32);
}

#endif
