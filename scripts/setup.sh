#!/usr/bin/env bash
# Makes sure that what the build, the tests, the linters or the demonstration
# need is there: as root it is installed through the package manager, otherwise
# one line says what is missing.
#
# usage: setup.sh [build|test|browser|lint|demo|bench]...
set -euo pipefail

packages=()
# need COMMAND PACKAGE: COMMAND must be there; PACKAGE brings it.
need() {
	PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || packages+=("$2")
}

for group in "$@"; do
	case $group in
	build)
		command -v go >/dev/null 2>&1 || {
			echo "setup: go is missing: install Go 1.26 or later from https://go.dev/dl/" >&2
			exit 1
		}
		need cc gcc
		[ -e /usr/include/stdlib.h ] || packages+=(libc6-dev)
		need git git
		;;
	test)
		need age age
		need sqlite3 sqlite3
		need mkfs.ext4 e2fsprogs
		need pdftotext poppler-utils
		need qpdf qpdf
		need zbarimg zbar-tools
		need python3 python3
		python3 -c 'import cryptography' 2>/dev/null || packages+=(python3-cryptography)
		if [ "$(id -u)" = 0 ]; then
			need mkfs.xfs xfsprogs
			need mkfs.btrfs btrfs-progs
			need losetup mount
			need fusermount3 fuse3
			need ddrescue gddrescue
			need mkntfs ntfs-3g
			need mkfs.fat dosfstools
			need mcopy mtools
			need mkfs.exfat exfatprogs
			need mount.exfat-fuse exfat-fuse
			need sfdisk fdisk
			need xorriso xorriso
			need fls sleuthkit
			need mkapfs apfsprogs
			need cryptsetup cryptsetup-bin
		fi
		;;
	browser) need chromium chromium ;;
	lint) need shellcheck shellcheck ;;
	demo)
		need age age
		need mkfs.ext4 e2fsprogs
		need fusermount3 fuse3
		;;
	bench)
		need age age
		need ddrescue gddrescue
		if [ "$(id -u)" = 0 ]; then
			need nwipe nwipe
			need losetup mount
			need fusermount3 fuse3
		fi
		;;
	*)
		echo "setup: unknown group: $group" >&2
		exit 2
		;;
	esac
done

[ ${#packages[@]} -gt 0 ] || exit 0
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "setup: missing: ${packages[*]} (as root: apt-get install ${packages[*]})" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "setup: installing ${packages[*]}" >&2
apt-get update -qq >/dev/null
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
