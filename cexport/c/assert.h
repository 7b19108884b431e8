/* Does not compile unless the condition holds. */
#define PFX_ASSERT(condition, name) typedef char pfx_assert_##name[(condition) ? 1 : -1]
