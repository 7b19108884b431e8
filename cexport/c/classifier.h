/* The scores of one image, as far as they are known. */
typedef struct {
    pfx_score *scores;
    int32_t channels; /* that were added */
} pfx_scoring;

/* Adds what a channel is worth to every score. */
static inline int pfx_add_channel(void *context, int channel, const pfx_coefficient *values)
{
    pfx_scoring *const scoring = (pfx_scoring *)context;
    const int32_t size = PFX_OUT_HEIGHT * PFX_OUT_WIDTH;
    const pfx_class_weight *weights = pfx_class_weights + channel * PFX_SCORES * size;
    for (int32_t k = 0; k < PFX_SCORES; k++) {
        const pfx_score before =
            scoring->channels == 0 ? pfx_class_offsets[k] : scoring->scores[k];
        pfx_score sum = 0;
        for (int32_t i = 0; i < size; i++) {
            sum += weights[i] * values[i];
        }
        weights += size;
#if PFX_Q15
        scoring->scores[k] = before + pfx_round(sum, pfx_class_shifts[channel]);
#else
        scoring->scores[k] = before + sum;
#endif
    }
    scoring->channels++;
    return 0;
}

/* Transforms one image and classifies it; the coefficients are nowhere kept.
 *
 * scores         PFX_SCORES numbers, apart from image and scratch: one for every class of pfx_labels,
 *                the highest being that of the image's, the first of equal ones; or of two classes
 *                a single one, above 0 for the second. A score of 1 stands for PFX_SCORE_UNIT
 *
 * The rest is as for pfx_scatter_stream.
 *
 * Returns the number of the class in pfx_labels, or a negative pfx_error, on which nothing has been
 * written to the scores. Reentrant. */
PFX_API int pfx_classify(const pfx_pixel *image, pfx_score *scores, void *scratch,
                         size_t scratch_bytes)
{
    if (scores == NULL) {
        return PFX_ERROR_NULL;
    }
    if ((uintptr_t)scores % sizeof(pfx_score) != 0) {
        return PFX_ERROR_ALIGNMENT;
    }
    pfx_scoring scoring = {scores, 0};
    const int status = pfx_scatter_stream(image, pfx_add_channel, &scoring, scratch,
                                          scratch_bytes);
    if (status != PFX_OK) {
        return status;
    }
#if PFX_ONE_SCORE
    return scores[0] > 0 ? 1 : 0;
#else
    int best = 0;
    for (int k = 1; k < PFX_SCORES; k++) {
        if (scores[k] > scores[best]) {
            best = k;
        }
    }
    return best;
#endif
}
