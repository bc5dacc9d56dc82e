# Sourced by the scripts of compat-tests: where things are, and the pinned versions.
# shellcheck shell=bash disable=SC2034

COMPAT_TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REPO=$(dirname "$COMPAT_TESTS")
# Everything that setup fetches or builds goes below this folder.
COMPAT=${ZABRA_COMPAT_DIR:-$REPO/.compat}
export COMPAT_TESTS REPO COMPAT
export ZABRA_COMPAT_DIR=$COMPAT

# The real tools, never a stand-in from compat-tests/bin.
find_tool() {
  local dir
  while IFS= read -r -d: dir; do
    [ "$dir" = "$COMPAT_TESTS/bin" ] && continue
    [ -x "$dir/$1" ] && { printf '%s\n' "$dir/$1"; return 0; }
  done <<<"$PATH:"
  return 1
}
