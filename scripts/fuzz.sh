#!/usr/bin/env bash
# Runs every fuzz target of the project for a while, one after another.
# usage: fuzz.sh DURATION (such as 30s or 5m)
set -euo pipefail
time=${1:?usage: fuzz.sh DURATION}
grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r dir; do
	grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | sed 's/^func //' | sort -u | while read -r target; do
		echo "== $dir $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 5s "$dir"
	done
done
