/* One step: for each group of source maps the modulus of its wavelets, if there are any, then the
 * smoothing of each modulus (or of the group), into the next maps or into the output. */
typedef struct {
    const pfx_kernel *wavelets; /* or NULL */
    const pfx_kernel *smoothing;
    uint32_t source; /* first sample in the workspace */
    uint32_t target; /* likewise, or PFX_OUTPUT */
    uint16_t groups;
    uint16_t maps; /* per group */
    uint16_t height;
    uint16_t width; /* of a source map */
    uint16_t modulus_height;
    uint16_t modulus_width; /* of what is smoothed: a modulus, or a source map */
    uint8_t wavelet_stride;
    uint8_t stride;
    uint16_t first_row;
    uint16_t first_column;
    uint16_t rows;
    uint16_t columns; /* what is computed of each target map */
    uint16_t channel; /* first entry in pfx_channels, if the target is the output */
#if PFX_Q15
    uint16_t shift; /* first entry in pfx_shifts */
#endif
} pfx_step;

#define PFX_OUTPUT UINT32_MAX
