/* A row that filters read: row(y + row) of a map, or folded, row(y + row) + fold row(y - row), fold
 * being 1 or -1, and 0 for none. */
typedef struct {
    uint8_t map;
    int8_t row;
    int8_t fold;
#if !PFX_FAST
    uint8_t uses; /* how many uses of its samples follow in the kernel's list */
#endif
} pfx_line;

#if !PFX_FAST
/* Samples of such a row, side by side from a column on: each the one at its column, or folded, its
 * sum with or difference from the one at -column, but at 0 always the one alone. And how many sums
 * they enter, times a weight each; the weights of the first sample stand first. */
typedef struct {
    int8_t column;
    uint8_t how; /* PFX_USE(samples, sums, fold) */
} pfx_use;

#define PFX_USE(samples, sums, fold) (16 * (samples) + 3 * (sums) + 1 + (fold))

#endif
/* Output o of a kernel is sum[first] + sign sum[second]: mirrored filters share two sums. */
typedef struct {
    uint8_t first;
    uint8_t second;
    int8_t sign;
} pfx_output;

#if PFX_FAST
/* Every sum of n outputs side by side, from the cell of the first; sum s of output x is
 * sums[s PFX_CHUNK + x]. */
typedef void (*pfx_summation)(const pfx_cell *cells, const pfx_weight *weights, pfx_sum *sums,
                              int32_t n);

/* How one array of filters is summed. Its rows lie `pitch` cells apart, or are interleaved two and
 * two if `paired` and the processor multiplies pairs. */
typedef struct {
    const pfx_line *lines;
    pfx_summation sum;
    const pfx_weight *weights;
    const pfx_output *outputs; /* of wavelets: all real parts, then all imaginary parts */
    uint16_t n_lines;
    uint16_t pitch;
    uint16_t odd; /* cells from a row's even columns to its odd ones; 0 if these are together */
    uint8_t n_outputs;
    uint8_t half;   /* the farthest that a row or column is off */
    uint8_t margin; /* cells in front of a row, and behind it */
    uint8_t paired;
} pfx_kernel;
#else
/* How one array of filters is summed. Which sums samples enter, and the weights, stand in the
 * order in which they are used. */
typedef struct {
    const pfx_line *lines;
    const pfx_use *uses;
    const uint8_t *sums;
    const pfx_weight *weights;
    const pfx_output *outputs; /* of wavelets: all real parts, then all imaginary parts */
    uint16_t n_lines;
    uint8_t n_sums;
    uint8_t n_outputs;
    uint8_t half; /* the farthest that a row or column is off */
} pfx_kernel;
#endif
