/* Start-up code for Cortex-M0 up to M55: the vector table, the FPU, .data,
 * .bss and a painted stack, then main(). */
#include "semihosting.h"
#include "stack.h"

int main(void);
void systick_handler(void);                          /* counter.c */

/* From the linker script. */
extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[];

/* Kept apart from reset_handler: with optimisation its loops may become
 * vector instructions, which fault until reset_handler has enabled them.  The
 * stores are volatile so that none of the loops becomes a call. */
static void __attribute__((noreturn, noinline)) start(void)
{
    const uint32_t *from = data_load;
    for (volatile uint32_t *to = data_start; to < data_end; ++to) {
        *to = *from++;
    }
    for (volatile uint32_t *to = bss_start; to < bss_end; ++to) {
        *to = 0u;
    }
    (void)stack_paint();
    semihosting_exit(main());
}

void __attribute__((noreturn)) reset_handler(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    /* CPACR: full access to CP10 and CP11, which is the FPU and, on
     * Armv8.1-M, the vector extension (MVE) as well. */
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    start();
}

static void __attribute__((noreturn, used)) report_fault(void)
{
    semihosting_write("fault=1\n");
    semihosting_exit(3);
}

/* The fault may be a stack that ran over: take a fresh one first. */
static void __attribute__((naked)) fault_handler(void)
{
    __asm__ volatile("ldr r0, =stack_top\n\t"
                     "mov sp, r0\n\t"
                     "ldr r0, =report_fault\n\t"
                     "bx r0\n\t"
                     ".ltorg");
}

typedef void (*handler)(void);

struct vector_table {
    uint32_t *initial_stack;
    handler handlers[15];
};

__attribute__((section(".vectors"), used))
static const struct vector_table vectors = {
    stack_top,
    {
        reset_handler,
        fault_handler,                               /* NMI */
        fault_handler,                               /* HardFault */
        fault_handler,                               /* MemManage */
        fault_handler,                               /* BusFault */
        fault_handler,                               /* UsageFault */
        fault_handler,                               /* SecureFault */
        0, 0, 0,
        fault_handler,                               /* SVCall */
        fault_handler,                               /* DebugMonitor */
        0,
        fault_handler,                               /* PendSV */
        systick_handler,
    },
};
