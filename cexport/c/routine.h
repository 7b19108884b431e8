/* A stack of maps. Row y of a map is stored at (y - origin) modulo stored_rows: all rows of a map
 * of the workspace, the last few of a modulus. */
typedef struct {
    const pfx_sample *samples;
    int32_t origin;
    int32_t stored_rows;
    int32_t height;
    int32_t width;
} pfx_maps;

/* Where the parts of the scratch memory are. */
typedef struct {
    pfx_sample *workspace; /* the maps between steps */
    pfx_sample *moduli;    /* the last rows of one modulus per orientation */
    pfx_coefficient *emitted; /* the channels of one group */
    pfx_sum *row;          /* one folded row with its margins */
    pfx_sum *sums;         /* one row of every sum of a kernel */
} pfx_scratch;

static inline int32_t pfx_modulo(int32_t place, int32_t period)
{
    while (place < 0) {
        place += period;
    }
    while (place >= period) {
        place -= period;
    }
    return place;
}

#if PFX_ZERO_EDGE
/* Row y of a map, NULL beyond its edge. */
#else
/* Row y of a map. */
#endif
static inline const pfx_sample *pfx_row(const pfx_maps *maps, int32_t map, int32_t y)
{
#if PFX_ZERO_EDGE
    if (y < 0 || y >= maps->height) {
        return NULL;
    }
#endif
    const int32_t stored = pfx_modulo(y - maps->origin, maps->stored_rows);
    return maps->samples + (map * maps->stored_rows + stored) * maps->width;
}

#if PFX_ZERO_EDGE
/* The margins before and after n numbers of a row. */
#else
/* The margins before and after n numbers of a row, outwards: they may be wider than n. */
#endif
static inline void pfx_add_margins(pfx_sum *row, int32_t n, int32_t margin)
{
    for (int32_t i = 0; i < margin; i++) {
#if PFX_ZERO_EDGE
        row[-1 - i] = 0;
        row[n + i] = 0;
#else
        row[-1 - i] = row[n - 1 - i];
        row[n + i] = row[i];
#endif
    }
}

#if PFX_ZERO_EDGE
/* row[i] = above[first + stride i] + fold below[first + stride i]; a row that is NULL is zero. */
#else
/* row[i] = above[first + stride i] + fold below[first + stride i] */
#endif
static inline void pfx_fold(pfx_sum *PFX_RESTRICT row, const pfx_sample *above,
                            const pfx_sample *below, int32_t fold, int32_t first, int32_t stride,
                            int32_t n)
{
#if PFX_ZERO_EDGE
    for (int32_t i = 0; i < n; i++) {
        row[i] = above != NULL ? above[first + stride * i] : 0;
    }
    if (below != NULL) {
        for (int32_t i = 0; i < n; i++) {
            row[i] += fold > 0 ? below[first + stride * i] : -below[first + stride * i];
        }
    }
#else
    if (fold == 0) {
        for (int32_t i = 0; i < n; i++) {
            row[i] = above[first + stride * i];
        }
    } else if (fold > 0) {
        for (int32_t i = 0; i < n; i++) {
            row[i] = (pfx_sum)above[first + stride * i] + below[first + stride * i];
        }
    } else {
        for (int32_t i = 0; i < n; i++) {
            row[i] = (pfx_sum)above[first + stride * i] - below[first + stride * i];
        }
    }
#endif
}

#if PFX_ZERO_EDGE
/* The rows at y + line->row and y - line->row, folded, with margins. */
#else
/* The rows at y + line->row and y - line->row, folded, with margins. Even and odd columns have
 * their own: where they are apart, the width is even. */
#endif
static inline void pfx_fold_rows(const pfx_folded *row, const pfx_maps *maps, const pfx_line *line,
                                 int32_t y, int32_t margin)
{
    const int32_t fold = line->fold;
    const pfx_sample *const above = pfx_row(maps, line->map, y + line->row);
    const pfx_sample *const below = fold != 0 ? pfx_row(maps, line->map, y - line->row) : NULL;
    const int32_t width = maps->width;
    if (row->shift == 0) {
        pfx_fold(row->even, above, below, fold, 0, 1, width);
    } else {
        pfx_fold(row->even, above, below, fold, 0, 2, (width + 1) >> 1);
        pfx_fold(row->even + row->odd, above, below, fold, 1, 2, width >> 1);
    }
    for (int32_t odd = 0; odd <= row->shift; odd++) {
        pfx_add_margins(row->even + odd * row->odd, (width + row->shift - odd) >> row->shift,
                        margin);
    }
}

/* Every sum of a kernel for n outputs of one row: those at row y and columns stride (x + i). */
static inline void pfx_correlate(const pfx_kernel *kernel, const pfx_maps *maps, int32_t y,
                                 int32_t x, int32_t stride, int32_t n, const pfx_scratch *scratch)
{
    const int32_t margin = (kernel->half + stride - 1) >> (stride - 1);
    const pfx_folded row = {scratch->row + margin,
                             stride == 1 ? 0 : ((maps->width + 1) >> 1) + 2 * margin, stride - 1};
    const pfx_folded from_x = {row.even + x, row.odd, row.shift};
    pfx_products products = {kernel->uses, kernel->sums, kernel->weights};
    for (int32_t i = 0; i < kernel->n_sums * n; i++) {
        scratch->sums[i] = 0;
    }
    for (const pfx_line *line = kernel->lines; line != kernel->lines + kernel->n_lines; line++) {
        pfx_fold_rows(&row, maps, line, y, margin);
        products = pfx_add_products(products, line->uses, &from_x, scratch->sums, n);
    }
    /* Sums that mirrored filters share become their outputs. */
    for (int32_t o = 0; o < kernel->n_outputs; o++) {
        const pfx_output *const output = &kernel->outputs[o];
        if (output->sign > 0) {
            pfx_sum *const PFX_RESTRICT first = scratch->sums + output->first * n;
            pfx_sum *const PFX_RESTRICT second = scratch->sums + output->second * n;
            for (int32_t i = 0; i < n; i++) {
                const pfx_sum sum = first[i] + second[i];
                second[i] = first[i] - second[i];
                first[i] = sum;
            }
        }
    }
}

/* Output o of a kernel, after pfx_correlate. */
static inline const pfx_sum *pfx_output_row(const pfx_kernel *kernel, int32_t o, int32_t n,
                                            const pfx_sum *sums)
{
    const pfx_output *const output = &kernel->outputs[o];
    return sums + (output->sign < 0 ? output->second : output->first) * n;
}

/* Row y of the modulus of every wavelet, into the rows that are kept of each. */
#if PFX_Q15
static inline void pfx_modulus_row(const pfx_step *step, const pfx_maps *source, int32_t y,
                                   const pfx_maps *moduli, const pfx_scratch *scratch,
                                   const uint8_t *shifts)
#else
static inline void pfx_modulus_row(const pfx_step *step, const pfx_maps *source, int32_t y,
                                   const pfx_maps *moduli, const pfx_scratch *scratch)
#endif
{
    const pfx_kernel *const wavelets = step->wavelets;
    const int32_t orientations = wavelets->n_outputs / 2;
    const int32_t n = moduli->width;
    const int32_t stored = pfx_modulo(y - moduli->origin, moduli->stored_rows);
#if !PFX_ZERO_EDGE
    y = pfx_modulo(y, moduli->height);
#endif
    pfx_correlate(wavelets, source, y * step->wavelet_stride, 0, step->wavelet_stride, n, scratch);
    for (int32_t o = 0; o < orientations; o++) {
        pfx_sample *const target = scratch->moduli + (o * moduli->stored_rows + stored) * n;
        const pfx_sum *const real = pfx_output_row(wavelets, o, n, scratch->sums);
        const pfx_sum *const imag = pfx_output_row(wavelets, o + orientations, n,
                                                        scratch->sums);
#if PFX_Q15
        pfx_modulus(target, real, imag, n, shifts[o]);
#else
        pfx_modulus(target, real, imag, n);
#endif
    }
}

#if PFX_Q15
static inline int pfx_run_step(const pfx_step *step, const pfx_scratch *scratch, pfx_sink sink,
                               void *context)
#else
static inline int pfx_run_step(const pfx_step *step, const pfx_scratch *scratch,
                               const pfx_magnitude *magnitude, pfx_sink sink, void *context)
#endif
{
    const pfx_kernel *const smoothing = step->smoothing;
    const int32_t orientations = step->wavelets != NULL ? step->wavelets->n_outputs / 2 : 1;
    const int32_t n = step->columns;
    const int32_t target_size = step->rows * n;
    const int emits = step->target == PFX_OUTPUT;
    pfx_sample *target = emits ? scratch->emitted : scratch->workspace + step->target;
    pfx_maps source = {scratch->workspace + step->source, 0, step->height, step->height,
                       step->width};
#if PFX_Q15
    const uint8_t *shifts = pfx_shifts + step->shift;
#endif
    for (int32_t group = 0; group < step->groups; group++) {
#if PFX_Q15
        const uint8_t *const own = shifts; /* of the moduli */
        if (step->wavelets != NULL) {
            shifts += orientations;
        }
#endif
        pfx_maps moduli = source;
        int32_t next = (int32_t)step->first_row * step->stride - smoothing->half;
        if (step->wavelets != NULL) {
            moduli.samples = scratch->moduli;
            moduli.origin = next;
            moduli.stored_rows = 2 * smoothing->half + 1;
            moduli.height = step->modulus_height;
            moduli.width = step->modulus_width;
        }
        for (int32_t y = 0; y < step->rows; y++) {
            const int32_t centre = (step->first_row + y) * step->stride;
            for (; step->wavelets != NULL && next <= centre + smoothing->half; next++) {
#if PFX_ZERO_EDGE
                if (next < 0 || next >= moduli.height) {
                    continue;
                }
#endif
#if PFX_Q15
                pfx_modulus_row(step, &source, next, &moduli, scratch, own);
#else
                pfx_modulus_row(step, &source, next, &moduli, scratch);
#endif
            }
            while (moduli.origin + moduli.stored_rows <= centre - smoothing->half) {
                moduli.origin += moduli.stored_rows;
            }
            for (int32_t o = 0; o < orientations; o++) {
                pfx_correlate(smoothing, &moduli, centre, step->first_column, step->stride, n,
                              scratch);
                moduli.samples += moduli.stored_rows * moduli.width;
                for (int32_t i = 0; i < smoothing->n_outputs; i++) {
                    const int32_t map = o * smoothing->n_outputs + i;
                    const pfx_sum *const sum = pfx_output_row(smoothing, i, n, scratch->sums);
#if PFX_Q15
                    pfx_store(target + map * target_size + y * n, sum, n, shifts[map]);
#else
                    pfx_store(target + map * target_size + y * n, sum, n);
#endif
                }
            }
            moduli.samples -= orientations * moduli.stored_rows * moduli.width;
        }
#if PFX_Q15
        shifts += orientations * smoothing->n_outputs;
#endif
        source.samples += step->maps * step->height * step->width;
        if (!emits) {
            target += orientations * smoothing->n_outputs * target_size;
            continue;
        }
        for (int32_t o = 0; o < orientations; o++) {
            const int channel = (int)pfx_channels[step->channel + group * orientations + o];
#if !PFX_Q15
            pfx_give_back(scratch->emitted + o * target_size, target_size, channel, magnitude);
#endif
            if (sink(context, channel, scratch->emitted + o * target_size) != 0) {
                return PFX_ERROR_STOPPED;
            }
        }
    }
    return PFX_OK;
}

/* Transforms one image and hands over each channel as soon as it is known.
 *
 * image          PFX_HEIGHT rows of PFX_WIDTH pixels
 * sink           called once per channel, in the order of the program, with the channel's number
 *                and its PFX_OUT_HEIGHT rows of PFX_OUT_WIDTH coefficients, which are overwritten
 *                after it returns; anything but 0 stops the transform
 * context        handed to the sink as it is
 * scratch        at least PFX_SCRATCH_BYTES bytes, at an address that PFX_SCRATCH_ALIGN divides,
 *                apart from the image; its contents before and after are of no interest
 *
 * Returns PFX_OK or a negative pfx_error; on an error other than PFX_ERROR_STOPPED nothing has
 * been called or written. Reentrant. */
PFX_API int pfx_scatter_stream(const pfx_pixel *image, pfx_sink sink, void *context, void *scratch,
                               size_t scratch_bytes)
{
    if (image == NULL || sink == NULL || scratch == NULL) {
        return PFX_ERROR_NULL;
    }
    if (scratch_bytes < PFX_SCRATCH_BYTES) {
        return PFX_ERROR_SCRATCH;
    }
#if PFX_Q15
    if ((uintptr_t)scratch % PFX_SCRATCH_ALIGN != 0) {
        return PFX_ERROR_ALIGNMENT;
    }
#else
    if ((uintptr_t)scratch % PFX_SCRATCH_ALIGN != 0 ||
        (uintptr_t)image % PFX_COEFFICIENT_ALIGN != 0) {
        return PFX_ERROR_ALIGNMENT;
    }
#endif
    pfx_sum *const sums = (pfx_sum *)scratch;
    pfx_sample *const samples = (pfx_sample *)(void *)(sums + PFX_SCRATCH_SUMS);
    const pfx_scratch parts = {
        samples,
        samples + PFX_WORKSPACE_SAMPLES,
        samples + PFX_WORKSPACE_SAMPLES + PFX_MODULI_SAMPLES,
        sums,
        sums + PFX_ROW_SUMS,
    };
#if !PFX_Q15
    const pfx_magnitude magnitude = pfx_find_magnitude(image);
#endif
    /* The padded image. */
    pfx_sample *padded = parts.workspace + PFX_PADDED;
    for (int32_t y = 0; y < PFX_PADDED_HEIGHT; y++) {
        for (int32_t x = 0; x < PFX_PADDED_WIDTH; x++) {
#if PFX_ZERO_EDGE
            if (pfx_rows[y] == PFX_NO_PIXEL || pfx_columns[x] == PFX_NO_PIXEL) {
                *padded++ = 0;
                continue;
            }
#endif
            const pfx_pixel pixel = image[(int32_t)pfx_rows[y] * PFX_WIDTH + pfx_columns[x]];
#if PFX_Q15
            *padded++ = pfx_from_pixel(pixel);
#else
            *padded++ = (pixel - magnitude.level) * magnitude.scale;
#endif
        }
    }
    for (int32_t i = 0; i < PFX_STEPS; i++) {
#if PFX_Q15
        const int status = pfx_run_step(&pfx_steps[i], &parts, sink, context);
#else
        const int status = pfx_run_step(&pfx_steps[i], &parts, &magnitude, sink, context);
#endif
        if (status != PFX_OK) {
            return status;
        }
    }
    return PFX_OK;
}

static inline int pfx_keep(void *context, int channel, const pfx_coefficient *values)
{
    pfx_coefficient *const output = (pfx_coefficient *)context;
    for (int32_t i = 0; i < PFX_OUT_HEIGHT * PFX_OUT_WIDTH; i++) {
        output[channel * PFX_OUT_HEIGHT * PFX_OUT_WIDTH + i] = values[i];
    }
    return 0;
}

/* Transforms one image.
 *
 * output         PFX_OUTPUT_SIZE coefficients: PFX_CHANNELS channels of PFX_OUT_HEIGHT rows of
 *                PFX_OUT_WIDTH, channels as in pfx_paths; apart from image and scratch
 *
 * The rest is as for pfx_scatter_stream. */
PFX_API int pfx_scatter(const pfx_pixel *image, pfx_coefficient *output, void *scratch,
                        size_t scratch_bytes)
{
    if (output == NULL) {
        return PFX_ERROR_NULL;
    }
    if ((uintptr_t)output % PFX_COEFFICIENT_ALIGN != 0) {
        return PFX_ERROR_ALIGNMENT;
    }
    return pfx_scatter_stream(image, pfx_keep, output, scratch, scratch_bytes);
}

/* The number a coefficient of a channel stands for, in the units of the pixels. */
PFX_API float pfx_value(int channel, pfx_coefficient coefficient)
{
#if !PFX_Q15
    (void)channel;
    return coefficient;
#else
    float value = (float)coefficient;
    for (int exponent = pfx_exponents[channel]; exponent > 0; exponent--) {
        value *= 0.5F;
    }
    for (int exponent = pfx_exponents[channel]; exponent < 0; exponent++) {
        value *= 2.0F;
    }
    return value;
#endif
}
