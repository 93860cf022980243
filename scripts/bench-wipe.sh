#!/usr/bin/env bash
# Wiping a whole disk, side by side in one run: salvor, dd, shred and nwipe, in turn, on
# one loop device over a file of MIB MiB below TMPDIR, RUNS times; medians, and the goals
# as ratios. Then what each of them leaves on a failing disk. Needs root.
#
# usage: bench-wipe.sh SALVOR [MIB [RUNS]]
set -euo pipefail
salvor=$(readlink -f "${1:?usage: bench-wipe.sh SALVOR [MIB [RUNS]]}")
mib=${2:-2048} runs=${3:-5}
[ "$(id -u)" = 0 ] || { echo "bench-wipe: needs root: loop devices" >&2; exit 1; }
PATH=$PATH:/usr/sbin:/sbin
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
dev=
cleanup() {
	if [ -n "$dev" ]; then losetup -d "$dev"; fi
	rm -rf "$work"
}
trap cleanup EXIT
export SALVOR_STATE=$work/state SALVOR_OPERATOR=bench
"$salvor" init -q --shop Bench --station BENCH --dpo dpo@bench.example
"$salvor" operator add -q bench --name Bench --agreement 2026-01-05
head -c "$((mib * 1048576))" /dev/urandom >"$work/disk"
sync
dev=$(losetup --direct-io=on -f --show "$work/disk")
name=$(basename "$dev")
now() { date +%s.%N; }
median() { sort -n | awk '{a[NR]=$1} END {print a[int((NR+1)/2)]}'; }
# took NAME COMMAND…: how long a command takes until everything it wrote is on the disk.
took() {
	local t to=$work/$1
	shift
	t=$(now)
	"$@" </dev/null >/dev/null 2>"$work/stderr" || { cat "$work/stderr" >&2; return 1; }
	blockdev --flushbufs "$dev"
	echo "$(now) $t" | awk '{print $1-$2}' >>"$to"
	sync
}
field() { sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" "$2" | tail -1; }
sectors_read() { awk '{print $3}' "/sys/block/$name/stat"; }
for _ in $(seq "$runs"); do
	took dd dd if=/dev/zero of="$dev" bs=4M count="$((mib / 4))" oflag=direct conv=fsync
	took shred shred -n1 "$dev"
	took random dd if=/dev/urandom of="$dev" bs=4M count="$((mib / 4))" oflag=direct conv=fsync
	if command -v nwipe >/dev/null; then
		took nwipe nwipe --autonuke --nogui --nowait --nosignals --method=random --rounds=1 --verify=last --noblank "$dev"
	fi
	before=$(sectors_read)
	t=$(now)
	"$salvor" wipe "$dev" --confirm-serial "$name:$((mib * 1048576))" --json >"$work/out" 2>"$work/stderr" || { cat "$work/stderr" >&2; exit 1; }
	echo "$(now) $t" | awk '{print $1-$2}' >>"$work/salvor"
	field overwrite "$work/out" >>"$work/pass"
	echo "$((($(sectors_read) - before) * 512))" >>"$work/read"
	sync
done
m() { median <"$work/$1"; }
[ -e "$work/nwipe" ] || echo nan >"$work/nwipe"
awk -v mib="$mib" -v dd="$(m dd)" -v shred="$(m shred)" -v random="$(m random)" -v nwipe="$(m nwipe)" -v all="$(m salvor)" -v pass="$(m pass)" -v read="$(m read)" 'BEGIN {
	printf "%d MiB, medians in seconds: dd zero direct %.2f, shred -n1 %.2f, dd urandom %.2f, nwipe with verify %.2f,\n", mib, dd, shred, random, nwipe
	printf "    salvor: random pass %.2f, with the whole reading back %.2f\n", pass, all
	printf "%-58s %7s %7s\n", "goal", "at least", "is"
	printf "%-58s %7.2f %7.2f\n", "speed of the random pass, dd zero direct = 1", 0.95, dd / pass
	printf "%-58s %7.2f %7.2f\n", "speed of the random pass, shred -n1 = 1", 1.5, shred / pass
	printf "%-58s %7s %7s\n", "goal", "at most", "is"
	printf "%-58s %7.2f %7.2f\n", "time with reading back, shred -n1 = 1", 1.3, all / shred
	printf "%-58s %7.2f %7.2f\n", "time with reading back, nwipe = 1", 0.2, all / nwipe
	printf "read from the device in a wipe: %.3f of its size\n", read / mib / 1048576
}'
echo
(cd "$here/.." && go build -o "$work/wipefaults" ./scripts/wipefaults)
peers=("salvor=$salvor wipe {dev} --confirm-serial {name}:{bytes}" 'shred -n1=shred -n1 {dev}' 'dd zero=dd if=/dev/zero of={dev} bs=4M count=16 oflag=direct')
command -v nwipe >/dev/null && peers+=('nwipe=nwipe --autonuke --nogui --nowait --nosignals --method=random --rounds=1 --verify=last --noblank {dev}')
"$work/wipefaults" -size 64 "${peers[@]}"
