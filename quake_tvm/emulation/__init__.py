"""Other machines' code run on this one, by QEMU's user mode: for results, never for times."""
