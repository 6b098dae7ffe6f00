#!/usr/bin/env bash
# Runs every check and every test. Quiet about what succeeds, loud about what fails; the last line is a count.
#
#   scripts/test.sh                all of it
#   scripts/test.sh --test phones  cargo test's own arguments: only these
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failures=()

# Runs a step; what it says is shown where it fails.
step() {
  local what=$1 begun=$SECONDS
  shift
  printf '%-44s' "$what"
  if "$@" >"$log" 2>&1; then
    printf 'ok, %d s\n' $((SECONDS - begun))
  else
    printf 'FAILED\n'
    cat "$log"
    failures+=("$what")
    return 1
  fi
}

# Adds up what the test runners of a step said: passed and failed.
passed=0 failed=0
count() {
  local sums
  sums=$(awk '/^test result:/ { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1); if ($i ~ /^failed/) f += $(i-1) } }
              END { print p + 0, f + 0 }' "$log")
  passed=$((passed + ${sums% *})) failed=$((failed + ${sums#* }))
}

suites=(tidy dialplans cli kill sim phones)

if [ $# != 0 ]; then
  step "tests" cargo test --quiet "$@"
  count
else
  step "build of the page" npm --prefix web run build --silent
  step "format" cargo fmt --all --check
  step "lint" cargo clippy --quiet --all-targets -- -D warnings
  if step "build of the tests" cargo test --quiet --no-run --lib --bins "${suites[@]/#/--test=}"; then
    step "tests: library" cargo test --quiet --lib
    count
    for suite in "${suites[@]}"; do
      step "tests: $suite" cargo test --quiet --test "$suite"
      count
    done
    step "tests: page with the real centre" npm --prefix web run e2e:real --silent
  fi
  step "tests: page" npm --prefix web test --silent
fi

[ ${#failures[@]} = 0 ] || printf 'failed: %s\n' "${failures[@]}"
echo "$passed passed, $failed failed"
[ ${#failures[@]} = 0 ] && [ "$failed" = 0 ]
