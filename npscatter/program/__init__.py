"""What is computed: integers in, a straight-line program out. Every executor runs the same one."""
