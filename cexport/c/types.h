/* Products of a few neighbouring samples of one row of a map with the weights of several sums. A
 * symmetric filter multiplies samples that were folded: first whole rows,
 * row(y + row) + row_fold row(y - row), row_fold being 1, -1, or 0 for none; then samples within
 * them, as the line says. */
typedef struct {
    uint8_t map;
    int8_t row;
    int8_t row_fold;
    uint8_t line;      /* which samples, see pfx_add_line */
    uint8_t samples;   /* how many */
    uint8_t sums;      /* how many sums they enter */
    uint16_t sum_list; /* which: from here on in the kernel's sum_list */
} pfx_run;

/* Output o of a kernel is sum[first] + sign sum[second]: mirrored filters share two sums. */
typedef struct {
    uint8_t first;
    uint8_t second;
    int8_t sign;
} pfx_output;

/* How one array of filters is summed. The weights stand in the order in which they are used: for
 * every run, for every sum, one per sample. */
typedef struct {
    const pfx_run *runs;
    const uint8_t *sum_list;
    const pfx_weight *weights;
    const pfx_output *outputs; /* of wavelets: all real parts, then all imaginary parts */
    uint16_t n_runs;
    uint8_t n_sums;
    uint8_t n_outputs;
    uint8_t half; /* K / 2 of the K x K filters */
} pfx_kernel;

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
/*@q15*/
    uint16_t shift; /* first entry in pfx_shifts */
/*@end*/
} pfx_step;

#define PFX_OUTPUT UINT32_MAX
