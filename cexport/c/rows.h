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
#if PFX_FAST
    pfx_cell *cells;       /* the rows that a kernel reads, folded, with their margins */
    pfx_sum *sums;         /* every sum of a kernel, of PFX_CHUNK outputs */
#else
    pfx_cell *cells;       /* one folded row with its margins */
    pfx_sum *sums;         /* every sum of a kernel, of a row */
#endif
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
/* The margins before and after n cells of a row, which are `step` apart. */
#else
/* The margins before and after n cells of a row, which are `step` apart, outwards: they may be
 * wider than n. */
#endif
static inline void pfx_add_margins(pfx_cell *row, int32_t step, int32_t n, int32_t margin)
{
#if PFX_FAST
#if PFX_Q15
#ifdef PFX_VECTORS
    if (margin <= 8 && margin <= n) {
        const mve_pred16_t some = vctp16q((uint32_t)margin);
#if PFX_ZERO_EDGE
        vstrhq_p_s16(row - margin, vdupq_n_s16(0), some);
        vstrhq_p_s16(row + n, vdupq_n_s16(0), some);
#else
        vstrhq_p_s16(row - margin, vldrhq_z_s16(row + n - margin, some), some);
        vstrhq_p_s16(row + n, vldrhq_z_s16(row, some), some);
#endif
        return;
    }
#endif
#endif
#endif
    for (int32_t i = 0; i < margin; i++) {
#if PFX_ZERO_EDGE
        row[(-1 - i) * step] = 0;
        row[(n + i) * step] = 0;
#else
        row[(-1 - i) * step] = row[(n - 1 - i) * step];
        row[(n + i) * step] = row[i * step];
#endif
    }
}

#if PFX_FAST
#if PFX_Q15
#ifdef PFX_VECTORS
/* Every second sample of a row, or every one: those whose places are `some`. */
static inline int16x8_t pfx_samples(const pfx_sample *row, int32_t stride, mve_pred16_t some)
{
    if (stride == 1) {
        return vldrhq_z_s16(row, some);
    }
    return vldrhq_gather_shifted_offset_z_s16(row, vidupq_n_u16(0, 2), some);
}

/* Cell i of a row is above[stride i] + fold below[stride i]. */
static inline void pfx_fold_vectors(pfx_cell *row, const pfx_sample *above,
                                    const pfx_sample *below, int32_t fold, int32_t stride,
                                    int32_t n)
{
    for (int32_t i = 0; i < n; i += 8) {
        const int32_t rest = n - i;
        const mve_pred16_t some = vctp16q((uint32_t)rest);
        int16x8_t cells = pfx_samples(above + stride * i, stride, some);
        if (fold != 0) {
            const int16x8_t other = pfx_samples(below + stride * i, stride, some);
            cells = fold > 0 ? vaddq_s16(cells, other) : vsubq_s16(cells, other);
        }
        vstrhq_p_s16(row + i, cells, some);
    }
}
#endif
#endif
#endif

#if PFX_ZERO_EDGE
/* Cell i of a row is above[stride i] + fold below[stride i]; a row that is NULL is zero. */
#else
/* Cell i of a row is above[stride i] + fold below[stride i]. */
#endif
static inline void pfx_fold(pfx_cell *PFX_RESTRICT row, int32_t step, const pfx_sample *above,
                            const pfx_sample *below, int32_t fold, int32_t stride, int32_t n)
{
#if PFX_FAST
#if PFX_Q15
#ifdef PFX_VECTORS
    if (above != NULL && (fold == 0 || below != NULL)) {
        pfx_fold_vectors(row, above, below, fold, stride, n);
        return;
    }
#endif
#endif
#endif
#if PFX_ZERO_EDGE
    if (above == NULL && below == NULL) {
        for (int32_t i = 0; i < n; i++) {
            row[i * step] = 0;
        }
    } else if (below == NULL) {
        for (int32_t i = 0; i < n; i++) {
            row[i * step] = (pfx_cell)above[stride * i];
        }
    } else if (above == NULL) {
        for (int32_t i = 0; i < n; i++) {
            row[i * step] = (pfx_cell)(fold > 0 ? below[stride * i] : -below[stride * i]);
        }
    } else if (fold > 0) {
#else
    if (fold == 0) {
        for (int32_t i = 0; i < n; i++) {
            row[i * step] = (pfx_cell)above[stride * i];
        }
    } else if (fold > 0) {
#endif
        for (int32_t i = 0; i < n; i++) {
            row[i * step] = (pfx_cell)((pfx_sum)above[stride * i] + below[stride * i]);
        }
    } else {
        for (int32_t i = 0; i < n; i++) {
            row[i * step] = (pfx_cell)((pfx_sum)above[stride * i] - below[stride * i]);
        }
    }
}

/* The rows at y + line->row and y - line->row, folded, with margins. If `odd` is not 0, every other
 * output is wanted, and the odd columns stand so many cells after the even ones: then a map's
 * width is even, or its edge zero. */
static inline void pfx_fold_rows(pfx_cell *row, int32_t step, int32_t odd, const pfx_maps *maps,
                                 const pfx_line *line, int32_t y, int32_t margin)
{
    const int32_t fold = line->fold;
    const pfx_sample *const above = pfx_row(maps, line->map, y + line->row);
    const pfx_sample *const below = fold != 0 ? pfx_row(maps, line->map, y - line->row) : NULL;
    const int32_t width = maps->width;
    if (odd == 0) {
        pfx_fold(row, step, above, below, fold, 1, width);
        pfx_add_margins(row, step, width, margin);
        return;
    }
    for (int32_t i = 0; i < 2; i++) {
        const int32_t n = (width + 1 - i) >> 1;
        pfx_fold(row, step, above != NULL ? above + i : NULL, below != NULL ? below + i : NULL,
                 fold, 2, n);
        pfx_add_margins(row, step, n, margin);
        row += odd * step;
    }
}
