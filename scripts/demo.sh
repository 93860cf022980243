#!/usr/bin/env bash
# The whole life of one case, for real: a small failing disk with a file system and
# files on it is imaged into an encrypted vault, verified, restored, compared and
# purged, and the attest is printed. Nothing is left behind.
#
# usage: demo.sh SALVOR
set -euo pipefail
salvor=$(realpath -s "${1:?usage: demo.sh SALVOR}")
here=$(dirname "$(readlink -f "$0")")
PATH="$PATH:/usr/sbin:/sbin"
work=$(mktemp -d)
disk_pid=
cleanup() {
	if [ -n "$disk_pid" ]; then
		kill "$disk_pid" 2>/dev/null || true
		wait "$disk_pid" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT
export SALVOR_STATE=$work/state SALVOR_OPERATOR=jan
bold='' plain=''
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
# show CODE COMMAND: runs salvor, and insists on the exit status it should have.
show() {
	local want=$1 got=0
	shift
	printf '$ salvor'
	printf ' %q' "$@"
	echo
	"$salvor" "$@" || got=$?
	[ "$got" = "$want" ] || { echo "demo: exit status $got, expected $want" >&2; exit 1; }
}

say "A customer's disk: ext4, 64 MB, with files, and sectors that cannot be read"
mkdir "$work/files" "$work/vault" "$work/bad"
for i in 1 2 3 4 5 6; do head -c 3000000 /dev/urandom >"$work/files/photo-$i.jpg"; done
printf 'the letter that must not be lost\n%.0s' $(seq 1000) >"$work/files/letter.txt"
truncate -s 64M "$work/disk.img"
mkfs.ext4 -q -F -b 1024 -d "$work/files" "$work/disk.img"
# block FILE N: the disk's sector in which the N-th block (1 KiB) of FILE begins
block() { debugfs -R "blocks $1" "$work/disk.img" 2>/dev/null | awk -v n="$2" '{print $n * 2}'; }
first=$(block /photo-3.jpg 500) second=$(block /photo-5.jpg 1500)
sectors="$first-$((first + 7)),$second,120000-120127"
(cd "$here/.." && go build -o "$work/faultydisk" ./scripts/faultydisk)
mkfifo "$work/ready"
"$work/faultydisk" --bad "$sectors" "$work/disk.img" "$work/bad" >"$work/ready" &
disk_pid=$!
read -r disk <"$work/ready" || { echo "demo: the failing disk needs FUSE (/dev/fuse)" >&2; exit 1; }
echo "unreadable sectors: $sectors (in photo-3, in photo-5, and in free space)"

say "Set up a shop: two keys, one operator, one vault"
age-keygen -o "$work/counter.key" 2>/dev/null
age-keygen -o "$work/safe.key" 2>/dev/null
show 0 init --shop "Fixit bv" --station T1 --dpo dpo@fixit.example
show 0 key add "$(age-keygen -y "$work/counter.key")" --label counter
show 0 key add "$(age-keygen -y "$work/safe.key")" --label safe
show 0 operator add jan --name "Jan Maes" --agreement 2026-01-05
show 0 vault add "$work/vault" --name nas

say "Image the failing disk (3: some sectors could not be read)"
show 3 image "$disk" --customer "An Peeters" --phone "+32 470 00 00 00" --purpose crash --agreed --keep 0d --language en
case_no=$("$salvor" cases --all --json | sed -n 's/.*"case":"\([^"]*\)".*/\1/p')

say "Nothing of it is readable in the vault"
if grep -rqa "must not be lost" "$work/vault" "$work/state"; then
	echo "demo: found the customer's text" >&2
	exit 1
fi
echo "the letter's text is nowhere in the vault or the ledger"

say "Verify: every record opened with one key; restore with the other"
show 0 verify "$case_no" --deep --identity "$work/counter.key"
show 3 restore "$case_no" "$work/out.img" --handover --identity "$work/safe.key" --reason "demonstration"

say "Compare with the disk: equal but for the unreadable sectors"
differ=$({ cmp -l "$work/disk.img" "$work/out.img" || true; } | awk '{print int(($1-1)/512)}' | sort -nu | awk '
	NR==1 {a=b=$1; next} $1==b+1 {b=$1; next} {printf "%d-%d ", a, b; a=b=$1} END {if (NR) printf "%d-%d", a, b}')
echo "sectors that differ: ${differ:-none (the unreadable ones held zeros)}"
e2fsck -fn "$work/out.img" >/dev/null 2>&1 && echo "the restored file system is clean"
debugfs -R "dump /letter.txt $work/letter.out" "$work/out.img" 2>/dev/null
cmp "$work/files/letter.txt" "$work/letter.out" && echo "the letter is whole"
for i in 1 2 3 4 5 6; do
	debugfs -R "dump /photo-$i.jpg $work/photo.out" "$work/out.img" 2>/dev/null
	if cmp -s "$work/files/photo-$i.jpg" "$work/photo.out"; then echo "photo-$i is whole"; else echo "photo-$i is damaged"; fi
done

say "The deadline has come: purge, and print the attest"
show 0 due
show 0 purge --dry-run
got=0
"$salvor" purge || got=$?
[ "$got" = 0 ] || [ "$got" = 3 ] || exit "$got"
show 0 report attest "$case_no" --format text
show 0 audit
# The private parts of the record, under .salvor, stay: they are no copies of the disk.
left=$(find "$work/vault/cases" "$work/vault/keystore" -type f)
[ -z "$left" ] || { echo "demo: files are left: $left" >&2; exit 1; }
say "Done: the vault is empty, the record stays."
