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
