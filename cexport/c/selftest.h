#ifdef PFX_SELFTEST
#if PFX_Q15
/* Transforms an image made by a formula and compares with what the Python library computed:
 * the first, the middle and the last coefficient of every channel, and a hash of all, exactly.
 *
 * scratch        at least PFX_SELFTEST_BYTES, aligned as for pfx_scatter_stream
 *
 * Returns PFX_OK, a negative pfx_error, or a positive number: 1 + the first channel that differs,
 * PFX_CHANNELS + 1 if only the number of channels or the hash does, and PFX_CHANNELS + 2 if only a
 * score of the classifier does. */
#else
/* Transforms an image made by a formula and compares with what the Python library computed:
 * the first, the middle and the last coefficient of every channel, to a
 * tolerance of 2e-5 of the largest of its order.
 *
 * scratch        at least PFX_SELFTEST_BYTES, aligned as for pfx_scatter_stream
 *
 * Returns PFX_OK, a negative pfx_error, or a positive number: 1 + the first channel that differs,
 * PFX_CHANNELS + 1 if only the number of channels or the hash does, and PFX_CHANNELS + 2 if only a
 * score of the classifier does. */
#endif

#define PFX_SELFTEST_BYTES (PFX_SCRATCH_BYTES + PFX_HEIGHT * PFX_WIDTH * sizeof(pfx_pixel))
#include "selftest_tables.h"
typedef struct {
    int seen;
    int wrong;
    uint32_t hash;
} pfx_test;

static inline int pfx_compare(void *context, int channel, const pfx_coefficient *values)
{
    pfx_test *const test = (pfx_test *)context;
    const int32_t size = PFX_OUT_HEIGHT * PFX_OUT_WIDTH;
    const int32_t places[3] = {0, size / 2, size - 1};
    for (int32_t i = 0; i < 3; i++) {
#if PFX_Q15
        const int right = values[places[i]] == pfx_expected[channel][i];
#else
        const float difference = values[places[i]] - pfx_expected[channel][i];
        const float tolerance = pfx_tolerances[channel];
        /* Not true for a NaN. */
        const int right = difference <= tolerance && difference >= -tolerance;
#endif
        if (!right && test->wrong == 0) {
            test->wrong = channel + 1;
        }
    }
#if PFX_Q15
    /* FNV-1a over all coefficients, low byte first. */
    for (int32_t i = 0; i < size; i++) {
        const uint16_t bits = (uint16_t)values[i];
        test->hash = (test->hash ^ (bits & 0xFFU)) * 16777619U;
        test->hash = (test->hash ^ (uint32_t)(bits >> 8)) * 16777619U;
    }
#endif
    test->seen++;
    return 0;
}

#if PFX_CLASSIFIER
/* PFX_CHANNELS + 2 if a score of the image is not as expected; or 0, or a negative pfx_error. */
static inline int pfx_compare_scores(const pfx_pixel *image, void *scratch)
{
    pfx_score scores[PFX_SCORES];
    const int status = pfx_classify(image, scores, scratch, PFX_SCRATCH_BYTES);
    if (status < 0) {
        return status;
    }
    for (int32_t k = 0; k < PFX_SCORES; k++) {
#if PFX_Q15
        const int right = scores[k] == pfx_expected_scores[k];
#else
        const float difference = scores[k] - pfx_expected_scores[k];
        const float tolerance = pfx_score_tolerances[k];
        const int right = difference <= tolerance && difference >= -tolerance;
#endif
        if (!right) {
            return PFX_CHANNELS + 2;
        }
    }
    return 0;
}
#endif

PFX_API int pfx_selftest(void *scratch, size_t scratch_bytes)
{
    if (scratch == NULL) {
        return PFX_ERROR_NULL;
    }
    if (scratch_bytes < PFX_SELFTEST_BYTES) {
        return PFX_ERROR_SCRATCH;
    }
    if ((uintptr_t)scratch % PFX_SCRATCH_ALIGN != 0) {
        return PFX_ERROR_ALIGNMENT;
    }
    pfx_pixel *const image = (pfx_pixel *)(void *)((unsigned char *)scratch + PFX_SCRATCH_BYTES);
    for (uint32_t y = 0; y < PFX_HEIGHT; y++) {
        for (uint32_t x = 0; x < PFX_WIDTH; x++) {
            const uint32_t chirp = (x * x + 2U * y * y + 3U * x * y) / 16U;
            const uint32_t blocks = 61U * ((x / 5U + y / 7U) % 3U);
            image[y * PFX_WIDTH + x] = (pfx_pixel)((chirp + blocks) & 0xFFU);
        }
    }
    pfx_test test = {0, 0, 2166136261U};
    const int status = pfx_scatter_stream(image, pfx_compare, &test, scratch, scratch_bytes);
    if (status != PFX_OK) {
        return status;
    }
#if PFX_Q15
    if (test.wrong == 0 && (test.seen != PFX_CHANNELS || test.hash != PFX_EXPECTED_HASH)) {
        test.wrong = PFX_CHANNELS + 1;
    }
#else
    if (test.wrong == 0 && (test.seen != PFX_CHANNELS)) {
        test.wrong = PFX_CHANNELS + 1;
    }
#endif
#if PFX_CLASSIFIER
    if (test.wrong == 0) {
        return pfx_compare_scores(image, scratch);
    }
#endif
    return test.wrong;
}
#endif /* PFX_SELFTEST */
