# shellcheck shell=bash
# guest/lib/initramfs.sh: how our initramfs images are put together; sourced after tools/lib/common.sh.

# module_files KERNEL NAME...: the module files that NAME... need, dependencies first, one a line.
# KERNEL is a folder of guest/debian-kernel/fetch. A module that is built in needs no file.
module_files() {
    local kernel=$1 release name
    release=$(<"$kernel/release")
    shift
    for name; do
        PATH=$PATH:/usr/sbin:/sbin modprobe -d "$kernel" -S "$release" --show-depends "$name" ||
            fail "kernel $release: no module $name"
    done | sed -nE 's/^insmod ([^ ]+).*/\1/p' | awk '!seen[$0]++'
}

# add_modules KERNEL ROOT NAME...: copies the modules into ROOT/modules and lists them, in the order
# in which they can be loaded, in ROOT/modules/order.
add_modules() {
    local kernel=$1 root=$2 file
    shift 2
    mkdir -p "$root/modules"
    module_files "$kernel" "$@" | while read -r file; do
        cp "$file" "$root/modules/"
        basename "$file"
    done >"$root/modules/order"
}

# add_busybox ROOT: Debian's static busybox and the folders that an init needs.
add_busybox() {
    mkdir -p "$1"/{bin,dev,proc,sys,run,tmp,root}
    cp /bin/busybox "$1/bin/busybox"
    ln -sf busybox "$1/bin/sh"
}

# pack_initramfs ROOT FILE: a newc archive, not compressed (a guest unpacks it faster than it would
# decompress it), with the same bytes for the same content.
pack_initramfs() {
    find "$1" -exec touch -h -d @0 {} +
    (cd "$1" && find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet) >"$2"
}

# build_static SOURCE... OUTPUT: a program for a root that has no libraries.
build_static() {
    gcc -std=c11 -Os -Wall -Wextra -Werror -static -ffunction-sections -Wl,--gc-sections -o "${@: -1}" "${@:1:$#-1}"
    strip -s "${@: -1}"
}

compiler_version() { gcc --version; }
