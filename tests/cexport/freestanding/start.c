/* What a program needs that has no C library and runs in qemu-user: an entry, the two system calls
 * of Linux that it makes, and the functions that compilers call for copies and zeros. */
#include "start.h"

#if defined(__riscv)
enum { WRITE = 64, EXIT = 93 };

static long call(long number, long first, const void *second, long third)
{
    register long a7 __asm__("a7") = number;
    register long a0 __asm__("a0") = first;
    register const void *a1 __asm__("a1") = second;
    register long a2 __asm__("a2") = third;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
    return a0;
}
#elif defined(__arm__)
enum { WRITE = 4, EXIT = 1 };

static long call(long number, long first, const void *second, long third)
{
    register long r7 __asm__("r7") = number;
    register long r0 __asm__("r0") = first;
    register const void *r1 __asm__("r1") = second;
    register long r2 __asm__("r2") = third;
    __asm__ volatile("svc 0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2) : "memory");
    return r0;
}
#else
#error "no system calls are known of this processor"
#endif

int main(void);
void _start(void);

static void leave(int code)
{
    for (;;) {
        (void)call(EXIT, code, 0, 0);
    }
}

/* To standard output. */
void write_bytes(const void *bytes, size_t count)
{
    const char *next = bytes;
    while (count > 0) {
        const long written = call(WRITE, 1, next, (long)count);
        if (written <= 0) {
            leave(99);
        }
        next += written;
        count -= (size_t)written;
    }
}

void _start(void)
{
    leave(main());
}

/* Bytes are volatile, so that none of the loops becomes a call of what it stands for. */
void *memcpy(void *target, const void *source, size_t count)
{
    return memmove(target, source, count);
}

void *memmove(void *target, const void *source, size_t count)
{
    volatile char *const to = target;
    const char *const from = source;
    const int forwards = (uintptr_t)target < (uintptr_t)source;
    for (size_t i = 0; i < count; i++) {
        const size_t at = forwards ? i : count - 1 - i;
        to[at] = from[at];
    }
    return target;
}

void *memset(void *target, int value, size_t count)
{
    volatile char *const to = target;
    for (size_t i = 0; i < count; i++) {
        to[i] = (char)value;
    }
    return target;
}
