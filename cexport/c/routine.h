#if PFX_FAST
#if PFX_Q15
#if !PFX_ZERO_EDGE
#ifdef PFX_PAIRS
/* Two samples of a row, which may begin at any sample. */
static inline int16x2_t pfx_samples(const pfx_sample *row)
{
    int16x2_t pair;
    __builtin_memcpy(&pair, row, 4);
    return pair;
}

/* Two samples of a row, folded. */
static inline uint32_t pfx_folded_pair(const pfx_sample *above, const pfx_sample *below,
                                       int32_t fold)
{
    const int16x2_t one = pfx_samples(above);
    if (fold == 0) {
        return (uint32_t)one;
    }
    const int16x2_t other = pfx_samples(below);
    return (uint32_t)(fold > 0 ? __sadd16(one, other) : __ssub16(one, other));
}

/* The margins before and after n interleaved cells of two rows. */
static inline void pfx_add_pair_margins(uint32_t *cells, int32_t n, int32_t margin)
{
    for (int32_t i = 0; i < margin; i++) {
        cells[-1 - i] = cells[n - 1 - i];
        cells[n + i] = cells[i];
    }
}

/* n / 2 times two columns of two rows, interleaved: even ones and odd ones, each `next` apart. */
static PFX_INLINED void pfx_interleave(uint32_t *even, uint32_t *odd, int32_t next,
                                       const pfx_sample *const rows[4], int32_t fold,
                                       int32_t other_fold, int32_t n)
{
    const pfx_sample *const above = rows[0];
    const pfx_sample *const below = rows[1];
    const pfx_sample *const upper = rows[2];
    const pfx_sample *const lower = rows[3];
    for (int32_t x = 0; x + 1 < n; x += 2) {
        const uint32_t one = pfx_folded_pair(above + x, below + x, fold);
        const uint32_t other = pfx_folded_pair(upper + x, lower + x, other_fold);
        *even = (one & 0xFFFFU) | (other << 16);
        *odd = (one >> 16) | (other & 0xFFFF0000U);
        even += next;
        odd += next;
    }
}

/* Lays two rows that a kernel reads as cells, interleaved; if `odd` is not 0, odd columns apart. */
static inline void pfx_lay_pair(uint32_t *cells, int32_t odd, const pfx_maps *maps,
                                const pfx_line *first, const pfx_line *second, int32_t y,
                                int32_t margin)
{
    const int32_t n = maps->width;
    const int32_t fold = first->fold;
    const int32_t other_fold = second->fold;
    int32_t next = 1;
    if (odd == 0) {
        next = 2;
    }
    uint32_t *const odd_cells = cells + (odd == 0 ? 1 : odd);
    const pfx_sample *const above = pfx_row(maps, first->map, y + first->row);
    const pfx_sample *const upper = pfx_row(maps, second->map, y + second->row);
    /* Where a row is not folded, the one it would be folded with is not read. */
    const pfx_sample *const rows[4] = {
        above,
        fold == 0 ? above : pfx_row(maps, first->map, y - first->row),
        upper,
        other_fold == 0 ? upper : pfx_row(maps, second->map, y - second->row),
    };
    /* Loops without decisions for most. */
    if (fold != other_fold) {
        pfx_interleave(cells, odd_cells, next, rows, fold, other_fold, n);
    } else if (fold == 0) {
        pfx_interleave(cells, odd_cells, next, rows, 0, 0, n);
    } else if (fold > 0) {
        pfx_interleave(cells, odd_cells, next, rows, 1, 1, n);
    } else {
        pfx_interleave(cells, odd_cells, next, rows, -1, -1, n);
    }
    if (n % 2 != 0) {
        const int32_t one = rows[0][n - 1] + (fold == 0 ? 0 : fold * rows[1][n - 1]);
        const int32_t other =
            rows[2][n - 1] + (other_fold == 0 ? 0 : other_fold * rows[3][n - 1]);
        cells[(n - 1) / 2 * next] = ((uint32_t)one & 0xFFFFU) | ((uint32_t)other << 16);
    }
    if (odd == 0) {
        pfx_add_pair_margins(cells, n, margin);
    } else {
        pfx_add_pair_margins(cells, (n + 1) >> 1, margin);
        pfx_add_pair_margins(cells + odd, n >> 1, margin);
    }
}
#endif
#endif
#endif

/* Lays all rows that a kernel reads for its outputs of row y as cells. */
static inline void pfx_begin_row(const pfx_kernel *kernel, const pfx_maps *maps, int32_t y,
                                 const pfx_scratch *scratch)
{
    const int32_t margin = kernel->margin;
    const int32_t odd = kernel->odd;
    const int32_t step = PFX_STEP(kernel);
    int32_t i = 0;
#if PFX_Q15
#if !PFX_ZERO_EDGE
#ifdef PFX_PAIRS
    for (; step == 2 && i < kernel->n_lines; i += 2) {
        pfx_cell *const row = scratch->cells + i * kernel->pitch;
        const pfx_line *const line = &kernel->lines[i];
        pfx_lay_pair((uint32_t *)(void *)row + margin, odd, maps, line,
                     line + (i + 1 < kernel->n_lines), y, margin);
    }
#endif
#endif
#endif
    for (; i < kernel->n_lines; i++) {
        const int32_t second = i & (step - 1); /* of two that lie interleaved */
        pfx_cell *const row = scratch->cells + (i - second) * kernel->pitch + second;
        pfx_fold_rows(row + margin * step, step, odd, maps, &kernel->lines[i], y, margin);
    }
}

/* Every sum of a kernel for n outputs of the row begun: those at columns stride (x + i). */
static inline void pfx_sums(const pfx_kernel *kernel, int32_t x, int32_t n,
                            const pfx_scratch *scratch)
{
    kernel->sum(scratch->cells + (kernel->margin + x) * PFX_STEP(kernel), kernel->weights,
                scratch->sums, n);
}
#else
/* Every sum of a kernel for n outputs of one row: those at row y and columns stride (x + i). */
static inline void pfx_correlate(const pfx_kernel *kernel, const pfx_maps *maps, int32_t y,
                                 int32_t x, int32_t stride, int32_t n, const pfx_scratch *scratch)
{
    const int32_t margin = (kernel->half + stride - 1) >> (stride - 1);
    const pfx_folded row = {scratch->cells + margin,
                             stride == 1 ? 0 : ((maps->width + 1) >> 1) + 2 * margin, stride - 1};
    const pfx_folded from_x = {row.even + x, row.odd, row.shift};
    pfx_products products = {kernel->uses, kernel->sums, kernel->weights};
    for (int32_t i = 0; i < kernel->n_sums * n; i++) {
        scratch->sums[i] = 0;
    }
    for (const pfx_line *line = kernel->lines; line != kernel->lines + kernel->n_lines; line++) {
        pfx_fold_rows(row.even, 1, row.odd, maps, line, y, margin);
        products = pfx_add_products(products, line->uses, &from_x, scratch->sums, n);
    }
}
#endif

/* The sums of n outputs, `pitch` apart, that mirrored filters share become their outputs. */
static inline void pfx_share(const pfx_kernel *kernel, pfx_sum *sums, int32_t pitch, int32_t n)
{
    for (int32_t o = 0; o < kernel->n_outputs; o++) {
        const pfx_output *const output = &kernel->outputs[o];
        if (output->sign > 0) {
            pfx_sum *const PFX_RESTRICT first = sums + output->first * pitch;
            pfx_sum *const PFX_RESTRICT second = sums + output->second * pitch;
            for (int32_t i = 0; i < n; i++) {
                const pfx_sum sum = first[i] + second[i];
                second[i] = first[i] - second[i];
                first[i] = sum;
            }
        }
    }
}

/* Output o of a kernel, after pfx_share. */
static inline const pfx_sum *pfx_output_row(const pfx_kernel *kernel, int32_t o, int32_t pitch,
                                            const pfx_sum *sums)
{
    const pfx_output *const output = &kernel->outputs[o];
    return sums + (output->sign < 0 ? output->second : output->first) * pitch;
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
    const int32_t stride = step->wavelet_stride;
    const int32_t width = moduli->width;
    const int32_t stored = pfx_modulo(y - moduli->origin, moduli->stored_rows);
    pfx_sample *const target = scratch->moduli + stored * width;
#if !PFX_ZERO_EDGE
    y = pfx_modulo(y, moduli->height);
#endif
#if PFX_FAST
    const int32_t pitch = PFX_CHUNK;
    pfx_begin_row(wavelets, source, y * stride, scratch);
#else
    const int32_t pitch = width;
#endif
    for (int32_t x = 0; x < width; x += pitch) {
        const int32_t n = width - x < pitch ? width - x : pitch;
#if PFX_FAST
        pfx_sums(wavelets, x, n, scratch);
#else
        pfx_correlate(wavelets, source, y * stride, x, stride, n, scratch);
#endif
        pfx_share(wavelets, scratch->sums, pitch, n);
        for (int32_t o = 0; o < orientations; o++) {
            const pfx_sum *const real = pfx_output_row(wavelets, o, pitch, scratch->sums);
            const pfx_sum *const imag = pfx_output_row(wavelets, o + orientations, pitch,
                                                            scratch->sums);
#if PFX_Q15
            pfx_modulus(target + o * moduli->stored_rows * width + x, real, imag, n,
                        shifts[o]);
#else
            pfx_modulus(target + o * moduli->stored_rows * width + x, real, imag, n);
#endif
        }
    }
}

/* Row y of what a step makes of a map, or of one of its moduli, into its target maps. */
#if PFX_Q15
static inline void pfx_smoothed_row(const pfx_step *step, const pfx_maps *maps, int32_t y,
                                    pfx_sample *target, const pfx_scratch *scratch,
                                    const uint8_t *shifts)
#else
static inline void pfx_smoothed_row(const pfx_step *step, const pfx_maps *maps, int32_t y,
                                    pfx_sample *target, const pfx_scratch *scratch)
#endif
{
    const pfx_kernel *const smoothing = step->smoothing;
    const int32_t centre = (step->first_row + y) * step->stride;
    const int32_t columns = step->columns;
#if PFX_FAST
    const int32_t pitch = PFX_CHUNK;
    pfx_begin_row(smoothing, maps, centre, scratch);
#else
    const int32_t pitch = columns;
#endif
    for (int32_t x = 0; x < columns; x += pitch) {
        const int32_t n = columns - x < pitch ? columns - x : pitch;
#if PFX_FAST
        pfx_sums(smoothing, step->first_column + x, n, scratch);
#else
        pfx_correlate(smoothing, maps, centre, step->first_column + x, step->stride, n, scratch);
#endif
        pfx_share(smoothing, scratch->sums, pitch, n);
        for (int32_t i = 0; i < smoothing->n_outputs; i++) {
            pfx_sample *const row = target + (i * step->rows + y) * columns + x;
            const pfx_sum *const sum = pfx_output_row(smoothing, i, pitch, scratch->sums);
#if PFX_Q15
            pfx_store(row, sum, n, shifts[i]);
#else
            pfx_store(row, sum, n);
#endif
        }
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
    const int32_t outputs = smoothing->n_outputs;
    const int32_t target_size = step->rows * step->columns;
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
                pfx_sample *const maps = target + o * outputs * target_size;
#if PFX_Q15
                pfx_smoothed_row(step, &moduli, y, maps, scratch, shifts + o * outputs);
#else
                pfx_smoothed_row(step, &moduli, y, maps, scratch);
#endif
                moduli.samples += moduli.stored_rows * moduli.width;
            }
            moduli.samples -= orientations * moduli.stored_rows * moduli.width;
        }
#if PFX_Q15
        shifts += orientations * outputs;
#endif
        source.samples += step->maps * step->height * step->width;
        if (!emits) {
            target += orientations * outputs * target_size;
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
    pfx_cell *const cells = (pfx_cell *)(void *)(sums + PFX_SUMS);
    pfx_sample *const samples = (pfx_sample *)(void *)(cells + PFX_CELLS);
    const pfx_scratch parts = {
        samples,
        samples + PFX_WORKSPACE_SAMPLES,
        samples + PFX_WORKSPACE_SAMPLES + PFX_MODULI_SAMPLES,
        cells,
        sums,
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
