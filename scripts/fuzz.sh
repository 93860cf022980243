#!/usr/bin/env bash
# Runs every fuzz target of the project for a while, one after another.
# usage: fuzz.sh DURATION (such as 30s or 5m)
set -euo pipefail
time=${1:?usage: fuzz.sh DURATION}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
fuzz() { go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 5s "$1" 2>&1 | tee "$log"; }
grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r dir; do
	grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | sed 's/^func //' | sort -u | while read -r target; do
		echo "== $dir $target"
		# On a busy machine Go before 1.27 may take the end of the time for an error
		# (go.dev/issue/75804), with no input that fails: once more then.
		fuzz "$dir" "$target" || { grep -q '^ *context deadline exceeded$' "$log" && fuzz "$dir" "$target"; }
	done
done
