/* A row by columns: all in `even`, or, where every other output is wanted, those of even columns
 * there and those of odd columns `odd` numbers off; shift is then 1, else both are 0. */
typedef struct {
    pfx_cell *even;
    int32_t odd;
    int32_t shift;
} pfx_folded;

/* The number at column x. */
static inline pfx_cell *pfx_at(const pfx_folded *row, int32_t x)
{
    return row->even + (x >> row->shift) + (x & row->shift) * row->odd;
}

/* What of a kernel is not yet used. */
typedef struct {
    const pfx_use *use;
    const uint8_t *sums;
    const pfx_weight *weights;
} pfx_products;
