typedef float pfx_weight; /* a weight of a filter */
typedef float pfx_sample; /* what is stored between steps */
typedef float pfx_sum;    /* what is computed with */
typedef float pfx_cell;   /* what rows are folded into */

/* target = |real + i imag| */
static inline void pfx_modulus(pfx_sample *PFX_RESTRICT target, const pfx_sum *PFX_RESTRICT real,
                               const pfx_sum *PFX_RESTRICT imag, int32_t n)
{
    for (int32_t x = 0; x < n; x++) {
        target[x] = PFX_SQRTF(real[x] * real[x] + imag[x] * imag[x]);
    }
}

static inline void pfx_store(pfx_sample *PFX_RESTRICT target, const pfx_sum *PFX_RESTRICT sum,
                             int32_t n)
{
    for (int32_t x = 0; x < n; x++) {
        target[x] = sum[x];
    }
}
