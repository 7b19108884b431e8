#!/bin/sh
# Compiles module.c with the nps.h that lies in HEADER_DIR:
#
#     ./build.sh HEADER_DIR [FOLDER [OPTION ...]]
#
# into FOLDER/scatter.wasm and, for hosts with 128-bit vectors, FOLDER/scatter-simd.wasm; FOLDER is
# the current one by default. OPTIONs go to clang, e.g. -DNPS_SELFTEST, which adds selftest().
# Needs clang and wasm-ld (Debian: clang lld). CLANG names another clang.
#
# SPDX-License-Identifier: BSD-3-Clause
set -eu

if [ $# -lt 1 ] || [ ! -f "$1/nps.h" ]; then
    echo "usage: $0 HEADER_DIR [FOLDER [OPTION ...]], where HEADER_DIR/nps.h exists" >&2
    exit 2
fi
header_dir=$1
folder=${2:-.}
shift
[ $# -eq 0 ] || shift
mkdir -p "$folder"

compile() { # module, options
    module=$1
    shift
    # NPS_SQRTF: WebAssembly has an instruction for square roots, f32.sqrt; math.h is not needed.
    # --no-entry: there is no main. --stack-first: a stack that overflows traps.
    "${CLANG:-clang}" --target=wasm32 -std=c99 -O3 -ffreestanding -nostdlib -fno-math-errno \
        -Wall -Wextra -Wpedantic -Wconversion -DNPS_SQRTF=__builtin_sqrtf -I "$header_dir" "$@" \
        -Wl,--no-entry -Wl,--stack-first -Wl,-z,stack-size=16384 -Wl,--strip-all \
        "$(dirname "$0")/module.c" -o "$module"
}

compile "$folder/scatter.wasm" "$@"
compile "$folder/scatter-simd.wasm" -msimd128 "$@"
