/* How deep does the stack go?  Paint the free stack, run, and look for the
 * lowest word that lost its paint. */
#ifndef STACK_H
#define STACK_H

#include <stdint.h>

#define STACK_PAINT 0xC5A3965Cu

extern uint32_t stack_limit[], stack_top[];          /* from the linker script */

/* Paint from stack_limit up to the stack pointer and return the latter.
 * Always inlined, and the stores are volatile (no memset): so nothing of
 * this function itself lies where it paints. */
static inline __attribute__((always_inline)) uintptr_t stack_paint(void)
{
    uintptr_t pointer;
    __asm__ volatile("mov %0, sp" : "=r"(pointer) :: "memory");
    for (volatile uint32_t *word = stack_limit; (uintptr_t)word < pointer; ++word) {
        *word = STACK_PAINT;
    }
    return pointer;
}

/* The address of the lowest word used since stack_paint().  It equals
 * stack_limit where the stack ran over (or exactly filled up). */
static inline uintptr_t stack_lowest_used(void)
{
    const volatile uint32_t *word = stack_limit;
    while ((uintptr_t)word < (uintptr_t)stack_top && *word == STACK_PAINT) {
        ++word;
    }
    return (uintptr_t)word;
}

#endif
