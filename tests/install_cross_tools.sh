#!/bin/sh
# Installs the cross compilers, QEMU and llvm-mca that tests of foreign targets need, if they are
# missing. This works on Debian and its derivatives, as root or with sudo without a password. If a
# tool cannot be installed, its tests are skipped.
set -eu

missing=
need() { command -v "$1" >/dev/null || missing="$missing $2"; }
need gcc g++
need qemu-aarch64 qemu-user
need aarch64-linux-gnu-g++ g++-aarch64-linux-gnu
need arm-linux-gnueabihf-g++ g++-arm-linux-gnueabihf
need llvm-mca-19 llvm-19
[ -n "$missing" ] || exit 0

sudo=
[ "$(id -u)" = 0 ] || sudo='sudo -n'
if ! command -v apt-get >/dev/null || ! $sudo true 2>/dev/null; then
    echo "some tests will be skipped: install$missing" >&2
    exit 0
fi
echo "installing$missing"
$sudo apt-get update -qq || true
for package in $missing; do
    # a release without this version has another version under the name without a number
    apt-cache show "$package" >/dev/null 2>&1 || package=${package%-19}
    $sudo apt-get install -qq --yes --no-install-recommends "$package" >/dev/null ||
        echo "some tests will be skipped: could not install $package" >&2
done
