"""Other machines' code on this one: run by QEMU's user mode for results and counts, never timed."""
