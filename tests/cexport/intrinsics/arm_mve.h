/* Likewise the vectors of Arm's M profile (MVE), of four numbers of 32 bits. */
#ifndef ARM_MVE_H
#define ARM_MVE_H

#include <stdint.h>

typedef int32_t int32x4_t __attribute__((vector_size(16)));
typedef uint32_t uint32x4_t __attribute__((vector_size(16)));
typedef float float32x4_t __attribute__((vector_size(16)));
typedef int16_t int16x8_t __attribute__((vector_size(16)));
typedef uint16_t uint16x8_t __attribute__((vector_size(16)));
/* A bit for every byte. */
typedef uint16_t mve_pred16_t;

static inline int mve_lane(mve_pred16_t some, int lane, int bytes)
{
    return some >> (lane * bytes) & 1;
}

static inline mve_pred16_t vctp16q(uint32_t n)
{
    return (mve_pred16_t)(n >= 8 ? 0xFFFF : (1U << (2 * n)) - 1);
}

static inline mve_pred16_t vctp32q(uint32_t n)
{
    return (mve_pred16_t)(n >= 4 ? 0xFFFF : (1U << (4 * n)) - 1);
}

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

static inline int16x8_t vdupq_n_s16(int16_t value)
{
    return (int16x8_t){0} + value;
}

static inline uint16x8_t vidupq_n_u16(uint32_t first, int step)
{
    uint16x8_t found;
    for (int i = 0; i < 8; i++) {
        found[i] = (uint16_t)(first + (uint32_t)(i * step));
    }
    return found;
}

static inline int16x8_t vldrhq_gather_shifted_offset_z_s16(const int16_t *cells, uint16x8_t at,
                                                           mve_pred16_t some)
{
    int16x8_t found = {0};
    for (int i = 0; i < 8; i++) {
        if (mve_lane(some, i, 2)) {
            found[i] = cells[at[i]];
        }
    }
    return found;
}

static inline int16x8_t vldrhq_z_s16(const int16_t *cells, mve_pred16_t some)
{
    return vldrhq_gather_shifted_offset_z_s16(cells, vidupq_n_u16(0, 1), some);
}

static inline void vstrhq_p_s16(int16_t *cells, int16x8_t values, mve_pred16_t some)
{
    for (int i = 0; i < 8; i++) {
        if (mve_lane(some, i, 2)) {
            cells[i] = values[i];
        }
    }
}

static inline int16x8_t vaddq_s16(int16x8_t a, int16x8_t b)
{
    return a + b;
}

static inline int16x8_t vsubq_s16(int16x8_t a, int16x8_t b)
{
    return a - b;
}

static inline int32x4_t vldrwq_z_s32(const int32_t *sums, mve_pred16_t some)
{
    int32x4_t found = {0};
    for (int i = 0; i < 4; i++) {
        if (mve_lane(some, i, 4)) {
            found[i] = sums[i];
        }
    }
    return found;
}

static inline void vstrhq_p_s32(int16_t *cells, int32x4_t values, mve_pred16_t some)
{
    for (int i = 0; i < 4; i++) {
        if (mve_lane(some, i, 4)) {
            cells[i] = (int16_t)values[i];
        }
    }
}

static inline int32x4_t vrshlq_s32(int32x4_t a, int32x4_t by)
{
    for (int i = 0; i < 4; i++) {
        a[i] = (int32_t)(((int64_t)a[i] + ((int64_t)1 << (-by[i] - 1))) >> -by[i]);
    }
    return a;
}

/* Modulo 2^32, as all that follow. */
static inline int32x4_t vmulq_s32(int32x4_t a, int32x4_t b)
{
    return (int32x4_t)((uint32x4_t)a * (uint32x4_t)b);
}

static inline uint32x4_t vreinterpretq_u32_s32(int32x4_t a)
{
    return (uint32x4_t)a;
}

static inline uint32x4_t vreinterpretq_u32_f32(float32x4_t a)
{
    return (uint32x4_t)a;
}

static inline float32x4_t vreinterpretq_f32_u32(uint32x4_t a)
{
    return (float32x4_t)a;
}

static inline uint32x4_t vdupq_n_u32(uint32_t value)
{
    return (uint32x4_t){0} + value;
}

static inline uint32x4_t vsubq_u32(uint32x4_t a, uint32x4_t b)
{
    return a - b;
}

#define vshrq_n_u32(a, by) ((a) >> (by))
#define vrshrq_n_s32(a, by) vrshlq_s32(a, vdupq_n_s32(-(by)))

static inline float32x4_t vdupq_n_f32(float value)
{
    return (float32x4_t){value, value, value, value};
}

static inline float32x4_t vmulq_f32(float32x4_t a, float32x4_t b)
{
    return a * b;
}

static inline float32x4_t vmulq_n_f32(float32x4_t a, float b)
{
    return a * b;
}

static inline float32x4_t vsubq_f32(float32x4_t a, float32x4_t b)
{
    return a - b;
}

static inline float32x4_t vcvtq_f32_u32(uint32x4_t a)
{
    return (float32x4_t){(float)a[0], (float)a[1], (float)a[2], (float)a[3]};
}

/* To the nearest, halves to even ones, of numbers from 0 to 2^22. */
static inline int32x4_t vcvtnq_s32_f32(float32x4_t a)
{
    int32x4_t found;
    for (int i = 0; i < 4; i++) {
        const volatile float raised = a[i] + 8388608.0F; /* whose last bit is 1 */
        found[i] = (int32_t)(raised - 8388608.0F);
    }
    return found;
}

static inline mve_pred16_t mve_where(int32x4_t true_lanes)
{
    mve_pred16_t some = 0;
    for (int i = 0; i < 4; i++) {
        some |= (mve_pred16_t)((true_lanes[i] & 0xF) << (4 * i));
    }
    return some;
}

static inline mve_pred16_t vcmpgtq_s32(int32x4_t a, int32x4_t b)
{
    return mve_where(a > b);
}

static inline mve_pred16_t vcmpleq_s32(int32x4_t a, int32x4_t b)
{
    return mve_where(a <= b);
}

static inline int32x4_t vaddq_m_n_s32(int32x4_t inactive, int32x4_t a, int32_t b,
                                      mve_pred16_t some)
{
    for (int i = 0; i < 4; i++) {
        inactive[i] = mve_lane(some, i, 4) ? a[i] + b : inactive[i];
    }
    return inactive;
}

static inline int32x4_t vsubq_m_n_s32(int32x4_t inactive, int32x4_t a, int32_t b,
                                      mve_pred16_t some)
{
    return vaddq_m_n_s32(inactive, a, -b, some);
}

static inline int32x4_t vmaxq_s32(int32x4_t a, int32x4_t b)
{
    const int32x4_t larger = a > b;
    return (a & larger) | (b & ~larger);
}

#endif
