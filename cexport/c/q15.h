/* Maps hold 16-bit numbers, sums have 32 bits; see the proof above. */
typedef int16_t pfx_weight; /* a weight of a filter */
typedef int16_t pfx_sample; /* what is stored between steps */
typedef int32_t pfx_sum;    /* what is computed with */

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

/* target = |real + i imag| / 2^shift, shift >= 2; one bit more is kept up to the root */
static inline void pfx_modulus(pfx_sample *PFX_RESTRICT target, const pfx_sum *PFX_RESTRICT real,
                               const pfx_sum *PFX_RESTRICT imag, int32_t n, int32_t shift)
{
    for (int32_t x = 0; x < n; x++) {
        const uint32_t re = (uint32_t)pfx_round(real[x], shift - 1);
        const uint32_t im = (uint32_t)pfx_round(imag[x], shift - 1);
        /* Squares modulo 2^32: the sign does not matter, and their sum is below 2^32. */
        target[x] = (pfx_sample)((pfx_square_root(re * re + im * im) + 1U) >> 1);
    }
}

static inline void pfx_store(pfx_sample *PFX_RESTRICT target, const pfx_sum *PFX_RESTRICT sum,
                             int32_t n, int32_t shift)
{
    for (int32_t x = 0; x < n; x++) {
        target[x] = (pfx_sample)pfx_round(sum[x], shift);
    }
}
