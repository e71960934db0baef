"""Run other machines' code in QEMU's user mode, for results and counts but not for times."""
