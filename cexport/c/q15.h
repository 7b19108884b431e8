/* Maps hold 16-bit numbers, sums have 32 bits; see the proof above. */
typedef int16_t pfx_weight; /* a weight of a filter */
typedef int16_t pfx_sample; /* what is stored between steps */
typedef int32_t pfx_sum;    /* what is computed with */
#if PFX_FAST
typedef int16_t pfx_cell;   /* what rows are folded into */
#else
typedef int32_t pfx_cell;   /* what rows are folded into */
#endif

PFX_ASSERT((-1 >> 1) == -1, right_shifts_of_negative_numbers_must_keep_the_sign);

static inline pfx_sample pfx_from_pixel(pfx_pixel pixel)
{
    return (pfx_sample)(pixel * (1 << PFX_PIXEL_EXPONENT));
}

/* round(value / 2^shift), shift >= 1, halves upwards */
static inline int32_t pfx_round(int32_t value, int32_t shift)
{
    return (value + ((int32_t)1 << (shift - 1))) >> shift;
}

#ifdef __ARM_FEATURE_IDIV
/* 256 sqrt((64 + i) / 256), in the middle of the interval */
static const uint8_t pfx_roots[192] = {
    128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143,
    144, 144, 145, 146, 147, 148, 149, 150, 151, 151, 152, 153, 154, 155, 156, 156,
    157, 158, 159, 160, 160, 161, 162, 163, 164, 164, 165, 166, 167, 167, 168, 169,
    170, 170, 171, 172, 173, 173, 174, 175, 176, 176, 177, 178, 179, 179, 180, 181,
    181, 182, 183, 183, 184, 185, 186, 186, 187, 188, 188, 189, 190, 190, 191, 192,
    192, 193, 194, 194, 195, 196, 196, 197, 198, 198, 199, 200, 200, 201, 201, 202,
    203, 203, 204, 205, 205, 206, 206, 207, 208, 208, 209, 210, 210, 211, 211, 212,
    213, 213, 214, 214, 215, 216, 216, 217, 217, 218, 219, 219, 220, 220, 221, 221,
    222, 223, 223, 224, 224, 225, 225, 226, 227, 227, 228, 228, 229, 229, 230, 230,
    231, 232, 232, 233, 233, 234, 234, 235, 235, 236, 237, 237, 238, 238, 239, 239,
    240, 240, 241, 241, 242, 242, 243, 243, 244, 244, 245, 246, 246, 247, 247, 248,
    248, 249, 249, 250, 250, 251, 251, 252, 252, 253, 253, 254, 254, 255, 255, 255,
};

/* round(sqrt(square)), for squares up to 65535^2: a root of 8 bits, one step of Newton's, and
 * what it is off by at most. */
static inline uint32_t pfx_square_root(uint32_t square)
{
    if (square == 0) {
        return 0;
    }
    const uint32_t shift = (uint32_t)__builtin_clz(square) & ~1U;
    const uint32_t first = (uint32_t)pfx_roots[(square << shift >> 24) - 64U] << 8;
    uint32_t root = (first + (square << shift) / first) >> 1 >> (shift >> 1);
    if (root * root > square) {
        root--;
    }
    return root + (uint32_t)(square - root * root > root);
}
#else
/* One binary digit of the root, from the top; written out sixteen times, loops over rows become
 * vector code. */
#define PFX_ROOT_DIGIT(power)                                         \
    do {                                                              \
        const uint32_t trial = root + ((uint32_t)1 << (power));       \
        const int fits = square >= trial;                             \
        square -= fits ? trial : 0U;                                  \
        root = (fits ? trial + ((uint32_t)1 << (power)) : root) >> 1; \
    } while (0)

/* round(sqrt(square)), for squares up to 65535^2 */
static inline uint32_t pfx_square_root(uint32_t square)
{
    uint32_t root = 0;
    PFX_ROOT_DIGIT(30);
    PFX_ROOT_DIGIT(28);
    PFX_ROOT_DIGIT(26);
    PFX_ROOT_DIGIT(24);
    PFX_ROOT_DIGIT(22);
    PFX_ROOT_DIGIT(20);
    PFX_ROOT_DIGIT(18);
    PFX_ROOT_DIGIT(16);
    PFX_ROOT_DIGIT(14);
    PFX_ROOT_DIGIT(12);
    PFX_ROOT_DIGIT(10);
    PFX_ROOT_DIGIT(8);
    PFX_ROOT_DIGIT(6);
    PFX_ROOT_DIGIT(4);
    PFX_ROOT_DIGIT(2);
    PFX_ROOT_DIGIT(0);
    return root + (uint32_t)(square > root); /* by now `square` is what root^2 leaves of it */
}
#endif

#if defined(PFX_VECTORS) && __ARM_FEATURE_MVE > 1
/* The same of four: one over the root by two steps of Newton's, and what is off by one at most. */
static inline int32x4_t pfx_square_roots(int32x4_t squares)
{
    const uint32x4_t square = vreinterpretq_u32_s32(squares);
    const float32x4_t value = vcvtq_f32_u32(square);
    const float32x4_t half = vmulq_n_f32(value, 0.5F);
    const uint32x4_t bits = vshrq_n_u32(vreinterpretq_u32_f32(value), 1);
    float32x4_t inverse = vreinterpretq_f32_u32(vsubq_u32(vdupq_n_u32(0x5F375A86U), bits));
    for (int32_t i = 0; i < 2; i++) {
        const float32x4_t product = vmulq_f32(half, vmulq_f32(inverse, inverse));
        inverse = vmulq_f32(inverse, vsubq_f32(vdupq_n_f32(1.5F), product));
    }
    int32x4_t root = vcvtnq_s32_f32(vmulq_f32(value, inverse));
    const int32x4_t rest = vsubq_s32(squares, vmulq_s32(root, root));
    const mve_pred16_t too_small = vcmpgtq_s32(rest, root);
    const mve_pred16_t too_large = vcmpleq_s32(vaddq_s32(rest, root), vdupq_n_s32(0));
    root = vaddq_m_n_s32(root, root, 1, too_small);
    root = vsubq_m_n_s32(root, root, 1, too_large);
    return vmaxq_s32(root, vdupq_n_s32(0));
}
#endif

/* target = |real + i imag| / 2^shift, shift >= 2; one bit more is kept up to the root. Squares are
 * modulo 2^32: the sign does not matter, and their sum is below 2^32. */
static inline void pfx_modulus(pfx_sample *PFX_RESTRICT target, const pfx_sum *PFX_RESTRICT real,
                               const pfx_sum *PFX_RESTRICT imag, int32_t n, int32_t shift)
{
#if defined(PFX_VECTORS) && __ARM_FEATURE_MVE > 1
    const int32x4_t left = vdupq_n_s32(1 - shift);
    for (int32_t x = 0; x < n; x += 4) {
        const int32_t rest = n - x;
        const mve_pred16_t some = vctp32q((uint32_t)rest);
        const int32x4_t re = vrshlq_s32(vldrwq_z_s32(real + x, some), left);
        const int32x4_t im = vrshlq_s32(vldrwq_z_s32(imag + x, some), left);
        const int32x4_t squares = vaddq_s32(vmulq_s32(re, re), vmulq_s32(im, im));
        vstrhq_p_s32(target + x, vrshrq_n_s32(pfx_square_roots(squares), 1), some);
    }
#else
    for (int32_t x = 0; x < n; x++) {
        const uint32_t re = (uint32_t)pfx_round(real[x], shift - 1);
        const uint32_t im = (uint32_t)pfx_round(imag[x], shift - 1);
        target[x] = (pfx_sample)((pfx_square_root(re * re + im * im) + 1U) >> 1);
    }
#endif
}

static inline void pfx_store(pfx_sample *PFX_RESTRICT target, const pfx_sum *PFX_RESTRICT sum,
                             int32_t n, int32_t shift)
{
    for (int32_t x = 0; x < n; x++) {
        target[x] = (pfx_sample)pfx_round(sum[x], shift);
    }
}
