#!/usr/bin/env bash
# Wiping a whole disk, side by side in one run: salvor, dd, shred and nwipe, in turn, on
# one loop device over a file of MIB MiB below TMPDIR, RUNS times; medians, and the goals
# as ratios. Then salvor and dd on the same device while the kernel holds it to RATE MB/s,
# as slow as a disk is. Then what each of them leaves on a failing disk. Needs root.
#
# usage: bench-wipe.sh SALVOR [MIB [RUNS [RATE]]]
set -euo pipefail
salvor=$(readlink -f "${1:?usage: bench-wipe.sh SALVOR [MIB [RUNS [RATE]]]}")
mib=${2:-2048} runs=${3:-5} rate=${4:-500}
[ "$(id -u)" = 0 ] || { echo "bench-wipe: needs root: loop devices" >&2; exit 1; }
PATH=$PATH:/usr/sbin:/sbin
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
dev='' group=''
cleanup() {
	hold 0 || true
	if [ -n "$group" ]; then
		echo $$ >/sys/fs/cgroup/cgroup.procs
		rmdir "$group"
	fi
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
# hold BYTES: hold the device to so many bytes a second each way, 0 for as many as it can.
# It is the throttle of the kernel's block layer, in front of the device: of the control
# groups' first version for every process, of the second for this one and its children.
hold() {
	local number one=/sys/fs/cgroup/blkio
	[ -n "$dev" ] || return 0
	number=$(cat "/sys/block/$name/dev")
	if [ -e $one/blkio.throttle.write_bps_device ]; then
		echo "$number $1" >$one/blkio.throttle.write_bps_device
		echo "$number $1" >$one/blkio.throttle.read_bps_device
		return
	fi
	[ -e /sys/fs/cgroup/cgroup.subtree_control ] || return 1
	if [ -z "$group" ]; then
		[ "$1" != 0 ] || return 0
		echo "+io +memory" >/sys/fs/cgroup/cgroup.subtree_control || return 1
		group=/sys/fs/cgroup/salvor-bench-$$
		mkdir "$group"
		echo $$ >"$group/cgroup.procs"
	fi
	echo "$number rbps=${1/#0/max} wbps=${1/#0/max}" >"$group/io.max"
}
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
zeros() { dd if=/dev/zero of="$dev" bs=4M count="$((mib / 4))" oflag=direct conv=fsync; }
# wiped NAME: salvor's wipe as a whole, of it the pass, and what it read of the device.
wiped() {
	local before t
	before=$(sectors_read) t=$(now)
	"$salvor" wipe "$dev" --confirm-serial "$name:$((mib * 1048576))" --json >"$work/out" 2>"$work/stderr" || { cat "$work/stderr" >&2; exit 1; }
	echo "$(now) $t" | awk '{print $1-$2}' >>"$work/$1"
	field overwrite "$work/out" >>"$work/$1.pass"
	echo "$((($(sectors_read) - before) * 512))" >>"$work/$1.read"
	sync
}
m() { median <"$work/$1"; }
for _ in $(seq "$runs"); do
	took dd zeros
	took shred shred -n1 "$dev"
	took random dd if=/dev/urandom of="$dev" bs=4M count="$((mib / 4))" oflag=direct conv=fsync
	if command -v nwipe >/dev/null; then
		took nwipe nwipe --autonuke --nogui --nowait --nosignals --method=random --rounds=1 --verify=last --noblank "$dev"
	fi
	wiped salvor
done
[ -e "$work/nwipe" ] || echo nan >"$work/nwipe"
awk -v mib="$mib" -v dd="$(m dd)" -v shred="$(m shred)" -v random="$(m random)" -v nwipe="$(m nwipe)" -v all="$(m salvor)" -v pass="$(m salvor.pass)" -v read="$(m salvor.read)" 'BEGIN {
	printf "%d MiB, medians in seconds: dd zero direct %.2f, shred -n1 %.2f, dd urandom %.2f, nwipe with verify %.2f,\n", mib, dd, shred, random, nwipe
	printf "    salvor: random pass %.2f, with the whole reading back %.2f\n", pass, all
	printf "%-58s %7s %7s\n", "goal", "at least", "is"
	printf "%-58s %7.2f %7.2f\n", "speed of the random pass, shred -n1 = 1", 1.5, shred / pass
	printf "%-58s %7s %7.2f\n", "speed of the random pass, dd zero direct = 1", "", dd / pass
	printf "%-58s %7s %7s\n", "goal", "at most", "is"
	printf "%-58s %7.2f %7.2f\n", "time with reading back, shred -n1 = 1", 1.3, all / shred
	printf "%-58s %7.2f %7.2f\n", "time with reading back, nwipe = 1", 0.2, all / nwipe
	printf "read from the device in a wipe: %.3f of its size\n", read / mib / 1048576
}'
echo
if hold "$((rate * 1000000))"; then
	for _ in $(seq "$runs"); do
		took slow.dd zeros
		wiped slow.salvor
	done
	hold 0
	awk -v mib="$mib" -v rate="$rate" -v dd="$(m slow.dd)" -v all="$(m slow.salvor)" -v pass="$(m slow.salvor.pass)" 'BEGIN {
		printf "%d MiB of a device held to %d MB/s, medians in seconds: dd zero direct %.2f,\n", mib, rate, dd
		printf "    salvor: random pass %.2f, with the whole reading back %.2f\n", pass, all
		printf "%-58s %7s %7s\n", "goal", "at least", "is"
		printf "%-58s %7.2f %7.2f\n", "speed of the random pass, dd zero direct = 1", 0.95, dd / pass
	}'
else
	echo "this kernel does not hold a device to a speed: dd zero direct was not compared on a slow one"
fi
echo
(cd "$here/.." && go build -o "$work/wipefaults" ./scripts/wipefaults)
peers=("salvor=$salvor wipe {dev} --confirm-serial {name}:{bytes}" 'shred -n1=shred -n1 {dev}' 'dd zero=dd if=/dev/zero of={dev} bs=4M count=16 oflag=direct')
command -v nwipe >/dev/null && peers+=('nwipe=nwipe --autonuke --nogui --nowait --nosignals --method=random --rounds=1 --verify=last --noblank {dev}')
"$work/wipefaults" -size 64 "${peers[@]}"
