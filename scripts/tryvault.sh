#!/usr/bin/env bash
# Tries a directory, best one on a share or an external disk, as a vault: images a made
# disk, kills the imaging, resumes, verifies, restores, purges (killed and resumed too),
# and prints the attest's classes. It needs nothing but salvor, age-keygen and 200 MB,
# and takes away what it made.
#
# usage: tryvault.sh SALVOR DIR [MIB]
set -euo pipefail
salvor=$(readlink -f "${1:?usage: tryvault.sh SALVOR DIR [MIB]}")
dir=${2:?usage: tryvault.sh SALVOR DIR [MIB]} mib=${3:-64}
work=$(mktemp -d)
vault=$(mktemp -d "$dir/salvor-try-XXXXXX")
trap 'rm -rf "$work" "$vault"' EXIT
export SALVOR_STATE=$work/state SALVOR_OPERATOR=try
age-keygen -o "$work/a.key" 2>/dev/null
age-keygen -o "$work/b.key" 2>/dev/null
"$salvor" init -q --shop Try --station TRY --dpo try@example --language en
"$salvor" key add -q "$(age-keygen -y "$work/a.key")" --label a
"$salvor" key add -q "$(age-keygen -y "$work/b.key")" --label b
"$salvor" operator add -q try --name Try --agreement 2026-01-05
"$salvor" vault add -q "$vault" --name try
head -c "$((mib * 1048576))" /dev/urandom >"$work/disk.img"

# killed COMMAND: starts it and kills it as soon as it has begun its work.
killed() {
	"$@" >"$work/out" 2>&1 &
	local pid=$!
	for _ in $(seq 200); do
		if grep -q progress "$work/out" || ! kill -0 "$pid" 2>/dev/null; then break; fi
		sleep 0.05
	done
	sleep 0.4
	if kill -9 "$pid" 2>/dev/null; then echo "killed after: $(tail -n 1 "$work/out" | cut -c1-100)"; else echo "was faster than the kill"; fi
	wait "$pid" 2>/dev/null || true
}
# patient COMMAND: tries again while the storage is absent (75): a share may need a
# moment to forget a process that was killed.
patient() {
	local got
	for _ in $(seq 10); do
		got=0
		"$@" || got=$?
		[ "$got" = 75 ] || return "$got"
		sleep 2
	done
	return 75
}
image=("$salvor" image "$work/disk.img" --customer Try --purpose transfer --agreed --keep 0d --json)
killed "${image[@]}"
patient "${image[@]}" | tail -n 1
case_no=$("$salvor" due --json | sed -n 's/.*"case":"\([^"]*\)".*/\1/p')
"$salvor" verify -q "$case_no" --deep --identity "$work/a.key"
"$salvor" restore -q "$case_no" "$work/out.img" --handover --identity "$work/b.key" --reason "try"
cmp "$work/disk.img" "$work/out.img"
echo "the restored disk is equal"
"$salvor" purge --dry-run
killed "$salvor" purge --json
patient "$salvor" purge -q || [ $? = 3 ]
attest=$("$salvor" report attest "$case_no" --format json)
tr ',' '\n' <<<"$attest" | grep -E '"(key|media|virtual|file_system|equal|total)"' | tr '\n' ' '
case $attest in
*'asked and did not say'*) echo "the storage did not say whether it keeps snapshots" ;;
*'"snapshots":['*) echo "the storage keeps snapshots, or a recycle bin" ;;
*) echo "the storage named no snapshots" ;;
esac
left=$(find "$vault" -type f ! -name salvor-vault.json ! -path "$vault/.salvor/*")
[ -z "$left" ] || { echo "left in the vault: $left" >&2; exit 1; }
"$salvor" audit
