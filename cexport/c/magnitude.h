/* What is taken off an image, and given back to its coefficients. Wavelets do not see a level, and
 * what an image is multiplied by its coefficients are. Squares of extreme numbers would overflow or
 * vanish, so an image of these is scaled by a power of two; nearly all images are not. */
typedef struct {
    float level;
    float scale;   /* 2^shift, */
    float inverse; /* and 2^-shift */
} pfx_magnitude;

static inline pfx_magnitude pfx_find_magnitude(const pfx_pixel *image)
{
    pfx_magnitude found = {0.0F, 1.0F, 1.0F};
    float low = PFX_LARGEST;
    float high = -PFX_LARGEST;
    /* Of the finite numbers: comparisons with NaN are false. */
    for (int32_t i = 0; i < PFX_HEIGHT * PFX_WIDTH; i++) {
        if (image[i] < low && image[i] >= -PFX_LARGEST) {
            low = image[i];
        }
        if (image[i] > high && image[i] <= PFX_LARGEST) {
            high = image[i];
        }
    }
    float size = -low > high ? -low : high;
#if PFX_LEVEL
    /* The number nearest to zero, if all others are so close that no difference is rounded. */
    const float nearest = low > 0.0F ? low : (high < 0.0F ? -high : 0.0F);
    if (low <= high && 16.0F * (high - low) <= nearest) {
        found.level = low > 0.0F ? low : high;
        size = high - low;
    }
#endif
    /* Beyond PFX_MOST_SCALE the inverse would be no normal number. */
    if (size > 0.0F && size < PFX_ORDINARY_LEAST) {
        while (2.0F * size < PFX_ORDINARY_END && found.scale < PFX_MOST_SCALE) {
            size *= 2.0F;
            found.scale *= 2.0F;
            found.inverse *= 0.5F;
        }
    }
    while (size >= PFX_ORDINARY_END && found.inverse < PFX_MOST_SCALE) {
        size *= 0.5F;
        found.scale *= 0.5F;
        found.inverse *= 2.0F;
    }
    return found;
}

/* A channel of the program's becomes one of the image. */
static inline void pfx_give_back(pfx_coefficient *values, int32_t n, int channel,
                                 const pfx_magnitude *magnitude)
{
    for (int32_t i = 0; i < n; i++) {
        values[i] *= magnitude->inverse;
    }
#if PFX_LEVEL
    if (channel == 0) {
        for (int32_t i = 0; i < n; i++) {
            values[i] += PFX_GAIN * magnitude->level;
        }
    }
#else
    (void)channel;
#endif
}
