#!/bin/sh
# The cross compilers and QEMU that tests of foreign targets run with. Installs what is missing where
# it can (Debian and its kin, as root or with sudo that asks nothing); tests skip where it cannot.
set -eu

missing=
need() { command -v "$1" >/dev/null || missing="$missing $2"; }
need gcc g++
need qemu-aarch64 qemu-user
need aarch64-linux-gnu-gcc g++-aarch64-linux-gnu
need arm-linux-gnueabihf-gcc g++-arm-linux-gnueabihf
[ -n "$missing" ] || exit 0

sudo=
[ "$(id -u)" = 0 ] || sudo='sudo -n'
if ! command -v apt-get >/dev/null || ! $sudo true 2>/dev/null; then
    echo "some tests will be skipped: install$missing" >&2
    exit 0
fi
echo "installing$missing"
$sudo apt-get update -qq || true
# shellcheck disable=SC2086
$sudo apt-get install -qq --yes --no-install-recommends $missing >/dev/null ||
    echo "some tests will be skipped: could not install$missing" >&2
