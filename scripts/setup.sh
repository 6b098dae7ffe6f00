#!/usr/bin/env bash
# Installs what building and testing need on Debian or Ubuntu, and nothing that is there already.
# Safe to repeat. Where it may not install, it names the command and stops.
#
#   scripts/setup.sh build    what `make build` and `make demo` need
#   scripts/setup.sh test     the same, and the real clients of the tests (default)
#   scripts/setup.sh prompts  the voice that speaks the prompts
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages=(build-essential cmake pkg-config)
test_packages=(sip-tester baresip-core tshark chromium fonts-noto-cjk)
prompt_packages=(espeak-ng sox)

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

have_package() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Runs a command as root; names it where that is not possible.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif sudo -n true 2>/dev/null; then
    sudo "$@"
  else
    die "this needs root, please run:  sudo$(printf ' %q' "$@")"
  fi
}

install_packages() {
  local missing=() package
  for package in "$@"; do have_package "$package" || missing+=("$package"); done
  [ ${#missing[@]} = 0 ] && return
  command -v apt-get >/dev/null || die "this is not Debian or Ubuntu, please install: ${missing[*]}"
  say "installing ${missing[*]}"
  # tshark asks whether others than root may capture; the answer is given below.
  as_root env DEBIAN_FRONTEND=noninteractive sh -c \
    "apt-get update -qq && apt-get install -y -qq --no-install-recommends ${missing[*]} >/dev/null"
}

# Who is not root needs two programs to have the network's raw side: sipp plays RTP, dumpcap captures it.
allow_raw() {
  [ "$(id -u)" = 0 ] && return
  local program
  for program in "$(command -v sipp)" "$(command -v dumpcap)"; do
    getcap "$program" 2>/dev/null | grep -q cap_net_raw && continue
    say "letting $program use raw sockets"
    as_root setcap cap_net_raw,cap_net_admin+eip "$program"
  done
}

want_rust() {
  command -v cargo >/dev/null || die "Rust is missing, please run:  curl https://sh.rustup.rs -sSf | sh -s -- -y"
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  found=$(rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -1)" = "$wanted" ] ||
    die "Rust $wanted or later is wanted, this is $found, please run:  rustup update stable"
}

# Debian 12 ships Node 18, so NodeSource is named where Node is missing or too old.
want_node() {
  local wanted found source
  wanted=$(sed -n 's/.*"node": ">=\(.*\)".*/\1/p' web/package.json)
  source="curl -fsSL https://deb.nodesource.com/setup_${wanted%%.*}.x | sudo bash - && sudo apt-get install -y nodejs"
  command -v node >/dev/null && command -v npm >/dev/null || die "Node with npm is missing, please run:  $source"
  found=$(node --version)
  [ "$(printf '%s\n%s\n' "$wanted" "${found#v}" | sort -V | head -1)" = "$wanted" ] ||
    die "Node $wanted or later is wanted, this is ${found#v}, please run:  $source"
}

# The web side is built where it is there; its packages follow the lock file.
want_web() {
  [ -f web/package.json ] || return 0
  want_node
  if [ ! -d web/node_modules ] || [ web/package-lock.json -nt web/node_modules ]; then
    say "installing the web packages"
    (cd web && npm ci --no-audit --no-fund --loglevel=error)
    touch web/node_modules
  fi
}

case "${1:-test}" in
  build) install_packages "${build_packages[@]}"; want_rust; want_web ;;
  test) install_packages "${build_packages[@]}" "${test_packages[@]}"; want_rust; want_web; allow_raw ;;
  prompts) install_packages "${prompt_packages[@]}" ;;
  *) die "what for? build, test or prompts" ;;
esac
