/* The functions of a header as second.c, another translation unit, sees them.
 * SPDX-License-Identifier: BSD-3-Clause */

#ifndef NPS_SECOND_H
#define NPS_SECOND_H

#include <stddef.h>

/* nps_scatter; image is of nps_pixel, output of nps_coefficient. */
int second_scatter(const void *image, void *output, void *scratch, size_t scratch_bytes);

/* nps_value of the coefficient that is 1. */
float second_unit(int channel);

#endif
