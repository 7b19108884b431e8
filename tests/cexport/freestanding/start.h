/* See start.c. */
#ifndef START_H
#define START_H

#include <stddef.h>
#include <stdint.h>

void write_bytes(const void *bytes, size_t count);
void *memcpy(void *target, const void *source, size_t count);
void *memmove(void *target, const void *source, size_t count);
void *memset(void *target, int value, size_t count);

#endif
