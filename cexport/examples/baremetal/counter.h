/* Executed instructions, counted with SysTick under "qemu -icount shift=0". */
#ifndef COUNTER_H
#define COUNTER_H

#include <stdint.h>

/* Under -icount shift=0 QEMU's clock advances 1 ns for each instruction, and
 * SysTick advances by the board's clock: so one tick is this many instructions,
 *     COUNTER_NUMERATOR / COUNTER_DENOMINATOR = 1000 / (clock in MHz),
 * both of them defined by the Makefile for each board. */

/* Start SysTick from zero. */
void counter_start(void);

/* Ticks since counter_start(), wraps of the 24-bit timer included. */
uint64_t counter_ticks(void);

/* Ticks as instructions; the resolution is one tick (31 to 63 instructions). */
uint64_t counter_instructions(uint64_t ticks);

/* Count a loop of exactly COUNTER_CHECK_INSTRUCTIONS instructions (even). */
#ifndef COUNTER_CHECK_INSTRUCTIONS
#define COUNTER_CHECK_INSTRUCTIONS 1000000u
#endif
uint64_t counter_check(void);

#endif
