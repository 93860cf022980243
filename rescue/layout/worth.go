package layout

import "strings"

// family is whose habits decide what a folder is for.
type family uint8

const (
	windows family = iota
	unix
	mac
)

// What an operating system makes anew: files and folders by their path, in lower
// case. "*" stands for one name.
var rebuilt = map[family][]string{
	windows: {
		"pagefile.sys", "hiberfil.sys", "swapfile.sys", "dumpstack.log", "dumpstack.log.tmp",
		"windows/temp", "windows/softwaredistribution/download", "windows/prefetch", "windows/memory.dmp", "windows/minidump",
		"windows/winsxs/temp", "windows/installer/$patchcache$", "$windows.~bt", "$windows.~ws", "temp",
		"users/*/appdata/local/temp", "users/*/appdata/local/microsoft/windows/inetcache",
		"users/*/appdata/local/microsoft/windows/explorer", "users/*/appdata/local/crashdumps", "users/*/appdata/local/d3dscache",
		"users/*/appdata/local/google/chrome/user data/*/cache", "users/*/appdata/local/google/chrome/user data/*/code cache",
		"users/*/appdata/local/microsoft/edge/user data/*/cache", "users/*/appdata/local/microsoft/edge/user data/*/code cache",
		"users/*/appdata/local/mozilla/firefox/profiles/*/cache2",
		"documents and settings/*/local settings/temp", "documents and settings/*/local settings/temporary internet files",
	},
	unix: {
		"swapfile", "swap.img", "swap/swapfile", "tmp", "var/tmp", "var/cache", "proc", "sys", "dev", "run",
		"home/*/.cache", "root/.cache",
	},
	mac: {
		"private/var/vm", "private/tmp", "private/var/tmp", "private/var/folders", ".fseventsd", ".spotlight-v100",
		"library/caches", "system/library/caches", "users/*/library/caches", ".hotfiles.btree",
	},
}

// Folders at the root, or deeper where it says so, that hold programs and not the
// user's files. What is in none of them is taken for the user's.
var programs = map[family][]string{
	windows: {
		"windows", "winnt", "program files", "program files (x86)", "programdata", "perflogs", "recovery", "msocache", "boot", "efi",
		"bootmgr", "bootnxt", "system volume information", "$extend", "$winreagent", "$sysreset", "config.msi", "intel", "amd", "nvidia",
	},
	unix: {"usr", "lib", "lib32", "lib64", "libx32", "bin", "sbin", "boot", "opt", "etc", "var/lib", "var/log", "snap", "efi"},
	mac:  {"system", "applications", "library", "usr", "bin", "sbin", "opt", "private", "cores", ".vol"},
}

// worth gives the tier of a file's content: T2, T3 or T4.
func (f family) worth(path string) Tier {
	path = strings.ToLower(path)
	for _, p := range rebuilt[f] {
		if under(path, p) {
			return T4
		}
	}
	for _, p := range programs[f] {
		if under(path, p) {
			return T3
		}
	}
	return T2
}

// under reports whether path is the pattern or lies below it.
func under(path, pattern string) bool {
	for {
		want, patternRest, moreWant := strings.Cut(pattern, "/")
		have, rest, moreHave := strings.Cut(path, "/")
		if want != "*" && want != have {
			return false
		}
		if !moreWant {
			return true
		}
		if !moreHave {
			return false
		}
		path, pattern = rest, patternRest
	}
}
