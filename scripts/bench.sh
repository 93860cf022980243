#!/usr/bin/env bash
# Imaging speed against cp, on the disk that holds TMPDIR: a file of SIZE MiB in the
# page cache, encrypted and sealed, next to `cp --sparse=never` and sync of the same
# file, in turn, RUNS times. Prints the medians and their ratio.
#
# usage: bench.sh SALVOR [MIB [RUNS]]
set -euo pipefail
salvor=$(readlink -f "${1:?usage: bench.sh SALVOR [MIB [RUNS]]}")
mib=${2:-2048} runs=${3:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SALVOR_STATE=$work/state SALVOR_OPERATOR=bench
age-keygen -o "$work/a.key" 2>/dev/null
age-keygen -o "$work/b.key" 2>/dev/null
"$salvor" init -q --shop Bench --station BENCH --dpo dpo@bench.example
"$salvor" key add -q "$(age-keygen -y "$work/a.key")" --label a
"$salvor" key add -q "$(age-keygen -y "$work/b.key")" --label b
"$salvor" operator add -q bench --name Bench --agreement 2026-01-05
mkdir "$work/vault"
"$salvor" vault add -q "$work/vault" --name bench
head -c "$((mib * 1048576))" /dev/urandom >"$work/disk.img"
sync
now() { date +%s.%N; }
median() { sort -n | awk '{a[NR]=$1} END {print a[int((NR+1)/2)]}'; }
for i in $(seq "$runs"); do
	cat "$work/disk.img" >/dev/null
	t=$(now); cp --sparse=never "$work/disk.img" "$work/copy.img"; sync "$work/copy.img"
	echo "$(now) $t" | awk '{print $1-$2}' >>"$work/cp"
	rm "$work/copy.img"; sync
	cat "$work/disk.img" >/dev/null
	t=$(now)
	"$salvor" image "$work/disk.img" --customer "run $i" --purpose transfer --agreed --keep 0d --verify quick --json >"$work/out"
	echo "$(now) $t" | awk '{print $1-$2}' >>"$work/salvor"
	sed -n 's/.*"peak_rss":\([0-9]*\).*/\1/p' "$work/out" >>"$work/rss"
	rm -rf "$work/vault/cases" "$work/vault/keystore"; sync
done
cp=$(median <"$work/cp") us=$(median <"$work/salvor")
awk -v c="$cp" -v s="$us" -v m="$mib" -v r="$(median <"$work/rss")" 'BEGIN {
	printf "%d MiB: cp and sync %.2f s (%.0f MB/s), salvor image %.2f s (%.0f MB/s), ratio %.2f; peak memory %.0f MiB\n",
		m, c, m*1.048576/c, s, m*1.048576/s, c/s, r/1048576 }'
