#include "counter.h"

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define ICSR     (*(volatile uint32_t *)0xE000ED04u)

#define CSR_ENABLE           (1u << 0)
#define CSR_TICKINT          (1u << 1)
#define CSR_PROCESSOR_CLOCK  (1u << 2)
#define ICSR_PENDSTSET       (1u << 26)

/* SysTick counts down from here; smaller values are for testing the wrap. */
#ifndef COUNTER_RELOAD
#define COUNTER_RELOAD 0xFFFFFFu
#endif

void systick_handler(void);

static volatile uint32_t wraps;

void systick_handler(void)
{
    ++wraps;
}

void counter_start(void)
{
    SYST_CSR = 0u;
    SYST_RVR = COUNTER_RELOAD;
    SYST_CVR = 0u;                                   /* any write clears it */
    wraps = 0u;
    SYST_CSR = CSR_ENABLE | CSR_TICKINT | CSR_PROCESSOR_CLOCK;
    while (SYST_CVR == 0u) {                         /* loaded at the first tick */
    }
}

uint64_t counter_ticks(void)
{
    /* With interrupts off, a wrap shows as a pending interrupt: then the
     * timer is read again, certainly behind the wrap. */
    __asm__ volatile("cpsid i" ::: "memory");
    uint32_t left = SYST_CVR;
    uint32_t periods = wraps;
    if ((ICSR & ICSR_PENDSTSET) != 0u) {
        left = SYST_CVR;
        ++periods;
    }
    __asm__ volatile("cpsie i" ::: "memory");
    return (uint64_t)periods * ((uint64_t)COUNTER_RELOAD + 1u) + (COUNTER_RELOAD - left);
}

uint64_t counter_instructions(uint64_t ticks)
{
    return ticks * COUNTER_NUMERATOR / COUNTER_DENOMINATOR;
}

uint64_t counter_check(void)
{
    const uint64_t before = counter_ticks();
    uint32_t rounds = COUNTER_CHECK_INSTRUCTIONS / 2u;
    __asm__ volatile(".syntax unified\n"
                     "1:\tsubs %0, #1\n\t"
                     "bne 1b"
                     : "+l"(rounds) :: "cc");
    return counter_instructions(counter_ticks() - before);
}
